"""Checkpoints of policies, and the versions that are kept."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, func, select, update
from tastemaker.core import Conflict
from tastemaker.core.store import Checkpoint, Entry, NewVersion, Store, Switch
from tastemaker.core.store.tables import policy_versions
from tastemaker.core.store.versions import _checksum as checksum

Open = Callable[..., Store]

PLACE = ("music", "thompson", "digest")


def kept(url: str) -> list[int]:
    engine = create_engine(url)
    with engine.connect() as connection:
        positions = (
            connection.execute(select(policy_versions.c.position).order_by("position")).scalars().all()
        )
    engine.dispose()
    return list(positions)


def test_the_newest_state_comes_back(store: Store) -> None:
    assert store.latest_checkpoint(*PLACE) is None
    store.checkpoint(*PLACE, 10, b"\0ten")
    store.checkpoint(*PLACE, 20, b"\xfftwenty")
    assert store.latest_checkpoint(*PLACE) == Checkpoint(20, b"\xfftwenty")
    for other in (("video", *PLACE[1:]), ("music", "linucb", "digest"), ("music", "thompson", "other")):
        assert store.latest_checkpoint(*other) is None


def test_the_newest_three_are_kept(url: str, store: Store) -> None:
    for position in (5, 1, 4, 2, 3):
        store.checkpoint(*PLACE, position, b"state")
    store.checkpoint("music", "thompson", "other", 1, b"state")
    assert kept(url) == [1, 3, 4, 5]
    store.checkpoint(*PLACE, 6, b"state", keep=1)
    assert kept(url) == [1, 6]


def test_the_same_checkpoint_twice_is_one(url: str, store: Store) -> None:
    store.checkpoint(*PLACE, 5, b"state")
    store.checkpoint(*PLACE, 5, b"state")
    assert kept(url) == [5]
    assert store.latest_checkpoint(*PLACE) == Checkpoint(5, b"state")


@pytest.mark.parametrize(
    "damage",
    [
        {"state": b"stat3"},
        {"state": b""},
        {"checksum": "0" * 64},
        {"position": 31},
    ],
)
def test_a_damaged_state_is_passed_over_and_mended_by_the_next_checkpoint(
    url: str, store: Store, damage: dict[str, object]
) -> None:
    for position in (10, 20, 30):
        store.checkpoint(*PLACE, position, b"state")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(update(policy_versions).where(policy_versions.c.position == 30).values(damage))
        assert connection.execute(select(func.count()).select_from(policy_versions)).scalar_one() == 3
    engine.dispose()
    assert store.latest_checkpoint(*PLACE) == Checkpoint(20, b"state")
    store.checkpoint(*PLACE, 30, b"state")
    assert store.latest_checkpoint(*PLACE) == Checkpoint(30, b"state")


def new(number: int = 0, policy: str = "taste", *, clean: int = 0, origin: str = "saved") -> NewVersion:
    return NewVersion(
        "music", policy, "digest", number, clean, f"state {number}".encode(), origin, note="a note"
    )


class TestKeptVersions:
    def test_numbers_count_from_one_for_each_policy(self, store: Store) -> None:
        assert [store.versions.add(new(n), keep=9) for n in range(3)] == [1, 2, 3]
        assert store.versions.add(new(policy="mood"), keep=9) == 1
        assert [version.name for version in store.versions.all("music")] == [
            "mood@1",
            "taste@3",
            "taste@2",
            "taste@1",
        ]
        version = store.versions.one("music", "taste", 2)
        assert version is not None
        assert (version.position, version.size, version.origin, version.note) == (1, 7, "saved", "a note")
        assert store.versions.state(version) == b"state 1"
        assert store.versions.one("music", "taste", 9) is None
        assert store.versions.all("video") == []

    def test_checkpoints_come_and_go_without_them(self, url: str, store: Store) -> None:
        store.versions.add(NewVersion(*PLACE, 5, 0, b"kept", "saved"), keep=9)
        for position in (5, 6, 7, 8):
            store.checkpoint(*PLACE, position, b"state", keep=2)
        assert kept(url) == [5, 7, 8]
        version = store.versions.one("music", "thompson", 1)
        assert version is not None
        assert store.versions.state(version) == b"kept"
        assert store.latest_checkpoint(*PLACE) == Checkpoint(8, b"state")

    def test_the_oldest_go_but_never_the_active_one_nor_what_was_live_before_it(self, store: Store) -> None:
        for number in range(3):
            store.versions.add(new(number, origin="training"), keep=3)
        first = store.versions.one("music", "taste", 1)
        assert first is not None
        switch = store.versions.switch(first, new(99, origin="promotion"), keep=3)
        assert (switch.number, switch.before, switch.position) == (1, 4, 1)
        for number in range(4, 9):
            store.versions.add(new(number, origin="training"), keep=3)
        assert [version.number for version in store.versions.all("music")] == [9, 8, 7, 4, 1]
        assert store.versions.switches("music")["taste", "digest"] == switch
        ninth = store.versions.one("music", "taste", 9)
        assert ninth is not None
        second = store.versions.switch(ninth, new(100, origin="promotion"), keep=3, after=switch)
        assert second.before == 10
        for number in range(101, 105):
            store.versions.add(new(number, origin="training"), keep=3)
        assert [version.number for version in store.versions.all("music")] == [14, 13, 12, 10, 9]

    def test_what_came_by_itself_never_pushes_out_what_was_saved(self, store: Store) -> None:
        for number in range(10):
            store.versions.add(new(number), keep=2)
        for number, origin in enumerate(["training", "promotion"] * 5):
            store.versions.add(new(number, origin=origin), keep=2)
        assert [version.number for version in store.versions.all("music")] == [20, 19, *range(10, 2, -1)]

    def test_of_two_that_decide_on_the_same_state_of_things_one_promotes(self, open_store: Open) -> None:
        stores = [open_store() for _ in range(4)]
        store = stores[0]
        version = store.versions.one("music", "taste", store.versions.add(new(), keep=9))
        assert version is not None
        last = None
        for round_ in range(3):
            live = new(store.end(), clean=store.end(), origin="promotion")

            def promote(store: Store, last: Switch | None = last, live: NewVersion = live) -> Switch | None:
                assert version is not None
                try:
                    return store.versions.switch(version, live, keep=9, after=last)
                except Conflict:
                    return None

            with ThreadPoolExecutor(4) as threads:
                made = [switch for switch in threads.map(promote, stores) if switch is not None]
            assert len(made) == 1
            (last,) = made
            assert last == store.versions.newest_switch("music", "taste")
            assert (last.before, store.end()) == (round_ + 2, round_ + 1)
        with pytest.raises(Conflict, match="promoted meanwhile: look again"):
            store.versions.switch(version, None, keep=9)

    def test_what_was_live_before_an_earlier_promotion_is_not_kept_for_a_return(self, store: Store) -> None:
        version = store.versions.one("music", "taste", store.versions.add(new(), keep=9))
        assert version is not None
        first = store.versions.switch(version, None, keep=9)
        with pytest.raises(Conflict, match="has not arrived here yet"):
            store.versions.switch(version, new(first.position - 1), keep=9, after=first)
        assert [each.number for each in store.versions.all("music")] == [1]

    def test_a_number_is_never_given_twice(self, store: Store) -> None:
        store.append([Entry("interaction", "x", "music", "ann", b"{}")]).result()
        for number in range(1, 4):
            store.versions.add(new(number), keep=9)
        assert store.erase("ann").result()["versions"] == 3
        assert store.versions.all("music") == []
        assert store.versions.add(new(clean=store.end()), keep=9) == 4

    def test_an_erasure_takes_only_what_may_have_learned_from_the_user(self, store: Store) -> None:
        for number, (domain, user) in enumerate([("music", "eve"), ("music", "ann"), ("video", "eve")]):
            store.append([Entry("interaction", str(number), domain, user, b"{}")]).result()
        for domain in ("music", "video"):
            store.checkpoint(domain, "taste", "digest", 1, b"state")
            for position in range(4):
                store.versions.add(replace(new(position), domain=domain), keep=9)
        made_before = new(3, clean=store.end())
        assert store.erase("ann").result() == {"profiles": 0, "accounts": 0, "entries": 1, "versions": 3}
        assert [version.position for version in store.versions.all("music")] == [1, 0]
        assert [version.position for version in store.versions.all("video")] == [3, 2, 1, 0]
        assert store.latest_checkpoint("music", "taste", "digest") is None
        assert store.latest_checkpoint("video", "taste", "digest") is not None
        assert [entry.body for entry in store.read(3)] == [b'{"domains":["music"]}']
        with pytest.raises(Conflict, match="a user was erased"):
            store.versions.add(made_before, keep=9)
        assert store.versions.add(replace(made_before, domain="video"), keep=9) == 5

    def test_who_has_a_profile_only_has_taught_nothing(self, store: Store) -> None:
        store.checkpoint("music", "taste", "digest", 0, b"state")
        store.versions.add(new(), keep=9)
        store.put_profile("ann", b"{}").result()
        assert store.erase("ann").result() == {"profiles": 1, "accounts": 0, "entries": 1, "versions": 0}
        assert [entry.body for entry in store.read(0)] == [b'{"domains":[]}']
        assert store.latest_checkpoint("music", "taste", "digest") is not None
        assert store.versions.add(new(1), keep=9) == 2

    @pytest.mark.parametrize("body", [b"{}", b"", b"[]", b'{"domains": null}'])
    def test_an_erasure_that_names_no_domains_means_all(self, body: bytes) -> None:
        assert Entry("erasure", "e", "", "", body).erased_in("music")
        assert not Entry("tick", "e", "", "", body).erased_in("music")

    def test_what_an_erased_user_may_be_in_is_not_kept(self, store: Store) -> None:
        store.append([Entry("interaction", "x", "music", "ann", b"{}")]).result()
        old = store.versions.add(new(1, clean=1), keep=9)
        version = store.versions.one("music", "taste", old)
        assert version is not None
        store.erase("ann").result()
        with pytest.raises(Conflict, match="a user was erased"):
            store.versions.add(new(clean=1), keep=9)
        with pytest.raises(Conflict, match=r"taste@1 is gone"):
            store.versions.switch(version, None, keep=9)
        assert [entry.kind for entry in store.read(0)] == ["erasure"]

    @pytest.mark.parametrize("damage", [{"state": b"stat3"}, {"position": 31}, {"config_digest": "other"}])
    def test_a_damaged_one_is_not_given(self, url: str, store: Store, damage: dict[str, object]) -> None:
        store.versions.add(new(), keep=9)
        version = store.versions.one("music", "taste", 1)
        assert version is not None
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(update(policy_versions).values(damage))
        engine.dispose()
        assert store.versions.state(version) is None

    def test_threads_of_two_processes_never_share_a_number(self, open_store: Open) -> None:
        stores = [open_store() for _ in range(3)]
        with ThreadPoolExecutor(6) as threads:
            numbers = list(threads.map(lambda n: stores[n % 3].versions.add(new(n), keep=99), range(18)))
        assert sorted(numbers) == list(range(1, 19))


def test_a_database_of_the_first_schema_keeps_its_checkpoints(url: str) -> None:
    """Migrated from 0001 with rows in it."""
    Store(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in (
            "accounts",
            "training_runs",
            "policy_versions",
            "alembic_version",
            "notes",
            "vectors",
            "items",
            "users",
        ):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        for table in ("log_end", "log"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        context = MigrationContext.configure(connection)
        first = import_module("tastemaker.core.store.migrations.versions.v0001_first")
        with Operations.context(context):
            first.upgrade()
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('0001')")
        place = Checkpoint(7, b"\0old")
        row = ("id", *PLACE, 7, 1.0, checksum(PLACE, place), b"\0old")
        marks = ", ".join(["%s" if "postgresql" in url else "?"] * len(row))
        names = "id, domain, policy, config_digest, position, created, checksum, state"
        connection.exec_driver_sql(f"INSERT INTO policy_versions ({names}) VALUES ({marks})", row)
    engine.dispose()
    store = Store(url)
    try:
        assert store.latest_checkpoint(*PLACE) == place
        assert store.versions.all("music") == []
        store.checkpoint(*PLACE, 8, b"new", keep=1)
        assert kept(url) == [8]
        assert store.versions.add(new(), keep=9) == 1
    finally:
        store.close()


def test_a_claim_is_for_one_and_for_each_time_once(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    for due in (100.0, 200.5, 300.25):
        with ThreadPoolExecutor(4) as threads:
            claimed = list(threads.map(lambda store, due=due: store.claim("nightly", due), stores))
        assert sorted(claimed) == [False, False, False, True]
    assert not stores[0].claim("nightly", 200.5)
    assert stores[0].claim("weekly", 200.5)


def test_entries_are_counted_and_found_by_kind(store: Store) -> None:
    for number in range(10):
        kind, domain = ("slate", "interaction")[number % 2], ("music", "video")[number == 4]
        store.append([Entry(kind, f"e{number}", domain, "ann", b"{}")]).result()
    assert store.count("slate", "music", after=0, until=10) == 4
    assert store.count("slate", "music", after=1, until=7) == 2
    assert [store.nth("slate", "music", n, after=0, until=10) for n in range(5)] == [1, 3, 7, 9, None]
    assert store.nth("slate", "music", 1, after=1, until=7) == 7
