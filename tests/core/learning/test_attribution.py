"""Which reward belongs to which slate entry, and when it is due."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tastemaker.core import Interaction, Outcomes, Pick, Slate
from tastemaker.core.learning.attribution import Attribution, as_outcomes
from tastemaker.core.rewards import RewardTable

WINDOW = 100.0
TABLE = RewardTable(kinds={"click": 1.0, "buy": 5.0, "skip": -2.0, "dwell": {"per_unit": 0.1}}, seen=-0.5)


def slate_of(identity: str, items: list[str], user: str = "ann", memo: dict | None = None) -> Slate:
    picks = [
        Pick(item, place, 1.0 - place, 0.5 / (place + 1), {"taste": 1.0}, ["similar"])
        for place, item in enumerate(items)
    ]
    return Slate(
        identity,
        "books",
        user,
        0.0,
        picks,
        len(items),
        7,
        "digest",
        situation={"mood": "calm"},
        memo=memo or {},
    )


def did(
    item: str, kind: str = "click", slate: str | None = "s1", user: str = "ann", value: float | None = None
) -> Interaction:
    return Interaction("any", "books", user, item, kind, 0.0, value=value, slate=slate)


@pytest.fixture
def attribution() -> Attribution:
    """Slate s1 with emma and dune was shown to ann at 0."""
    attribution = Attribution("books", TABLE, WINDOW)
    show(attribution, "s1", ["emma", "dune"], 0.0)
    return attribution


def show(attribution: Attribution, identity: str, items: list[str], time: float, user: str = "ann") -> None:
    attribution.advance(time)
    attribution.slate(identity, user, slate_of(identity, items, user).to_bytes(), time)


def tell(attribution: Attribution, interaction: Interaction, time: float) -> float | None:
    attribution.advance(time)
    return attribution.interaction(interaction, time)


def due(attribution: Attribution) -> Outcomes:
    return as_outcomes(attribution.due())


class TestTheWindow:
    def test_an_interaction_is_due_at_once(self, attribution: Attribution) -> None:
        assert tell(attribution, did("dune"), 10.0) == 1.0
        outcomes = due(attribution)
        assert (outcomes.users, outcomes.items, outcomes.slates) == (["ann"], ["dune"], ["s1"])
        assert outcomes.reward.tolist() == outcomes.total.tolist() == [1.0]
        assert outcomes.first.tolist() == [True]
        assert outcomes.propensity.tolist() == [0.25]
        assert outcomes.position.tolist() == [1]
        assert outcomes.time.tolist() == [10.0]
        assert outcomes.situations == [{"mood": "calm"}]
        assert outcomes.kinds == ["click"]

    def test_what_drew_no_interaction_is_due_when_the_window_closes(self, attribution: Attribution) -> None:
        tell(attribution, did("dune"), 10.0)
        attribution.due()
        attribution.advance(WINDOW - 0.001)
        assert len(due(attribution)) == 0
        attribution.advance(5000.0)
        outcomes = due(attribution)
        assert (outcomes.items, outcomes.reward.tolist(), outcomes.first.tolist()) == (
            ["emma"],
            [-0.5],
            [True],
        )
        assert outcomes.time.tolist() == [WINDOW]
        assert outcomes.propensity.tolist() == [0.5]
        assert len(attribution) == 0

    def test_without_a_reward_for_seen_nothing_is_due_then(self) -> None:
        attribution = Attribution("books", TABLE.model_copy(update={"seen": None}), WINDOW)
        show(attribution, "s1", ["emma"], 0.0)
        attribution.advance(1000.0)
        assert len(due(attribution)) == 0
        assert len(attribution) == 0

    def test_its_last_moment_belongs_to_what_comes_after(self, attribution: Attribution) -> None:
        tell(attribution, did("emma"), WINDOW)
        outcomes = due(attribution)
        assert outcomes.items == ["emma", "dune", "emma"]
        assert outcomes.reward.tolist() == [-0.5, -0.5, 1.0]
        assert outcomes.slates == ["s1", "s1", ""]
        assert outcomes.first.tolist() == [True, True, True]

    def test_just_before_it_closes_still_counts(self, attribution: Attribution) -> None:
        tell(attribution, did("emma"), np.nextafter(WINDOW, 0))
        assert due(attribution).slates == ["s1"]

    def test_windows_close_in_the_order_of_their_slates(self, attribution: Attribution) -> None:
        show(attribution, "s2", ["solaris"], 30.0)
        attribution.advance(1000.0)
        outcomes = due(attribution)
        assert outcomes.slates == ["s1", "s1", "s2"]
        assert outcomes.time.tolist() == [WINDOW, WINDOW, 30.0 + WINDOW]

    def test_the_callers_clock_plays_no_part(self, attribution: Attribution) -> None:
        late = Interaction("any", "books", "ann", "emma", "click", 1e12, slate="s1")
        tell(attribution, late, 10.0)
        outcomes = due(attribution)
        assert (outcomes.slates, outcomes.time.tolist()) == (["s1"], [10.0])


class TestCorrections:
    def test_later_interactions_on_an_entry_come_as_their_difference(self, attribution: Attribution) -> None:
        for time, kind in ((10.0, "click"), (20.0, "buy"), (30.0, "skip")):
            tell(attribution, did("emma", kind), time)
        outcomes = due(attribution)
        assert outcomes.reward.tolist() == [1.0, 5.0, -2.0]
        assert outcomes.total.tolist() == [1.0, 6.0, 4.0]
        assert outcomes.first.tolist() == [True, False, False]
        attribution.advance(1000.0)
        assert due(attribution).items == ["dune"]

    def test_what_is_worth_nothing_is_no_outcome_and_no_first(self, attribution: Attribution) -> None:
        assert tell(attribution, did("emma", "wave"), 10.0) is None
        assert tell(attribution, did("emma", "dwell"), 11.0) is None
        assert len(due(attribution)) == 0
        tell(attribution, did("emma", "dwell", value=30.0), 12.0)
        outcomes = due(attribution)
        assert (outcomes.reward.tolist(), outcomes.first.tolist()) == ([3.0], [True])

    @pytest.mark.parametrize("worth", [float("nan"), float("inf"), None])
    def test_a_reward_that_is_no_number_is_worth_nothing(self, worth: float | None) -> None:
        class Odd(RewardTable):
            def reward(self, interaction: Interaction) -> float | None:
                return worth

        attribution = Attribution("books", Odd(), WINDOW)
        show(attribution, "s1", ["emma"], 0.0)
        assert tell(attribution, did("emma"), 1.0) is None
        assert len(due(attribution)) == 0


class TestWithoutASlate:
    @pytest.mark.parametrize(
        ("interaction", "why"),
        [
            (replace(did("emma", slate=None), situation={"order": "7"}), "none is named"),
            (did("emma", slate="unknown"), "it isn't known"),
            (did("emma", user="eve"), "it was shown to somebody else"),
            (did("solaris"), "it didn't show the item"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_an_outcome_stands_for_itself(
        self, attribution: Attribution, interaction: Interaction, why: str
    ) -> None:
        tell(attribution, interaction, 10.0)
        tell(attribution, interaction, 11.0)
        outcomes = due(attribution)
        assert outcomes.slates == ["", ""]
        assert outcomes.users == [interaction.user] * 2
        assert np.isnan(outcomes.propensity).all()
        assert outcomes.position.tolist() == [-1, -1]
        assert outcomes.first.tolist() == [True, True]
        assert outcomes.total.tolist() == [1.0, 1.0]
        assert outcomes.situations == [interaction.situation] * 2
        assert outcomes.kinds == [interaction.kind] * 2
        attribution.advance(1000.0)
        assert due(attribution).items == ["emma", "dune"], "the slate's own entries go on waiting"


class TestMemos:
    def test_a_policy_gets_back_what_it_wrote_for_the_request_and_for_the_item(self) -> None:
        memo = {
            "taste": {"context": {"arm": 3}, "items": {"x": [[1, 2], [3, 4]], "p": [0.1, 0.2]}},
            "other": {},
        }
        attribution = Attribution("books", TABLE, WINDOW)
        attribution.slate("s1", "ann", slate_of("s1", ["emma", "dune"], memo=memo).to_bytes(), 0.0)
        attribution.interaction(did("dune"), 1.0)
        attribution.interaction(did("dune", slate=None), 2.0)
        rows = attribution.due()
        assert as_outcomes(rows, "taste").memos == [{"arm": 3, "x": [3, 4], "p": 0.2}, {}]
        assert as_outcomes(rows, "other").memos == [{}, {}]
        assert as_outcomes(rows, "stranger").memos == [{}, {}]
        assert as_outcomes(rows).memos == [{}, {}]


class TestBrokenEntries:
    def test_a_slate_that_cannot_be_read_is_taken_as_empty(self, caplog: pytest.LogCaptureFixture) -> None:
        attribution = Attribution("books", TABLE, WINDOW)
        attribution.slate("s1", "ann", b"{}", 0.0)
        tell(attribution, did("emma"), 1.0)
        attribution.advance(1000.0)
        assert due(attribution).slates == [""]
        assert "'s1'" in caplog.text


STEPS = st.lists(
    st.tuples(
        st.floats(0, 60),
        st.sampled_from(["slate", "click", "buy", "skip", "tick"]),
        st.sampled_from(["ann", "eve"]),
        st.integers(0, 5),
    ),
    max_size=40,
)


@given(STEPS)
def test_every_shown_item_has_one_first_outcome_and_its_last_total_is_the_sum(
    steps: list[tuple[float, str, str, int]],
) -> None:
    attribution = Attribution("books", TABLE, WINDOW)
    time, shown = 0.0, 0
    for gap, kind, user, number in steps:
        time += gap
        if kind == "slate":
            show(attribution, f"s{shown}", ["a", "b", "c"], time, user)
            shown += 1
        elif kind == "tick":
            attribution.advance(time)
        else:
            tell(attribution, did("abcdef"[number], kind, f"s{max(shown - 1 - number % 3, 0)}", user), time)
    attribution.advance(time + 10 * WINDOW)
    outcomes = due(attribution)
    assert (np.diff(outcomes.time) >= 0).all(), "time goes on only"
    entries: dict[tuple[str, str], list[int]] = {}
    for place, (slate, item) in enumerate(zip(outcomes.slates, outcomes.items, strict=True)):
        if slate:
            entries.setdefault((slate, item), []).append(place)
    assert len(entries) == 3 * shown
    for places in entries.values():
        assert outcomes.first[places].tolist() == [True] + [False] * (len(places) - 1)
        assert outcomes.total[places].tolist() == np.cumsum(outcomes.reward[places]).tolist()


BONUSES = {
    "again": {"add": 0.4, "repeat": True, "kinds": ["play"]},
    "quick": {"add": 0.2, "within_seconds": 30, "kinds": ["like"]},
    "lifted": {"add": 0.3, "change": {"mood": {"from": "calm", "to": "happy"}}},
}


class TestBonuses:
    def rewarded(self, table: RewardTable, *deeds: tuple[float, Interaction]) -> Outcomes:
        attribution = Attribution("books", table, WINDOW)
        show(attribution, "s1", ["emma", "dune"], 0.0)
        for time, deed in deeds:
            tell(attribution, deed, time)
        return due(attribution)

    def test_each_counts_once_for_an_item(self) -> None:
        table = RewardTable(kinds={"like": 1.0, "play": 0.5}, bonuses=BONUSES)
        plays = [(float(time), did("emma", "play")) for time in (1, 2, 3)]
        found = self.rewarded(table, *plays, (4.0, did("dune", "play")), (5.0, did("emma", "like")))
        assert found.reward.tolist() == pytest.approx([0.5, 0.9, 0.5, 0.5, 1.2])
        assert found.total.tolist() == pytest.approx([0.5, 1.4, 1.9, 0.5, 3.1])
        assert found.first.tolist() == [True, False, False, True, False]

    def test_haste_is_told_by_the_clock_of_who_acts_where_the_log_hears_of_it_later(self) -> None:
        table = RewardTable(kinds={"like": 1.0, "play": 0.5}, bonuses=BONUSES)
        late = Interaction("any", "books", "ann", "emma", "like", 20.0, slate="s1")
        assert self.rewarded(table, (90.0, late)).reward.tolist() == pytest.approx([1.2])
        ahead = Interaction("any", "books", "ann", "emma", "like", 1e12, slate="s1")
        assert self.rewarded(table, (90.0, ahead)).reward.tolist() == [1.0]

    def test_a_like_a_whole_watch_and_a_better_mood_are_worth_2_3(self) -> None:
        table = RewardTable(
            kinds={"like": 1.0, "completion": {"per_unit": 0.5, "whole": 0.5}},
            bonuses={"lifted": {"add": 0.3, "change": {"mood": {"from": "calm", "to": "peaceful"}}}},
        )
        mood = {"mood": "peaceful"}
        like = Interaction("1", "books", "ann", "emma", "like", 5.0, slate="s1")
        watched = Interaction("2", "books", "ann", "emma", "completion", 60.0, 1.0, "s1", 0, mood)
        found = self.rewarded(table, (5.0, like), (60.0, watched))
        assert found.total.tolist() == pytest.approx([1.0, 2.3])

    def test_without_a_slate_only_the_situation_can_earn_one(self) -> None:
        table = RewardTable(
            kinds={"like": 1.0, "play": 0.5},
            bonuses={**BONUSES, "night": {"add": 0.1, "situation": {"time_of_day": "night"}}},
        )
        alone = Interaction("1", "books", "ann", "emma", "like", 0.0, situation={"time_of_day": "night"})
        found = self.rewarded(table, (1.0, alone))
        assert (found.total.tolist(), found.slates) == ([1.1], [""])

    def test_the_bounds_hold_the_total_and_differences_follow(self) -> None:
        table = RewardTable(kinds={"like": 1.0, "play": 0.5, "skip": -9.0}, at_least=-2, at_most=1.2)
        deeds = ("like", "play", "play", "skip", "like")
        found = self.rewarded(table, *((float(n), did("emma", kind)) for n, kind in enumerate(deeds, 1)))
        assert found.total.tolist() == pytest.approx([1.0, 1.2, 1.2, -2.0, -2.0])
        assert found.reward.tolist() == pytest.approx([1.0, 0.2, 0.0, -3.2, 0.0])

    @given(
        st.lists(
            st.tuples(st.sampled_from(["like", "play", "skip"]), st.sampled_from(["calm", "happy"])),
            max_size=12,
        )
    )
    def test_differences_add_up_to_the_total(self, deeds: list[tuple[str, str]]) -> None:
        table = RewardTable(
            kinds={"like": 1.0, "play": 0.5, "skip": -2.0}, bonuses=BONUSES, at_least=-3, at_most=2
        )
        done = [
            (float(n), Interaction("1", "books", "ann", "emma", kind, 0.0, None, "s1", 0, {"mood": mood}))
            for n, (kind, mood) in enumerate(deeds, 1)
        ]
        found = self.rewarded(table, *done)
        assert len(found) == len(deeds)
        assert np.cumsum(found.reward) == pytest.approx(found.total)
        assert ((found.total >= -3) & (found.total <= 2)).all()
