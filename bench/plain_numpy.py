"""The compositions as one would write them by hand for this one shop.

No guards, no trace, no propensities, no explanation, nothing to configure.
"""

from time import time

import numpy as np
from numpy.typing import NDArray
from tastemaker.core import Candidates, CatalogSnapshot

from .world import GENRES

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]
DAY = 86_400.0


class Plain:
    """Both compositions on arrays. won, lost: what Thompson sampling counts, shape (items,)."""

    def __init__(self, catalog: CatalogSnapshot) -> None:
        whole = Candidates(catalog, np.arange(len(catalog)))
        self.ids, self.vectors = catalog.ids, whole.embeddings
        names = ("price", "rating", "sold", "pages", "published", "adult", "available")
        self.price, self.rating, self.sold, self.pages, self.published, self.adult, self.available = (
            whole[name].copy() for name in names
        )
        self.genre: Mask = np.isin(whole["genre"], (GENRES[3], GENRES[17]))
        tags = whole.tags("topics")
        words = {
            word: place
            for place, word in enumerate(
                catalog.words("topics").words(np.arange(tags.shape[1], dtype=np.int32))
            )
        }
        self.topics = tags.toarray().astype(bool)
        self.banned: Mask = self.topics[:, words["ironmyth"]] | self.topics[:, words["glasstrade"]]
        self.words = words
        self.by_sold, self.by_date = np.argsort(-self.sold), np.argsort(-self.published)
        self.log_sold = np.log1p(self.sold) / np.log1p(self.sold.max())
        self.won, self.lost = np.ones(len(catalog)), np.ones(len(catalog))
        self.rng = np.random.default_rng(0)

    def reference(
        self, taste: NDArray[np.float32], topics: list[str], recent: Rows, bought: Rows
    ) -> list[tuple[str, float]]:
        """Twelve ids with their scores."""
        now = time()
        near = np.argpartition(self.vectors @ taste, -400)[-400:]
        anything = self.rng.choice(len(self.ids), 200, replace=False)
        rows = np.unique(np.concatenate((near, self.by_sold[:300], self.by_date[:200], anything)))
        keep = (
            self.available[rows] & ~self.adult[rows] & (self.price[rows] <= 60) & ~(self.rating[rows] < 1.5)
        )
        keep &= ~self.genre[rows] & ~self.banned[rows] & (self.published[rows] >= now - 3600 * DAY)
        keep &= (
            (self.pages[rows] >= 40)
            & (self.pages[rows] <= 1200)
            & ~np.isin(rows, recent)
            & ~np.isin(rows, bought)
        )
        rows = rows[keep]
        wanted = [self.words[topic] for topic in topics]
        score = 0.25 * (1 + self.vectors[rows] @ taste) + 0.2 * self.topics[rows][:, wanted].mean(axis=1)
        score += 0.1 * np.exp2(-(now - self.published[rows]) / DAY / 365) + 0.1 * self.log_sold[rows]
        head = np.argpartition(score, -200)[-200:]
        head = head[np.argsort(-score[head])]
        best = rows[head[:36]]
        total = score[head[:36]] + 0.4 * self.rng.beta(self.won[best], self.lost[best])
        vectors = self.vectors[best]
        alike, relevance = vectors @ vectors.T, (total - total.min()) / np.ptp(total)
        chosen: list[int] = []
        nearest = np.zeros(len(best))
        for _ in range(12):
            value = 0.8 * relevance - 0.2 * nearest
            value[chosen] = -np.inf
            chosen.append(int(value.argmax()))
            nearest = np.maximum(nearest, alike[chosen[-1]])
        return self._explored(best[chosen], total[chosen], rows[head[36:]])

    def light(self, taste: NDArray[np.float32], recent: Rows) -> list[tuple[str, float]]:
        """Twelve ids with their scores."""
        rows = self.by_sold[:100]
        rows = rows[~np.isin(rows, recent)]
        score = 0.3 * (1 + self.vectors[rows] @ taste)
        order = np.argsort(-score)
        head = rows[order[:36]]
        total = score[order[:36]] + 0.4 * self.rng.beta(self.won[head], self.lost[head])
        best = np.argsort(-total)
        return self._explored(head[best[:12]], total[best[:12]], head[best[12:]])

    def _explored(self, rows: Rows, score: NDArray[np.float64], pool: Rows) -> list[tuple[str, float]]:
        tried = np.flatnonzero(self.rng.random(len(rows)) < 0.15)
        rows[tried] = self.rng.choice(pool, len(tried), replace=False)
        return list(zip(self.ids[rows].tolist(), score.tolist(), strict=True))
