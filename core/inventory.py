"""The Big Five Inventory, BFI-44: from a person's answers to the five traits and how sure they are.

Its 44 statements are copyrighted by Oliver P. John and free for research: people get them from the Berkeley
Personality Lab (https://www.ocf.berkeley.edu/~johnlab/bfi.htm). Here is the scoring key alone: John & Srivastava,
"The Big Five trait taxonomy" (1999), in: Handbook of Personality: Theory and Research, 2nd edition.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .traits import BIG_FIVE, Trait

NAME = "bfi-44"
QUESTIONS = 44
LOWEST, HIGHEST = 1, 5
"""Answers, from "disagree strongly" to "agree strongly"."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The questions of a trait: those whose agreement speaks for it, and those whose agreement speaks against it.

    alpha: its internal consistency (Cronbach's α) in the inventory's own sample. about: what it is, in our words.
    """

    speaks_for: tuple[int, ...]
    against: tuple[int, ...]
    alpha: float
    about: str


KEY: Mapping[Trait, Scale] = {
    "openness": Scale((5, 10, 15, 20, 25, 30, 40, 44), (35, 41), 0.81, "curious, imaginative, fond of art"),
    "conscientiousness": Scale((3, 13, 28, 33, 38), (8, 18, 23, 43), 0.82, "thorough, orderly, reliable"),
    "extraversion": Scale((1, 11, 16, 26, 36), (6, 21, 31), 0.88, "outgoing, talkative, full of energy"),
    "agreeableness": Scale((7, 17, 22, 32, 42), (2, 12, 27, 37), 0.79, "kind, trusting, forgiving"),
    "neuroticism": Scale((4, 14, 19, 29, 39), (9, 24, 34), 0.84, "tense, moody, easily worried"),
}
"""By trait, its scale; every question belongs to one."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What answers come to.

    traits: from 0 to 100; those of which no question was answered are missing. confidence: of each, from 0 to 1.
    answered: how many questions were. acquiescence: by how much somebody says yes whatever is asked, in points of the
    answers' scale, -2 to 2; 0 where that can't be told.
    """

    traits: Mapping[str, float]
    confidence: Mapping[str, float]
    answered: int
    acquiescence: float

    def laid_over(self, profile: Mapping[str, Any], time: float) -> dict[str, Any]:
        """A profile with these traits in place of those that it told before, whatever else is in it kept.

        time: of the assessment, seconds since the epoch.
        """
        kept: dict[str, Any] = {key: value for key, value in profile.items() if key not in self.traits}
        traits: dict[str, float] = {**_mapping(profile, "traits"), **self.traits}
        assessed = _mapping(profile, "assessment")
        sure: dict[str, float] = {**_mapping(assessed, "confidence"), **self.confidence}
        assessment = {
            "inventory": NAME,
            "time": time,
            "answered": self.answered,
            "acquiescence": self.acquiescence,
            "confidence": sure,
        }
        return {**kept, "traits": traits, "assessment": assessment}


def assess(answers: Mapping[int, int]) -> Assessment:
    """Score the answers, from 1 to 5 by the number of the question, from 1 to 44; some may be missing.

    A trait is the mean of its answers, those to questions against it turned round, brought from 1 … 5 to 0 … 100. Its
    confidence is the reliability of that mean, r = k ρ / (1 + (k - 1) ρ) with k answers and the mean correlation ρ of
    the scale's questions (Spearman-Brown), times 1 - |acquiescence| / 2. Raises ValueError where there is no answer.

    >>> assess({question: 3 for question in range(1, 45)}).traits["openness"]
    50.0
    """
    if not answers:
        raise ValueError("none of the questions is answered")
    leaning = _acquiescence(answers)
    traits: dict[str, float] = {}
    sure: dict[str, float] = {}
    for name in BIG_FIVE:
        scale = KEY[name]
        turned = [answers[number] for number in scale.speaks_for if number in answers]
        turned += [LOWEST + HIGHEST - answers[number] for number in scale.against if number in answers]
        if turned:
            traits[name] = round(100 * (sum(turned) / len(turned) - LOWEST) / (HIGHEST - LOWEST), 2)
            sure[name] = round(_reliability(scale, len(turned)) * (1 - abs(leaning) / 2), 3)
    return Assessment(traits, sure, len(answers), leaning)


def _acquiescence(answers: Mapping[int, int]) -> float:
    """The mean over the traits of how far answers for and answers against, taken alike, lie above the middle."""
    middle = (LOWEST + HIGHEST) / 2
    leanings = []
    for scale in KEY.values():
        sides = [
            [answers[number] for number in side if number in answers]
            for side in (scale.speaks_for, scale.against)
        ]
        if all(sides):
            leanings.append(sum(sum(side) / len(side) for side in sides) / 2 - middle)
    return round(sum(leanings) / len(leanings), 3) if leanings else 0.0


def _reliability(scale: Scale, answered: int) -> float:
    count = len(scale.speaks_for) + len(scale.against)
    correlation = scale.alpha / (count - (count - 1) * scale.alpha)
    return answered * correlation / (1 + (answered - 1) * correlation)


def _mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = holder.get(key)
    return found if isinstance(found, Mapping) else {}
