"""Other libraries' linear bandits behind one face: LinUCB with a model for each arm, λ = 1."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .rows import Floats

TOP = 10
Arms = NDArray[np.intp]


class Rival(Protocol):
    """Arms are numbers from 0; contexts have the shape (d,) or (n, d). None where the library has no such call."""

    best: Callable[[Floats], object]
    best_of_many: Callable[[Floats], object] | None
    update: Callable[[int, Floats, float], object]

    def learn(self, arms: Arms, contexts: Floats, rewards: Floats) -> object:
        """Many updates, by the library's own batch call where it has one."""


def _first(scores: dict[int, float]) -> list[int]:
    return sorted(scores, key=scores.__getitem__, reverse=True)[:TOP]


class MabWiser:
    """A model for each arm, in numpy."""

    def __init__(self, arms: int, width: int, alpha: float = 1.0) -> None:
        mab: Any = import_module("mabwiser.mab")
        self._bandit = mab.MAB(list(range(arms)), mab.LearningPolicy.LinUCB(alpha=alpha, l2_lambda=1.0))
        self._bandit.fit([0], [0.0], np.zeros((1, width)))

    def best(self, context: Floats) -> object:
        return _first(self._bandit.predict_expectations(context[None, :]))

    def best_of_many(self, contexts: Floats) -> object:
        return [_first(scores) for scores in self._bandit.predict_expectations(contexts)]

    def update(self, arm: int, context: Floats, reward: float) -> object:
        return self._bandit.partial_fit([arm], [reward], context[None, :])

    def learn(self, arms: Arms, contexts: Floats, rewards: Floats) -> object:
        return self._bandit.partial_fit(arms.tolist(), rewards.tolist(), contexts)


class ContextualBandits:
    """In float32, its default."""

    def __init__(self, arms: int, width: int, alpha: float = 1.0) -> None:
        online: Any = import_module("contextualbandits.online")
        self._bandit = online.LinUCB(
            nchoices=arms, alpha=alpha, lambda_=1.0, fit_intercept=False, random_state=1, njobs=1
        )
        self._bandit.fit(np.zeros((1, width), dtype=np.float32), np.zeros(1, dtype=int), np.zeros(1))

    def best(self, context: Floats) -> object:
        return self._bandit.topN(context[None, :].astype(np.float32), n=TOP)

    def best_of_many(self, contexts: Floats) -> object:
        return self._bandit.topN(contexts.astype(np.float32), n=TOP)

    def update(self, arm: int, context: Floats, reward: float) -> object:
        return self.learn(np.array([arm]), context[None, :], np.array([reward]))

    def learn(self, arms: Arms, contexts: Floats, rewards: Floats) -> object:
        return self._bandit.partial_fit(contexts.astype(np.float32), arms, rewards.astype(np.float32))


class River:
    """Gives the best arm alone; no ranking."""

    best_of_many = None

    def __init__(self, arms: int, width: int, alpha: float = 1.0) -> None:
        self._bandit: Any = import_module("river.bandit").LinUCBDisjoint(alpha=alpha, seed=1)
        self._arms = list(range(arms))

    def best(self, context: Floats) -> object:
        return self._bandit.pull(self._arms, context=dict(enumerate(context.tolist())))

    def update(self, arm: int, context: Floats, reward: float) -> object:
        return self._bandit.update(arm, dict(enumerate(context.tolist())), reward)

    def learn(self, arms: Arms, contexts: Floats, rewards: Floats) -> object:
        for arm, context, reward in zip(arms.tolist(), contexts, rewards.tolist(), strict=True):
            self.update(arm, context, reward)
        return None


class BayesianBandits:
    """Its upper bound is a quantile of draws from the posterior."""

    best_of_many = None

    def __init__(self, arms: int, width: int, alpha: float = 1.0) -> None:
        library: Any = import_module("bayesianbandits")
        learners = [library.Arm(arm, learner=library.NormalRegressor(alpha=1, beta=1)) for arm in range(arms)]
        self._agent = library.ContextualAgent(learners, library.UpperConfidenceBound(0.84), random_seed=1)

    def best(self, context: Floats) -> object:
        return self._agent.pull(context[None, :], top_k=TOP)

    def update(self, arm: int, context: Floats, reward: float) -> object:
        return self._agent.select_for_update(arm).update(context[None, :], np.array([reward]))

    def learn(self, arms: Arms, contexts: Floats, rewards: Floats) -> object:
        for arm, context, reward in zip(arms.tolist(), contexts, rewards.tolist(), strict=True):
            self.update(arm, context, reward)
        return None


