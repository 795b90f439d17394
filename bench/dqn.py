"""Deep Q-learning: ranking and one training batch, beside the same network in plain PyTorch.

Both begin with the same weights, and are given vectors in hand; features, history and memo come on top in
`Ranker.rank`, which has a line of its own. Seconds are of the processor. Ranking is numpy, and is measured without
PyTorch, too.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from time import process_time
from typing import Any

import numpy as np
from tastemaker.core import Candidates, Catalog, ItemSchema
from tastemaker.policies.dqn import Ranker
from tastemaker.policies.q_network import Batch, QNetwork, Singles, missing, one_thread

from .policies import request
from .rows import Row, medians, row

_HIDDEN = (64, 64)
_ITEM, _STATE = 16, 19  # columns that an item and a state have with the ranker's defaults
_BATCH, _CHOICES, _GAMMA, _RATE = 32, 8, 0.5, 0.001


def run(quick: bool) -> list[Row]:
    trouble = missing()
    with nullcontext() if trouble else one_thread():
        rows = [_best(items, 3 if quick else 301, alone=trouble is not None) for items in (100, 1_000)]
        if trouble is None:
            rows += [_ranker(1_000, 3 if quick else 101), _training(3 if quick else 301)]
    rows[0]["note"] += "; times are of the processor"
    if trouble is not None:
        rows[0]["note"] += f"; not measured here: plain PyTorch, training and a whole rank ({trouble})"
    return rows


class Plain:
    """Double Q-learning as one would write it in PyTorch."""

    def __init__(self, network: QNetwork) -> None:
        self.torch: Any = import_module("torch")
        self.online, self.target = self._made(network), self._made(network)
        self.adam = self.torch.optim.Adam(self.online.parameters(), lr=_RATE)

    def best(self, x: Any) -> object:
        """The scores of vectors (n, d), and the best of them."""
        with self.torch.inference_mode():
            worth = self.online(x)[:, 0]
            return worth.numpy(), worth.topk(_CHOICES).indices.numpy()

    def learn(self, x: Any, reward: Any, after: Any, there: Any) -> None:
        """One step on a batch, as `Batch` has it."""
        with self.torch.no_grad():
            best = self.online(after)[..., 0].masked_fill(~there, -self.torch.inf).argmax(dim=1, keepdim=True)
            following = self.target(after)[..., 0].gather(1, best)[:, 0] * there.any(dim=1)
        loss = self.torch.nn.functional.smooth_l1_loss(self.online(x)[:, 0], reward + _GAMMA * following)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()

    def _made(self, network: QNetwork) -> Any:
        """A perceptron with the weights of another."""
        linear = self.torch.nn.Linear
        shapes = zip((_ITEM + _STATE, *_HIDDEN), (*_HIDDEN, 1), strict=True)
        layers = [linear(wide, tall) for wide, tall in shapes]
        start = 0
        with self.torch.no_grad():
            for layer in layers:
                stop = start + layer.weight.numel()
                weight = network.weights[start:stop].reshape(layer.in_features, layer.out_features)
                start = stop + layer.out_features
                layer.weight.copy_(self.torch.from_numpy(weight.T))
                layer.bias.copy_(self.torch.from_numpy(network.weights[stop:start]))
        first, *others = layers
        rectified = [each for layer in others for each in (self.torch.nn.ReLU(), layer)]
        return self.torch.nn.Sequential(first, *rectified)


def _network() -> QNetwork:
    """One that has learned something: the last layer isn't zero."""
    width = _ITEM + _STATE
    state = np.concatenate(([0], np.arange(1 + _ITEM, width)))
    network = QNetwork(width, state, _HIDDEN, dueling=False, seed=0)
    network.weights += _drawn(len(network.weights)) / np.float32(20)
    network.sync()
    return network


def _drawn(*shape: int) -> Singles:
    return np.random.default_rng(9).normal(size=shape).astype(np.float32)


def _best(items: int, rounds: int, *, alone: bool) -> Row:
    """Score candidates with vectors in hand, and find those that a slate notes as its choices."""
    network, x = _network(), _drawn(items, _ITEM + _STATE)
    calls: list[Callable[[int], object]] = [lambda _: network.worth(x, _CHOICES)]
    note = f"{' x '.join(str(units) for units in (_ITEM + _STATE, *_HIDDEN, 1))}, vectors in hand"
    if not alone:
        plain = Plain(network)
        same = plain.torch.from_numpy(x)
        calls.append(lambda _: plain.best(same))
        note += "; beside plain PyTorch"
    mine, *theirs = (seconds * 1e3 for seconds in medians(calls, rounds, process_time))
    return row(f"DQN, {items:,} candidates: best {_CHOICES}", mine, theirs[0] if theirs else None, "ms", note)


def _ranker(items: int, rounds: int) -> Row:
    """A whole `rank`, from the request to scores, beside the scores alone."""
    catalog = Catalog(ItemSchema({"title": "text"}), dimensions=_ITEM)
    catalog.put([(f"item-{place}", {}) for place in range(items)])
    assert catalog.vectors is not None
    catalog.vectors.put(np.arange(items), _drawn(items, _ITEM))
    candidates = Candidates(catalog.snapshot(), np.arange(items))
    policy = Ranker(hidden=_HIDDEN, choices=_CHOICES, gamma=_GAMMA)
    past = {"reward": np.ones(policy.history), "age_days": np.ones(policy.history)}
    history = Candidates(candidates.catalog, np.arange(policy.history), columns=past)
    plain = Plain(_network())
    same = plain.torch.from_numpy(_drawn(items, _ITEM + _STATE))

    def rank(_: int) -> object:
        return policy.rank(replace(request(candidates, {}), history=history), candidates)

    mine, theirs = medians([rank, lambda _: plain.best(same)], rounds, process_time)
    note = "features measured, memo, a past of 20 items; beside plain PyTorch with the vectors in hand"
    return row(f"dqn.ranker, rank {items:,} items", mine * 1e3, theirs * 1e3, "ms", note)


def _training(rounds: int) -> Row:
    """A step on a batch that is in hand."""
    network, width = _network(), _ITEM + _STATE
    drawn = _drawn(_BATCH, 1 + _CHOICES, width)
    batch = Batch(
        x=drawn[:, 0].copy(),
        reward=np.random.default_rng(10).random(_BATCH, dtype=np.float32),
        choices=np.empty((_BATCH, 0, width), dtype=np.float32),
        open=np.empty((_BATCH, 0), dtype=np.bool_),
        after=drawn[:, 1:].copy(),
        after_open=np.arange(_BATCH)[:, None] % 5 + np.arange(_CHOICES) < _CHOICES,
    )
    plain = Plain(network)
    given = [plain.torch.from_numpy(each) for each in (batch.x, batch.reward, batch.after, batch.after_open)]
    calls = [lambda _: network.learn(batch, gamma=_GAMMA, rate=_RATE), lambda _: plain.learn(*given)]
    mine, theirs = medians(calls, rounds, process_time)
    note = f"{_BATCH} outcomes with {_CHOICES} choices each; double Q-learning, Adam; beside plain PyTorch"
    return row("DQN: one training batch", mine * 1e3, theirs * 1e3, "ms", note)
