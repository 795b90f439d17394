"""The Big Five traits of a person, as a profile holds them: numbers from 0 to 100, 50 the middle of the scale.

A trait stands in the profile itself, or in its `traits` or `personality`, whichever comes first:

    {"traits": {"openness": 72.5}, "assessment": {"confidence": {"openness": 0.81}}}
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeGuard, get_args

Trait = Literal["openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism"]
"""The name of one of them."""
BIG_FIVE: tuple[Trait, ...] = get_args(Trait)

_NESTS = ("traits", "personality")


def trait_of(profile: Mapping[str, Any], name: str) -> Any:
    """What a profile says of a trait, whatever that is; None where it says nothing.

    >>> trait_of({"traits": {"openness": 70}}, "openness"), trait_of({"openness": 30}, "neuroticism")
    (70, None)
    """
    found = profile.get(name)
    if found is not None:
        return found
    nests = (profile.get(nest) for nest in _NESTS)
    return next((nest[name] for nest in nests if isinstance(nest, Mapping) and name in nest), None)


def traits_of(profile: Mapping[str, Any]) -> dict[Trait, float]:
    """The Big Five that a profile tells, each from 0 to 100; what is no number is left out.

    >>> traits_of({"openness": 170, "traits": {"extraversion": 20, "neuroticism": "high"}})
    {'openness': 100.0, 'extraversion': 20.0}
    """
    told = {name: trait_of(profile, name) for name in BIG_FIVE}
    return {name: min(max(float(value), 0.0), 100.0) for name, value in told.items() if _is_number(value)}


def trait_confidence(profile: Mapping[str, Any], name: str) -> float:
    """How sure a trait is, from 0 to 1, as the `assessment` in the profile says it; 1 where none does.

    >>> trait_confidence({"assessment": {"confidence": {"openness": 0.8}}}, "openness")
    0.8
    """
    assessment = profile.get("assessment")
    known = assessment.get("confidence") if isinstance(assessment, Mapping) else None
    found = known.get(name) if isinstance(known, Mapping) else None
    return min(max(float(found), 0.0), 1.0) if _is_number(found) else 1.0


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
