"""embeddings.text: templates, and the light embedder that is always there."""

import csv
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tastemaker.connectors.embeddings import Text, components
from tastemaker.connectors.text_hashing import hashed, words
from tastemaker.core import ConnectorError, Embedder

TOPICS = {
    "backup": [
        "Automated backups for PostgreSQL",
        "Backup automation with encryption",
        "Encrypted database backups, automated",
    ],
    "photos": ["Photo gallery for families", "Share photos and albums", "Photography galleries and albums"],
    "recipes": ["Cooking recipes and meal planner", "Recipe manager for meals", "Plan meals, cook recipes"],
    "音楽": ["音楽プレーヤー", "音楽プレーヤーと歌詞", "無料の音楽プレーヤー"],
    "музыка": ["Музыкальный проигрыватель", "Проигрыватель музыки", "Проигрыватели музыкальные"],
}


def test_offers_one_embedder() -> None:
    assert [component.component_name() for component in components()] == ["text"]
    assert all(issubclass(component, Embedder) for component in components())


# Templates


@pytest.mark.parametrize(
    ("template", "item", "text"),
    [
        ("{title}. {tags}", {"title": " Emma ", "tags": ["novel", "classic"]}, "Emma. novel, classic"),
        ("{title}. {tags}", {"title": "Emma"}, "Emma."),
        ("{title}. {tags}", {"tags": [], "title": None}, ""),
        (
            "{title} ({year}, {price})",
            {"title": "Emma", "year": 1815.0, "price": float("nan")},
            "Emma (1815, )",
        ),
        ("{{{title}}}", {"title": "Emma"}, "{Emma}"),
        ("by {owner.login}", {"owner": {"login": "ada"}}, "by ada"),
        ("by {owner.login}", {"owner": "ada"}, ""),
        ("{likes}", {"likes": {"jazz": 0.9, "folk": 0.2}}, "jazz, folk"),
        ("{rating}", {"rating": 4.5}, "4.5"),
        ("no field at all", {}, ""),
    ],
)
def test_a_template_is_filled_from_what_is_there(template: str, item: dict[str, Any], text: str) -> None:
    assert Text(text=template, profile=template).item_text(item) == text
    assert Text(text=template, profile=template).profile_text(item) == text


def test_a_profile_says_nothing_unless_a_template_asks() -> None:
    assert Text(text="{title}").profile_text({"interests": ["jazz"]}) == ""
    assert Text(text="{title}", profile="{interests}").profile_text({"interests": ["jazz"]}) == "jazz"


def test_the_fields_of_a_template_are_known_in_order() -> None:
    assert Text(text="{title}. {tags} {title}").item_fields == ("title", "tags")


@pytest.mark.parametrize("template", ["{", "}", "{}", "{title!r}", "{title:>10}"])
def test_a_malformed_template_is_refused(template: str) -> None:
    with pytest.raises(ValidationError, match="is no template"):
        Text(text=template)
    with pytest.raises(ValidationError, match="is no template"):
        Text(text="{title}", profile=template)


# The light embedder


def test_vectors_are_of_unit_length_and_zero_for_nothing() -> None:
    embedder = Text(text="{title}", dimensions=64)
    vectors = embedder.encode(["Emma", "", "  …  ", "It", "x" * 100_000])
    assert vectors.shape == (5, 64)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0, 1, 1], abs=1e-6)
    assert embedder.encode([]).shape == (0, 64)
    assert embedder.width == 64
    assert embedder.health() is None


def test_case_accents_and_order_make_no_difference() -> None:
    a, b = hashed(["Café crème, STRASSE", "strasse creme CAFE"], 384)
    assert a == pytest.approx(b, abs=1e-6)


def test_function_words_count_only_where_there_is_nothing_else() -> None:
    assert words("The art of the deal") == ["art", "deal"]
    assert words("It") == ["it"]
    assert words("हिन्दी गाने") == ["हनद", "गन"]


@pytest.mark.parametrize("topic", TOPICS)
def test_texts_on_one_topic_lie_closer_than_others(topic: str) -> None:
    names = [name for name, texts in TOPICS.items() for _ in texts]
    vectors = hashed([text for texts in TOPICS.values() for text in texts], 384)
    likeness = vectors @ vectors.T
    same = np.array([name == topic for name in names])
    assert likeness[np.ix_(same, same)].min() > likeness[np.ix_(same, ~same)].max()


