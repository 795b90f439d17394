"""Stocking: what the catalogues of all domains begin with, brought in where it has changed since the last time."""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from typing import Any

from ..clock import Clock
from ..config import DomainPlan, Step
from ..errors import CollectorError
from ..store import Store
from ..terms import Terms
from .expiry import in_force, remove_overdue
from .ingest import Report, ingest
from .sample import collected_note, drop_sample, has_others, origin_of, sample_step
from .stock import Stock

_log = logging.getLogger("tastemaker")

_OWN = Terms()


class Stocking:
    """Fills the stocks of all domains, and keeps them in step with the store.

    loop: on which collectors that are async run; its thread must not call what may wait for them.
    stocks: by domain. imports: by domain, what came of what was read: where nothing has changed, nothing is.
    """

    def __init__(
        self,
        store: Store,
        plans: Mapping[str, DomainPlan],
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.stocks: dict[str, Stock] = {}
        self.imports: dict[str, Report] = {}
        self._store, self._plans, self._clock, self._loop = store, plans, clock, loop

    def fill(self) -> None:
        """Bring in what is new, take out what may not be kept, and fill the stocks.

        Waits for collectors. Raises CollectorError, StoreError.
        """
        if any("tags" in plan.items.schema.fields.values() for plan in self._plans.values()):
            import scipy.sparse  # noqa: F401  # or the first request would wait for it
        for plan in self._plans.values():
            if plan.items.collector is not None:
                self._ingest(plan, plan.items.collector)
        plans = [in_force(self._store, plan) for plan in self._plans.values()]
        for plan in plans:
            remove_overdue(self._store, plan, self._clock())
            self.settle_sample(plan)
        end = self._store.end()
        for plan in plans:
            stock = self.stocks[plan.name] = Stock(self._store, plan)
            stock.refresh(end)

    def refresh(self, position: int) -> None:
        """Take in the changes of items that were committed up to a log position. Raises StoreError."""
        for stock in self.stocks.values():
            stock.refresh(position)

    def settle_sample(self, plan: DomainPlan) -> None:
        """Bring the sample in that stands in where a domain has no other items; take it out where it has.

        Waits for collectors. Raises StoreError.
        """
        step = sample_step(plan)
        if step is not None and not has_others(self._store, plan):
            try:
                self._ingest(plan, step)
            except CollectorError as error:  # the server can do without it
                _log.warning("%s: nothing stands in until there are items: %s", plan.name, error)
        if has_others(self._store, plan):  # also where another process has brought them meanwhile
            drop_sample(self._store, plan)

    def close(self) -> None:
        """Let go of the catalogues."""
        for stock in self.stocks.values():
            stock.catalog.close()

    def _ingest(self, plan: DomainPlan, step: Step) -> None:
        """Bring in what the domain's `items.from` has, where that has changed since the last time."""
        collector: Any = step.component
        schema = plan.items.schema
        terms = plan.origins.get(step.origin or "", _OWN)
        # What has to be removed some day is read again before.
        period = 0 if terms.seconds is None else self._clock() // (terms.seconds / 2)
        options = f"{step.use} {period or ''} {collector.model_dump_json()} {sorted(schema.fields.items())}"
        mark = hashlib.sha256(f"{options} {collector.fingerprint()}".encode()).hexdigest()[:16]
        note = collected_note(plan.name)
        if self._store.note(note) == mark:
            return
        report = ingest(
            self._store,
            plan.name,
            schema,
            collector,
            origin_of(step),
            replace=True,
            clock=self._clock,
            loop=self._loop,
        )
        self.imports[plan.name] = report
        self._store.put_note(note, mark)
        _log.info("%s: %d items read from %s", plan.name, report.written + report.unchanged, step.use)
        for fault in report.faults[:5]:
            _log.warning("%s: row left out: %s: %s", plan.name, fault.where, fault.message)
        if report.rejected > 5:
            _log.warning("%s: %d rows left out in all", plan.name, report.rejected)
