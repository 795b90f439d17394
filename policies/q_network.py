"""A small network for Q(s, a), in numpy for deciding and in PyTorch for learning, over the same memory.

    plain    Q(s, a) = A([s, a])
    dueling  Q(s, a) = V(s) + A([s, a]) - mean over b in choices(s) of A([s, b])     (Wang et al. 2016, equation 9)

A and V are perceptrons with rectified hidden layers. All their weights are one float32 vector, and so are those of
the target network and Adam's moments: a state is a few vectors. numpy's arrays are what is kept; PyTorch writes into
the same memory. The last layers start at zero, so that nothing is preferred before something is learned.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import array_of

Singles = NDArray[np.float32]

_INSTALL = 'pip install "tastemaker[dqn]"'

_FADING, _FADING_SQUARES, _TINY = 0.9, 0.999, 1e-8
"""Adam's β₁, β₂ and ε (Kingma & Ba 2015)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Transitions to learn from: n of them, vectors of width d, sets of at most m of them.

    x: (n, d), states and actions. reward: (n,).
    choices: (n, m, d), what could be chosen in the states, and which of it is there: open, (n, m).
    after: (n, m, d), what could be chosen in the next states; after_open, (n, m): nothing where an episode ended.
    """

    x: Singles
    reward: Singles
    choices: Singles
    open: NDArray[np.bool_]
    after: Singles
    after_open: NDArray[np.bool_]


def missing() -> str | None:
    """Why nothing can be learned here, None where it can: PyTorch is loaded then, so that no request waits for it."""
    try:
        _torch()
    except ImportError as error:
        return f"learning needs PyTorch, which is not installed ({error}): {_INSTALL}"
    return None


class QNetwork:
    """The network, its target network, and how both were learned.

    width: d, of the vectors [s, a]. state: the columns of them that are s. hidden: units of each hidden layer.
    weights, target: (size,). moments: (2, size), Adam's. steps: of learning so far.
    """

    def __init__(
        self, width: int, state: NDArray[np.intp], hidden: Sequence[int], *, dueling: bool, seed: int
    ) -> None:
        self._state = state
        self._dueling = dueling
        self._advantage = _shapes(width, hidden)
        self._value = _shapes(len(state), hidden) if dueling else []
        self.size = sum((wide + 1) * tall for wide, tall in (*self._advantage, *self._value))
        rng = np.random.default_rng(seed)
        parts = []
        for shapes in (self._advantage, self._value):
            for place, (wide, tall) in enumerate(shapes):
                scale = 0.0 if place == len(shapes) - 1 else (6 / wide) ** 0.5  # He et al. 2015, uniform
                parts += [rng.uniform(-scale, scale, wide * tall), np.zeros(tall)]
        self.weights: Singles = np.concatenate(parts).astype(np.float32)
        self.target = self.weights.copy()
        self.moments = np.zeros((2, self.size), dtype=np.float32)
        self.steps = 0

    def advantages(self, weights: Any, x: Any) -> Any:
        """A of vectors (..., d): shape (...), of numpy or of PyTorch as the arguments are."""
        return _through(_layers(weights, 0, self._advantage), x)

    def values(self, weights: Any, x: Any) -> Any:
        """V of the states in vectors (..., d), shape (...). Only where the network is dueling."""
        start = sum((wide + 1) * tall for wide, tall in self._advantage)
        return _through(_layers(weights, start, self._value), x[..., self._state])

    def worth(self, x: Singles, most: int) -> tuple[Singles, NDArray[np.intp]]:
        """Q of vectors of one state (n, d), shape (n,), and the best `most`, which are its choices, best first."""
        worth: Singles = self.advantages(self.weights, x)
        best = np.argsort(-worth, kind="stable")[:most]
        if self._dueling and len(x):
            worth = worth + (self.values(self.weights, x[0]) - worth[best].mean())
        return worth, best

    def learn(self, batch: Batch, *, gamma: float, rate: float) -> None:
        """One step of Adam on the Huber loss between Q and the target of double Q-learning."""
        torch = _torch()
        weights = torch.from_numpy(self.weights).requires_grad_()
        given = {name: torch.from_numpy(getattr(batch, name)) for name in Batch.__slots__}
        wanted = self.targets(batch, gamma=gamma)
        worth = self._q(weights, given["x"][:, None], given["choices"], given["open"])[:, 0]
        loss = torch.nn.functional.smooth_l1_loss(worth, torch.from_numpy(wanted))
        (gradient,) = torch.autograd.grad(loss, weights)
        self._adam(gradient.numpy(), rate)

    def targets(self, batch: Batch, *, gamma: float) -> Singles:
        """What Q should be, shape (n,): r + γ Q_target(s', argmax over b of Q(s', b)).

        van Hasselt et al. 2016, equation 4.
        """
        torch = _torch()
        after, there = torch.from_numpy(batch.after), torch.from_numpy(batch.after_open)
        with torch.no_grad():
            online, target = (
                self._q(torch.from_numpy(weights), after, after, there)
                for weights in (self.weights, self.target)
            )
            best = online.masked_fill(~there, -torch.inf).argmax(dim=1, keepdim=True)
            following = target.gather(1, best)[:, 0] * there.any(dim=1)
            wanted: Singles = (torch.from_numpy(batch.reward) + gamma * following).numpy()
        return wanted

    def sync(self) -> None:
        """Bring the target network up to date."""
        self.target[:] = self.weights

    def state(self) -> dict[str, Any]:
        """All of it."""
        return {
            "weights": self.weights.copy(),
            "target": self.target.copy(),
            "moments": self.moments.copy(),
            "steps": self.steps,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `state` gave. Raises ValueError where it doesn't fit; then it is of no use any more."""
        for name in ("weights", "target", "moments"):
            found, kept = array_of(state, name, np.float32), getattr(self, name)
            if found.shape != kept.shape:
                raise ValueError(f"{name} has the shape {found.shape}, and {kept.shape} would fit")
            kept[:] = found
        if (self.moments[1] < 0).any():
            raise ValueError("the second moments must not be negative")
        steps = state.get("steps")
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
            raise ValueError("steps must be a count")
        self.steps = steps

    def _q(self, weights: Any, x: Any, choices: Any, there: Any) -> Any:
        """Q of vectors (n, k, d) of n states with their choices (n, m, d), shape (n, k); of PyTorch."""
        worth = self.advantages(weights, x)
        if self._dueling:
            others = self.advantages(weights, choices) * there
            mean = others.sum(dim=1) / there.sum(dim=1).clip(min=1)
            worth = worth + (self.values(weights, x) - mean[:, None])
        return worth

    def _adam(self, gradient: Singles, rate: float) -> None:
        self.steps += 1
        first, second = self.moments
        first += (1 - _FADING) * (gradient - first)
        second += (1 - _FADING_SQUARES) * (gradient * gradient - second)
        scale = rate / (1 - _FADING**self.steps)
        unbiased = np.sqrt(second / np.float32(1 - _FADING_SQUARES**self.steps)) + np.float32(_TINY)
        self.weights -= np.float32(scale) * first / unbiased


def _shapes(width: int, hidden: Sequence[int]) -> list[tuple[int, int]]:
    """Inputs and outputs of each layer."""
    return list(zip((width, *hidden), (*hidden, 1), strict=True))


def _layers(weights: Any, start: int, shapes: Sequence[tuple[int, int]]) -> Iterator[tuple[Any, Any]]:
    """The matrix and the bias of each layer, as views."""
    for wide, tall in shapes:
        stop = start + wide * tall
        yield weights[start:stop].reshape(wide, tall), weights[stop : stop + tall]
        start = stop + tall


def _through(layers: Iterator[tuple[Any, Any]], x: Any) -> Any:
    """What a perceptron makes of vectors (..., d), shape (...)."""
    (matrix, bias), *others = layers
    for following, shift in others:
        x = (x @ matrix + bias).clip(min=0)
        matrix, bias = following, shift
    return (x @ matrix + bias)[..., 0]


def _torch() -> Any:
    return import_module("torch")


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch calculates on one thread meanwhile: sums come out the same however many processors there are."""
    torch = _torch()
    before: int = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