class OpenBanditPipeline:
    """Without its package, which imports PyTorch: its linear policies are numpy."""

    best_of_many = None

    def __init__(self, arms: int, width: int, alpha: float = 1.0) -> None:
        self._policy: Any = obp_policies("linear").LinUCB(
            dim=width, n_actions=arms, len_list=min(TOP, arms), epsilon=alpha, random_state=1
        )

    def best(self, context: Floats) -> object:
        return self._policy.select_action(context[None, :])

    def update(self, arm: int, context: Floats, reward: float) -> object:
        self._policy.n_trial, self._policy.batch_size = 0, 1
        return self._policy.update_params(arm, reward, context[None, :])

    def learn(self, arms: Arms, contexts: Floats, rewards: Floats) -> object:
        self._policy.n_trial, self._policy.batch_size = 0, len(arms)  # what was learned is copied at the end
        for arm, context, reward in zip(arms.tolist(), contexts, rewards.tolist(), strict=True):
            self._policy.update_params(arm, reward, context[None, :])
        return None


def obp_policies(name: str) -> Any:
    """A module of `obp.policy`, with nothing in place of its packages' own code and of PyTorch: it needs neither."""
    full = f"obp.policy.{name}"
    if full not in sys.modules:
        found = find_spec("obp")
        if found is None or not found.submodule_search_locations:
            raise ImportError("No module named 'obp'")
        root = found.submodule_search_locations[0]
        for package, path in (("obp", root), ("obp.policy", f"{root}/policy")):
            spec = ModuleSpec(package, None, is_package=True)
            spec.submodule_search_locations = [path]
            sys.modules[package] = module_from_spec(spec)
        torch: Any = ModuleType("torch")
        torch.tensor = torch.Tensor = type("Tensor", (), {})
        kept = sys.modules.setdefault("torch", torch)
        import_module(full)
        if kept is torch:
            del sys.modules["torch"]
    return sys.modules[full]


class VowpalWabbit:
    """RegCB, the nearest that it has: a linear score without a covariance."""

    best_of_many = None

    def __init__(self, arms: int, width: int, alpha: float = 1.0) -> None:
        workspace: Any = import_module("vowpalwabbit").Workspace
        self._learner = workspace(
            "--cb_explore_adf --regcbopt --mellowness 0.1 --cb_min_cost -1 --cb_max_cost 0 -q ca --quiet"
        )
        self._lines = [f"|a arm{arm}" for arm in range(arms)]

    def best(self, context: Floats) -> object:
        found = self._learner.predict("\n".join([self._shared(context), *self._lines]))
        return np.argsort(found)[-TOP:]

    def update(self, arm: int, context: Floats, reward: float) -> object:
        lines = list(self._lines)
        lines[arm] = f"0:{-reward}:{1 / len(lines)} {lines[arm]}"
        self._learner.learn("\n".join([self._shared(context), *lines]))
        return None

    def learn(self, arms: Arms, contexts: Floats, rewards: Floats) -> object:
        for arm, context, reward in zip(arms.tolist(), contexts, rewards.tolist(), strict=True):
            self.update(arm, context, reward)
        return None

    @staticmethod
    def _shared(context: Floats) -> str:
        return "shared |c " + " ".join(f"{place}:{value:.6g}" for place, value in enumerate(context.tolist()))


RIVALS: dict[str, Callable[..., Rival]] = {
    "MABWiser": MabWiser,
    "contextualbandits": ContextualBandits,
    "river": River,
    "OBP": OpenBanditPipeline,
    "bayesianbandits": BayesianBandits,
    "Vowpal Wabbit": VowpalWabbit,
}
WITHOUT_COVARIANCE = "Vowpal Wabbit"


def installed() -> tuple[list[str], str]:
    """The libraries that can be used here, and in words those that can't."""
    usable, missing = [], []
    for name, made in RIVALS.items():
        try:
            made(2, 2)
            usable.append(name)
        except ImportError as error:
            missing.append(f"{name} ({error})")
    return usable, "; ".join(missing)


def feasible(name: str, arms: int, width: int, most: float) -> bool:
    """Whether a library can be measured at a size in bearable time and so many bytes."""
    if name in ("bayesianbandits", "Vowpal Wabbit"):
        return arms <= 1_000 and width <= 64
    return 16 * width * width * arms <= most


def of(names: Sequence[str], arms: int, width: int, most: float) -> list[str]:
    return [name for name in names if feasible(name, arms, width, most)]
