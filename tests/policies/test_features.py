"""Features: each kind means what it says, is bounded, and is the same wherever and whenever it is measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from tastemaker.core import Candidates, Catalog, Context, Feedback, ItemSchema
from tastemaker.policies.features import Feature, Features, misfits

FIELDS: Any = {"price": "number", "new": "flag", "brand": "category", "tags": "tags"}


def catalog_of(items: Sequence[Mapping[str, Any]], vectors: Any = None) -> Catalog:
    catalog = Catalog(ItemSchema(FIELDS), dimensions=0 if vectors is None else vectors.shape[1])
    catalog.put([(f"i{place}", values) for place, values in enumerate(items)])
    if catalog.vectors is not None:
        catalog.vectors.put(np.arange(len(items)), vectors)
    return catalog


def measured(
    declared: Sequence[Mapping[str, Any]],
    catalog: Catalog,
    profile: Mapping[str, Any] | None = None,
    situation: Mapping[str, Any] | None = None,
    features: Features | None = None,
) -> NDArray[np.float64]:
    snapshot = catalog.snapshot()
    nobody = Candidates(snapshot, np.empty(0, dtype=np.intp))
    context = Context(
        domain="shop", user="ann", slate="s", now=0.0, size=5, draws=1, seed=1, catalog=snapshot,
        history=nobody, feedback=Feedback(), profile=profile or {}, situation=situation or {},
    )  # fmt: skip
    features = features or Features([Feature(**one) for one in declared])
    logged = features.measured(context, Candidates(snapshot, snapshot.live))
    assert logged.dtype == np.int16
    assert logged.shape == (len(snapshot.live), features.width - 1)
    return logged / 1024.0


ITEMS = [
    {"price": 1.0, "new": True, "brand": "acme", "tags": ["red", "small"]},
    {"price": 2.0, "new": False, "brand": "zeta", "tags": ["red"]},
    {"price": 3.0, "brand": "acme"},
    {"new": True, "tags": ["blue", "small", "soft"]},
    {"price": 1e9, "new": False, "brand": "Acme", "tags": ["RED"]},
]


class TestKinds:
    def test_numbers_are_spread_by_rank_so_that_no_outlier_rules(self) -> None:
        found = measured([{"number": "price"}], catalog_of(ITEMS))[:, 0]
        np.testing.assert_allclose(
            found, np.sqrt(12) * np.array([-3 / 8, -1 / 8, 1 / 8, 0, 3 / 8]), atol=1e-3
        )

    def test_a_field_of_many_numbers_has_mean_0_and_deviation_1(self) -> None:
        rng = np.random.default_rng(0)
        prices = np.exp(rng.normal(size=20_000) * 3)
        found = measured([{"number": "price"}], catalog_of([{"price": float(price)} for price in prices]))
        assert abs(found.mean()) < 0.02
        assert abs(found.std() - 1) < 0.02

    def test_flags_are_one_minus_one_or_nothing(self) -> None:
        assert measured([{"flag": "new"}], catalog_of(ITEMS))[:, 0].tolist() == [1, -1, 0, 1, -1]

    def test_listed_words_have_a_column_each_and_length_one_together(self) -> None:
        catalog = catalog_of(ITEMS)
        found = measured([{"words": "brand", "among": ["acme", "zeta"]}], catalog)
        assert found.tolist() == [[1, 0], [0, 1], [1, 0], [0, 0], [1, 0]]
        found = measured([{"words": "tags", "among": ["red", "small", "soft"]}], catalog)
        root = np.sqrt(0.5)
        np.testing.assert_allclose(
            found, [[root, root, 0], [1, 0, 0], [0, 0, 0], [0, root, root], [1, 0, 0]], atol=1e-3
        )

    def test_hashed_words_keep_their_column_whatever_else_the_catalogue_holds(self) -> None:
        declared = [{"words": "brand", "width": 16}]
        features = Features([Feature(**one) for one in declared])
        catalog = catalog_of(ITEMS)
        before = measured([], catalog, features=features)
        assert (before.sum(axis=1) == [1, 1, 1, 0, 1]).all()
        catalog.put([("new", {"brand": "another"}), ("i0", {"brand": "zeta"})])
        after = measured([], catalog, features=features)
        assert (after[1:5] == before[1:5]).all()
        assert (after[0] == before[1]).all()
        other = catalog_of([{"brand": "zeta"}, {"brand": "acme"}])
        assert (measured([], other, features=features) == before[[1, 0]]).all()

    def test_embeddings_are_projected_the_same_way_each_time_and_keep_their_angles(self) -> None:
        rng = np.random.default_rng(1)
        vectors = rng.normal(size=(200, 48)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        catalog = catalog_of([{}] * 200, vectors)
        found = measured([{"embedding": 24}], catalog)
        assert (found == measured([{"embedding": 24}], catalog)).all()
        assert abs((found**2).sum(axis=1).mean() - 1) < 0.05
        whole = measured([{"embedding": 48}], catalog)
        np.testing.assert_allclose(whole @ whole.T, vectors @ vectors.T, atol=0.02)
        wider = measured([{"embedding": 60}], catalog)
        np.testing.assert_allclose(wider @ wider.T, vectors @ vectors.T, atol=0.02)

    def test_numbers_and_words_of_profile_and_situation_are_the_same_for_all_items(self) -> None:
        declared = [
            {"profile": "openness", "low": 0, "high": 100},
            {"profile": "likes", "among": ["jazz", "folk"]},
            {"situation": "mood", "among": ["calm", "party"]},
        ]
        features = Features([Feature(**one) for one in declared])
        assert features.same_for_all
        found = measured(
            declared, catalog_of(ITEMS), {"openness": 75, "likes": "Folk, rock"}, {"mood": "party"}
        )
        np.testing.assert_allclose(found, [[np.sqrt(12) / 4, 0, 1, 0, 1]] * 5, atol=1e-3)
        assert not measured(declared, catalog_of(ITEMS)).any()
        odd = {"openness": "much", "likes": 7}
        assert not measured(declared, catalog_of(ITEMS), odd, {"mood": None}).any()

    def test_a_cross_is_the_products_of_two_features(self) -> None:
        declared: list[dict[str, Any]] = [
            {"words": "brand", "among": ["acme", "zeta"]},
            {"situation": "mood", "among": ["calm", "party"]},
            {"cross": ["brand", "situation.mood"]},
        ]
        found = measured(declared, catalog_of(ITEMS), situation={"mood": "party"})
        assert found[:, 4:].tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0] * 4, [0, 1, 0, 0]]
        features = Features([Feature(**one) for one in declared])
        assert features.of_request.tolist() == [0, 3, 4]

    @settings(max_examples=50, deadline=None)
    @example(10**400, None)
    @example(-1.7e308, None)
    @example(float("inf"), "calm")
    @given(st.floats(allow_nan=True, allow_infinity=True), st.one_of(st.none(), st.text(), st.integers()))
    def test_whatever_comes_they_are_bounded(self, number: float, word: Any) -> None:
        declared = [
            {"profile": "age", "low": 20, "high": 21},
            {"situation": "mood"},
            {"number": "price"},
            {"cross": ["profile.age", "price"]},
        ]
        found = measured(declared, catalog_of(ITEMS), {"age": number}, {"mood": word})
        assert np.abs(found).max() <= 3

    def test_there_may_be_no_items(self) -> None:
        assert measured([{"number": "price"}, {"words": "tags"}], catalog_of([])).shape == (0, 9)


class TestVectors:
    def test_they_are_a_constant_and_what_was_logged_of_about_one_length(self) -> None:
        rng = np.random.default_rng(2)
        items = [
            {"price": float(rng.normal()), "new": bool(rng.random() < 0.5), "brand": str(rng.integers(5))}
            for _ in range(500)
        ]
        declared = [{"number": "price"}, {"flag": "new"}, {"words": "brand", "width": 16}]
        features = Features([Feature(**one) for one in declared])
        logged = (measured(declared, catalog_of(items)) * 1024).astype(np.int16)
        vectors = features.vectors(logged)
        assert (vectors[:, 0] == 1).all()
        np.testing.assert_allclose(vectors[:, 1:], logged / 1024 / np.sqrt(3))
        assert abs((vectors[:, 1:] ** 2).sum(axis=1).mean() - 1) < 0.1

    def test_the_digest_changes_with_their_meaning(self) -> None:
        digests = {
            Features([Feature(**one) for one in declared]).digest
            for declared in ([], [{"number": "price"}], [{"flag": "price"}], [{"words": "brand", "width": 4}])
        }
        assert len(digests) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "this has none"),
        ({"number": "a", "flag": "b"}, "this has number and flag"),
        ({"number": "a", "width": 3}, "about words"),
        ({"words": "a", "width": 3, "among": ["b"]}, "not both"),
        ({"words": "a", "among": ["b", "B"]}, "twice"),
        ({"words": "a", "low": 0, "high": 1}, "about numbers"),
        ({"profile": "a", "low": 0}, "needs `low` and `high`"),
        ({"profile": "a", "low": 2, "high": 1}, "low below high"),
        ({"embedding": 0}, "greater than or equal to 1"),
        ({"numbers": "a"}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Feature(**options)


def test_features_must_be_different_and_crosses_must_name_them() -> None:
    with pytest.raises(ValueError, match="'price' is declared twice"):
        Features([Feature(number="price"), Feature(flag="price")])
    with pytest.raises(ValueError, match=r"names 'mood', and the features to be crossed are: price"):
        Features([Feature(number="price"), Feature(cross=("price", "mood"))])


class TestBandsAndWhatIsUsual:
    """Price bands, and the bands and words of what a user liked."""

    ITEMS = tuple(
        {
            "price": float(place),
            "brand": "acme" if place < 4 else "zeta",
            "tags": ["red"] if place % 2 else ["blue"],
        }
        for place in range(8)
    )

    def measured(
        self,
        declared: Sequence[Mapping[str, Any]],
        liked: Sequence[int] = (),
        reward: Sequence[float] | None = None,
    ) -> NDArray[np.float64]:
        catalog = Catalog(ItemSchema(FIELDS))
        catalog.put([*((f"i{place}", dict(item)) for place, item in enumerate(self.ITEMS)), ("none", {})])
        snapshot = catalog.snapshot()
        given = np.ones(len(liked)) if reward is None else np.array(reward)
        context = Context(
            domain="shop", user="ann", slate="s", now=0.0, size=5, draws=1, seed=1, catalog=snapshot,
            history=Candidates(snapshot, np.array(liked, dtype=np.intp), columns={"reward": given}),
            feedback=Feedback(), profile={}, situation={},
        )  # fmt: skip
        features = Features([Feature(**one) for one in declared])
        return features.measured(context, Candidates(snapshot, snapshot.live)) / 1024.0

    def test_bands_hold_as_many_items_each(self) -> None:
        found = self.measured([{"number": "price", "bands": 4}])
        assert found[:8].argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
        assert found[:8].sum(axis=1).tolist() == [1.0] * 8
        assert found[8].tolist() == [0.0] * 4

    def test_what_is_usual_is_what_was_liked(self) -> None:
        found = self.measured([{"usual": "price", "bands": 4}], [0, 1, 7, 6, 5], [1, 2, -1, np.nan, 0])
        assert found.tolist() == [[1.0, 0.0, 0.0, 0.0]] * 9
        mixed = self.measured([{"usual": "price", "bands": 4}], [0, 7])
        np.testing.assert_allclose(mixed[0], [0.5**0.5, 0, 0, 0.5**0.5], atol=1e-3)
        assert self.measured([{"usual": "price", "bands": 4}]).tolist() == [[0.0] * 4] * 9

    @pytest.mark.parametrize(
        ("field", "among", "at"), [("brand", ("acme", "zeta"), 0), ("tags", ("blue", "red"), 1)]
    )
    def test_of_words_too(self, field: str, among: tuple[str, str], at: int) -> None:
        found = self.measured([{"usual": field, "among": among}], [1, 3])
        assert found[0].argmax() == at
        assert found[0].sum() == 1.0

    def test_a_cross_tells_the_usual_band_from_the_others(self) -> None:
        declared = [{"number": "price", "bands": 4}, {"usual": "price", "bands": 4}]
        found = self.measured([*declared, {"cross": ("price", "usual.price")}], [0, 1])
        crossed = found[:, 8:].reshape(9, 4, 4)
        assert crossed[0, 0, 0] == 1.0, "cheap, to who likes cheap things"
        assert crossed[7, 3, 0] == 1.0, "dear, to who likes cheap things"
        assert crossed.sum() == 8.0

    def test_what_makes_no_sense_is_told(self) -> None:
        for options in ({"words": "brand", "bands": 4}, {"usual": "price", "bands": 4, "width": 8}):
            with pytest.raises(ValidationError, match="`bands` are those of a number"):
                Feature(**options)  # type: ignore[arg-type]
        types: Any = {"price": "number", "brand": "category"}
        wrong = [Feature(usual="price"), Feature(usual="brand", bands=4), Feature(usual="price", bands=4)]
        assert [said for _, said in misfits(wrong, types)] == [
            "what is usual of the number 'price' is told in bands: add `bands: 4`",
            "`bands` are for numbers, and 'brand' is category",
        ]
