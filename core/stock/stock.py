"""The stock of a domain: its catalogue in memory, kept in step with the store, with a vector for every item."""

import hashlib
import logging
from collections.abc import Mapping, Sequence

import numpy as np

from ..catalog.catalog import Catalog
from ..catalog.items import Value
from ..components import Embedder
from ..config import DomainPlan
from ..store import Store
from .ingest import StoredItem

_log = logging.getLogger("tastemaker.stock")

_CHUNK = 5000


class Stock:
    """Keeps one domain's catalogue at a log position.

    position: the log position whose catalogue changes it holds.
    """

    def __init__(self, store: Store, plan: DomainPlan) -> None:
        self.plan = plan
        self.position = -1
        embedder = plan.items.embedder
        self.catalog = Catalog(plan.items.schema, dimensions=embedder.width if embedder else 0)
        self._store = store
        self._digests: dict[str, str] = {}

    def refresh(self, until: int) -> None:
        """Take in the changes that were committed up to a position. Raises StoreError."""
        if until <= self.position:
            return
        first = self.position < 0
        put: list[tuple[str, Mapping[str, Value]]] = []
        removed: list[str] = []
        fresh: dict[str, str] = {}
        embedder = self.plan.items.embedder
        for identity, body, _ in self._store.items(self.plan.name, after=self.position, until=until):
            if body is None:
                removed.append(identity)
                self._digests.pop(identity, None)
                continue
            item = StoredItem.from_bytes(body)
            put.append((identity, item.values))
            if embedder is not None:
                text = embedder.item_text(self._trainable(item))
                if self._digests.get(identity) != _text_digest(text):
                    fresh[identity] = text
            if len(put) >= _CHUNK:
                self.catalog.put(put)
                put = []
        if put:
            self.catalog.put(put)
        if removed:
            self.catalog.remove(removed)
        if embedder is not None and fresh:
            self._embed(embedder, fresh, known=first or len(fresh) > _CHUNK)
        self.position = until

    def _trainable(self, item: StoredItem) -> Mapping[str, Value]:
        """The values of an item that its vector may be made of."""
        terms = self.plan.origins.get(item.origin)
        if terms is None or terms.trainable:
            return item.values
        return {name: value for name, value in item.values.items() if not terms.withholds(name)}

    def _embed(self, embedder: Embedder, texts: Mapping[str, str], *, known: bool) -> None:
        """Give items the vectors of their texts: those that the store has, and new ones for the rest."""
        index = self.catalog.vectors
        assert index is not None
        wanted = {identity: _text_digest(text) for identity, text in texts.items()}
        if known:
            for ids, digests, matrix in self._store.vectors(self.plan.name, embedder.name, embedder.version):
                fits = [place for place, identity in enumerate(ids) if wanted.get(identity) == digests[place]]
                if fits:
                    index.put(self._rows([ids[place] for place in fits]), matrix[fits])
                    for place in fits:
                        self._digests[ids[place]] = wanted.pop(ids[place])
        missing = list(wanted)
        if len(missing) > 10 * _CHUNK:
            _log.info("%s: computing %d vectors with %s", self.plan.name, len(missing), embedder.name)
        for start in range(0, len(missing), _CHUNK):
            ids = missing[start : start + _CHUNK]
            digests = [wanted[identity] for identity in ids]
            try:
                matrix = np.asarray(embedder.encode([texts[identity] for identity in ids]), dtype=np.float32)
                index.put(self._rows(ids), matrix)
            except Exception as error:  # a plugin's code may raise anything
                index.remove(self._rows(ids))
                _log.error(
                    "%s: %d items have no vector: %s failed: %r",
                    self.plan.name,
                    len(ids),
                    embedder.name,
                    error,
                )
                continue
            self._store.put_vectors(self.plan.name, embedder.name, embedder.version, ids, digests, matrix)
            self._digests.update(zip(ids, digests, strict=True))

    def _rows(self, ids: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        return np.array([self.catalog.row(identity) for identity in ids], dtype=np.intp)


def _text_digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
