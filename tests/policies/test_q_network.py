"""The network of deep Q-learning: its equations, by hand; its steps, beside PyTorch's own."""

import os
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tastemaker.policies.q_network import Batch, QNetwork, one_thread

if find_spec("torch") is None:
    if os.environ.get("CI") == "true":
        raise ImportError("torch is not installed")
    pytest.skip("needs the extra `dqn`: make test EXTRAS=all", allow_module_level=True)

STATE = np.array([0, 3])
GAMMA = 0.7


def network(*, dueling: bool, hidden: tuple[int, ...] = (7, 5)) -> QNetwork:
    made = QNetwork(4, STATE, hidden, dueling=dueling, seed=1)
    rng = np.random.default_rng(2)
    made.weights[:] = rng.normal(size=made.size)
    made.target[:] = rng.normal(size=made.size)
    return made


def batch() -> Batch:
    rng = np.random.default_rng(3)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return rng.normal(size=shape).astype(np.float32)

    there = np.arange(3) < np.array([3, 2, 1, 3, 1, 2])[:, None]
    after = np.arange(3) < np.array([2, 3, 0, 1, 3, 3])[:, None]  # the third episode has ended
    return Batch(drawn(6, 4), drawn(6), drawn(6, 3, 4), there, drawn(6, 3, 4), after)


def by_hand(made: QNetwork, weights: NDArray[np.float32], x: Any, choices: Any, *, dueling: bool) -> float:
    """Q(s, a) of one vector, layer by layer, in float64."""

    def through(start: int, sizes: list[int], vector: Any) -> float:
        for place, (wide, tall) in enumerate(pairwise(sizes)):
            matrix = weights[start : start + wide * tall].astype(float).reshape(wide, tall)
            start += wide * tall
            vector = np.asarray(vector, dtype=float) @ matrix + weights[start : start + tall]
            start += tall
            if place < len(sizes) - 2:
                vector = np.maximum(vector, 0)
        return float(vector[0])

    sizes = [4, 7, 5, 1]
    advantage = through(0, sizes, x)
    if not dueling:
        return advantage
    value = through(4 * 7 + 7 + 7 * 5 + 5 + 5 + 1, [2, 7, 5, 1], x[STATE])
    return value + advantage - float(np.mean([through(0, sizes, choice) for choice in choices]))


@pytest.mark.parametrize("dueling", [False, True])
def test_the_target_is_that_of_double_q_learning(dueling: bool) -> None:
    made, given = network(dueling=dueling), batch()
    wanted, differs = [], 0
    for place, reward in enumerate(given.reward.tolist()):
        choices = given.after[place][given.after_open[place]]
        online = [by_hand(made, made.weights, choice, choices, dueling=dueling) for choice in choices]
        target = [by_hand(made, made.target, choice, choices, dueling=dueling) for choice in choices]
        wanted.append(reward + (GAMMA * target[int(np.argmax(online))] if len(choices) else 0.0))
        differs += len(choices) > 0 and np.argmax(online) != np.argmax(target)
    assert differs  # so that plain Q-learning would have another target
    assert made.targets(given, gamma=GAMMA) == pytest.approx(wanted, abs=1e-4)


def test_the_mean_of_q_over_the_choices_is_the_value_of_the_state() -> None:
    made = network(dueling=True)
    x = np.random.default_rng(4).normal(size=(6, 4)).astype(np.float32)
    x[:, STATE] = x[0, STATE]
    worth, best = made.worth(x, 6)
    assert worth.mean() == pytest.approx(float(made.values(made.weights, x[0])), abs=1e-5)
    plain = made.advantages(made.weights, x)
    assert best.tolist() == np.argsort(-plain).tolist() == np.argsort(-worth).tolist()
    assert worth == pytest.approx([by_hand(made, made.weights, row, x, dueling=True) for row in x], abs=1e-4)
    few, best = made.worth(x, 2)
    assert few[best].mean() == pytest.approx(float(made.values(made.weights, x[0])), abs=1e-5)


def test_a_new_network_prefers_nothing() -> None:
    for dueling in (False, True):
        made = QNetwork(4, STATE, (7, 5), dueling=dueling, seed=1)
        assert not made.worth(batch().x, 3)[0].any()
        assert made.weights.any()
    linear = QNetwork(4, STATE, (), dueling=False, seed=1)
    assert linear.size == 5
    assert QNetwork(4, STATE, (7,), dueling=False, seed=2).weights.tolist() != made.weights[:43].tolist()


@pytest.mark.parametrize("dueling", [False, True])
def test_steps_are_those_of_adam_on_the_huber_loss(dueling: bool) -> None:
    torch = import_module("torch")
    made, given = network(dueling=dueling), batch()
    weights = made.weights.astype(float)
    first, second = np.zeros((2, made.size))
    for step in range(1, 6):
        theta = torch.from_numpy(weights).requires_grad_()
        x = torch.from_numpy(given.x.astype(float))
        worth = made.advantages(theta, x)
        if dueling:
            others = made.advantages(theta, torch.from_numpy(given.choices.astype(float)))
            means = [
                row[torch.from_numpy(there)].mean() for row, there in zip(others, given.open, strict=True)
            ]
            worth = worth + made.values(theta, x) - torch.stack(means)
        wanted = torch.from_numpy(made.targets(given, gamma=GAMMA).astype(float))
        torch.nn.functional.huber_loss(worth, wanted).backward()
        # Kingma & Ba 2015, Algorithm 1
        gradient = theta.grad.numpy()
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        unbiased = first / (1 - 0.9**step), second / (1 - 0.999**step)
        weights = weights - 0.01 * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
        made.learn(given, gamma=GAMMA, rate=0.01)
        # A dueling Q doesn't depend on the bias of A: its gradient is what rounding leaves of nothing.
        kept = np.arange(made.size) != (80 if dueling else -1)
        assert made.weights[kept] == pytest.approx(weights[kept], abs=1e-4)
    assert made.steps == 5


def test_threads_are_as_they_were() -> None:
    torch = import_module("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