@given(st.lists(st.text(max_size=30), max_size=12), st.integers(16, 400))
def test_a_text_has_one_vector_whatever_stands_beside_it(texts: list[str], width: int) -> None:
    together = hashed(texts, width)
    assert np.isfinite(together).all()
    for text, vector in zip(texts, together, strict=True):
        assert hashed([text], width)[0] == pytest.approx(vector, abs=1e-6)


def test_a_text_has_one_vector_in_every_process_and_on_every_machine() -> None:
    text = "Self-hosted photo gallery, Фото, 写真"
    code = (
        f"from tastemaker.connectors.text_hashing import hashed; print(hashed([{text!a}], 384).tolist()[0])"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert hashed([text], 384)[0].tolist() == json.loads(there.stdout)


def counted_out(said: dict[str, int], width: int) -> list[float]:
    """The vector of words by how often they are said, in plain whole numbers, letter by letter."""
    vector = [0.0] * width
    for word, count in said.items():
        letters = f"<{word}>"
        grams = [letters[start : start + n] for n in (3, 4, 5) for start in range(len(letters) - n + 1)]
        for gram in grams:
            value = len(gram)
            for letter in gram:
                value = (value * 0x100000001B3 + ord(letter)) % 2**64
            value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
            value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
            value ^= value >> 31
            sign = 1 if value % 2 else -1
            vector[value // 2 % width] += sign * math.sqrt(count) / math.sqrt(len(grams))
    length = math.hypot(*vector)
    return [part / length for part in vector]


def test_a_vector_is_the_signed_sum_of_the_parts_of_its_words() -> None:
    found = hashed(["The photo gallery: photo, photo, écran 写真", "ab"], 64)
    assert found[0] == pytest.approx(
        counted_out({"photo": 3, "gallery": 1, "ecran": 1, "写真": 1}, 64), abs=1e-6
    )
    assert found[1] == pytest.approx(counted_out({"ab": 1}, 64), abs=1e-6)


def test_projects_on_one_topic_find_each_other() -> None:
    """Of the ten nearest projects by description, as many share a topic as were measured for the decision."""
    path = Path(__file__).parents[2].parent / "shared" / "data" / "github-projects-unified" / "projects.csv"
    if not path.exists():
        assert os.environ.get("CI") != "true", f"{path} is missing"
        pytest.skip("needs the real data in ../shared/data")
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["topics"] and row["description"]]
    topics = [set(row["topics"].lower().split("|")) for row in rows]
    vectors = hashed([row["description"] for row in rows], 384)
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1)
    nearest = np.argpartition(-likeness, 10, axis=1)[:, :10]
    shared = np.mean(
        [[not topics[row].isdisjoint(topics[near]) for near in nearest[row]] for row in range(len(rows))]
    )
    assert len(rows) == 1600
    assert shared > 0.215  # 0.018 by chance, 0.18 by hashing whole words


def test_long_and_many_texts_are_taken_in_pieces() -> None:
    texts = [f"number {number} " + "word " * 1000 for number in range(300)]
    assert hashed(texts, 32)[[0, 150, 299]] == pytest.approx(
        hashed([texts[0], texts[150], texts[299]], 32), abs=1e-6
    )


def test_name_and_version_tell_widths_apart() -> None:
    narrow, wide = Text(text="{a}", dimensions=128), Text(text="{a}", dimensions=384)
    assert narrow.name == wide.name
    assert narrow.version != wide.version
    assert wide.version == Text(text="{b}").version


def test_many_threads_may_encode_at_once() -> None:
    embedder = Text(text="{title}")
    texts = [f"title {number}" for number in range(200)]
    expected, wrong = embedder.encode(texts), list[int]()

    def work() -> None:
        wrong.extend(1 for _ in range(5) if not np.array_equal(embedder.encode(texts), expected))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_without_the_library_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tastemaker.connectors.sentence_model.find_spec", lambda _: None)
    embedder = Text(text="{title}", model="all-MiniLM-L6-v2")
    with pytest.raises(ConnectorError, match=r"pip install 'tastemaker\[embeddings\]'"):
        embedder.open()
    assert "light embedder" in (embedder.health() or "")
