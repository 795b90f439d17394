"""A sentence-transformers model: found on disk, named by the content of its files, loaded once."""

import hashlib
import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from ..core import ConnectorError

_INSTALL = "pip install 'tastemaker[embeddings]'"

_CONTENT = {".json", ".txt", ".model", ".safetensors", ".bin"}
"""Endings of the files that decide what a text's vector is."""

_OTHER_ENGINES = {"onnx", "openvino"}
"""Folders in which a model repeats its weights for other engines."""


class SentenceModel:
    """One model by its name on the Hugging Face hub, or by a local path.

    Models with equal files are loaded once per process, however many domains name them.
    """

    def __init__(self, model: str, *, download: bool = False) -> None:
        self.name = Path(model).name
        self._model = model
        self._download = download
        self._folder: Path | None = None
        self._loaded: _Loaded | None = None
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """The first 16 hexadecimal digits of a SHA-256 over the model's files. Raises ConnectorError."""
        return _folder_digest(self._found())[:16]

    @property
    def width(self) -> int:
        """The length of a vector. Raises ConnectorError."""
        return self.load().width

    def trouble(self) -> str | None:
        """Why the model can't be used, None where it can."""
        try:
            self.load()
        except ConnectorError as problem:
            return str(problem)
        return None

    def load(self) -> "_Loaded":
        """The model in memory. Raises ConnectorError where the model or its library is missing."""
        if self._loaded is None:
            folder = self._found()
            with self._lock:
                if self._loaded is None:
                    self._loaded = _shared(folder)
        return self._loaded

    def encode(self, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        """Unit vectors, shape (n, width); zero for an empty text. Raises ConnectorError."""
        model = self.load()
        vectors = np.zeros((len(texts), model.width), dtype=np.float32)
        filled = [place for place, text in enumerate(texts) if text.strip()]
        if filled:
            vectors[filled] = model.encode([texts[place] for place in filled], batch_size)
        return vectors

    def _found(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = _folder(self._model, self._download)
            return self._folder


class _Loaded:
    """Weights in memory, with one caller at a time: the tokenizer is not safe for two."""

    def __init__(self, folder: Path) -> None:
        library = import_module("sentence_transformers")  # slow to import, so only where a model is used
        import_module("transformers.utils.logging").disable_progress_bar()
        self._engine: Any = library.SentenceTransformer(str(folder), local_files_only=True)
        self._lock = threading.Lock()
        self.width = int(self.encode(["width"], 1).shape[1])

    def encode(self, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        with self._lock:
            vectors = self._engine.encode(
                list(texts),
                batch_size=batch_size,
                convert_to_numpy=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        return np.asarray(vectors, dtype=np.float32)


_in_memory: WeakValueDictionary[str, _Loaded] = WeakValueDictionary()
_loading = threading.Lock()


def _shared(folder: Path) -> _Loaded:
    key = _folder_digest(folder)
    with _loading:
        loaded = _in_memory.get(key)
        if loaded is None:
            try:
                loaded = _in_memory[key] = _Loaded(folder)
            except Exception as problem:  # the library raises whatever the broken file led to
                raise ConnectorError(
                    f"the model in {folder} can't be loaded ({_first_line(problem)}); it must be a folder "
                    "that sentence-transformers saved, complete and of a version that is installed"
                ) from problem
        return loaded


def _folder(model: str, download: bool) -> Path:
    """Where the model's files lie. Raises ConnectorError."""
    if find_spec("sentence_transformers") is None:
        raise ConnectorError(
            f"the model {model!r} needs sentence-transformers, which is not installed: {_INSTALL}; "
            "or leave `model` out and the light embedder is used"
        )
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file() and not (path / "modules.json").is_file():
            raise ConnectorError(
                f"{path} holds no model: it must be a folder that sentence-transformers saved"
            )
        _quiet(offline=True)
        return path.resolve()
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise ConnectorError(
            f"no model at {path.absolute()}: it must be a folder that sentence-transformers saved"
        )
    _quiet(offline=not download)
    return _from_hub(model, download)


def _from_hub(model: str, download: bool) -> Path:
    try:
        found = import_module("huggingface_hub").snapshot_download(
            model if "/" in model else f"sentence-transformers/{model}",
            local_files_only=not download,
            ignore_patterns=["onnx/*", "openvino/*", "*.h5", "*.ot", "*.msgpack"],
        )
    except (
        Exception
    ) as problem:  # the hub's client raises its own, its HTTP library's and the system's errors
        if download:
            what_then = f"could not be fetched ({_first_line(problem)}): check its name and the connection"
        else:
            what_then = (
                "is not on this machine: give a local folder, or write `download: true` to fetch it once"
            )
        raise ConnectorError(f"the model {model!r} {what_then}") from problem
    return Path(found)


def _quiet(*, offline: bool) -> None:
    """Keep the libraries from calling home; they read this when they are first imported."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _folder_digest(folder: Path) -> str:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _CONTENT
        and path.is_file()
        and not _OTHER_ENGINES.intersection(path.relative_to(folder).parts)
    ]
    if any(path.suffix == ".safetensors" for path in files):
        files = [path for path in files if path.suffix != ".bin"]
    whole = hashlib.sha256()
    for path in files:
        state = path.stat()
        whole.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        whole.update(_file_digest(path, state.st_size, state.st_mtime_ns))
    return whole.hexdigest()


@lru_cache(maxsize=1024)
def _file_digest(path: Path, _size: int, _modified: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _first_line(problem: BaseException | None) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]
