"""Accounts of users with services: encrypted, bound to user and service, forgotten with the user."""

import asyncio
import os
import sqlite3
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tastemaker.core import ConfigError, ConnectorError
from tastemaker.core.accounts import Accounts, Linked
from tastemaker.core.clock import ManualClock
from tastemaker.core.config import Settings, load, show
from tastemaker.core.orchestrator import Orchestrator
from tastemaker.core.store import Store

ACCOUNT = {"refresh_token": "r3fr3sh-QZX", "scopes": ["user-top-read"]}


def key() -> SecretStr:
    return SecretStr(urlsafe_b64encode(os.urandom(32)).decode())


OLD, NEW = key(), key()


@pytest.fixture
def store(url: str) -> Any:
    store = Store(url, clock=ManualClock(100.0))
    yield store
    store.close()


def kept(store: Store, *keys: SecretStr) -> Accounts:
    return Accounts(store.accounts, keys)


def run(awaitable: Any) -> Any:
    return asyncio.run(awaitable)


def test_an_account_comes_back_as_it_was_put(store: Store) -> None:
    accounts = kept(store, OLD)
    assert run(accounts.get("ann", "spotify")) is None
    run(accounts.put("ann", "spotify", {"refresh_token": "first"}))
    run(accounts.put("ann", "spotify", ACCOUNT))
    run(accounts.put("ann", "github", {"token": "t"}))
    run(accounts.put("bob", "spotify", {"token": "bob's"}))
    assert run(accounts.get("ann", "spotify")) == ACCOUNT
    assert run(accounts.linked("ann")) == [Linked("github", 100.0), Linked("spotify", 100.0)]
    assert run(accounts.remove("ann", "github")) == 1
    assert run(accounts.remove("ann", "github")) == 0
    assert [each.service for each in run(accounts.linked("ann"))] == ["spotify"]
    assert run(accounts.remove("ann")) == 1
    assert run(accounts.get("bob", "spotify")) == {"token": "bob's"}


def test_the_database_holds_nothing_that_can_be_read(sqlite: str) -> None:
    store = Store(sqlite)
    run(kept(store, OLD).put("ann", "spotify", ACCOUNT))
    store.close()
    data = Path(sqlite.removeprefix("sqlite:///")).read_bytes()
    assert b"spotify" in data
    assert b"QZX" not in data
    assert b"refresh_token" not in data


def test_without_a_key_nothing_is_kept_and_it_says_so(store: Store) -> None:
    for call in (lambda: run(kept(store).put("ann", "spotify", ACCOUNT)), kept(store).check):
        with pytest.raises(ConnectorError, match=r"no key is set; set accounts\.keys"):
            call()
    assert run(kept(store).linked("ann")) == []
    assert run(kept(store).get("ann", "spotify")) is None


def test_what_another_key_encrypted_has_to_be_linked_again(store: Store) -> None:
    run(kept(store, OLD).put("ann", "spotify", ACCOUNT))
    with pytest.raises(
        ConnectorError, match="'spotify' can't be read with the keys that are set: link it"
    ) as error:
        run(kept(store, NEW).get("ann", "spotify"))
    assert "QZX" not in repr(error.getrepr())
    assert run(kept(store, NEW).linked("ann")) == [Linked("spotify", 100.0)]


def test_a_key_is_changed_without_anybody_noticing(store: Store) -> None:
    for user in ("ann", "bob"):
        run(kept(store, OLD).put(user, "spotify", {"of": user}))
    both = kept(store, NEW, OLD)
    assert run(both.get("ann", "spotify")) == {"of": "ann"}
    assert both.rotate() == 2
    assert both.rotate() == 0
    assert run(kept(store, NEW).get("bob", "spotify")) == {"of": "bob"}
    with pytest.raises(ConnectorError):
        run(kept(store, OLD).get("bob", "spotify"))


def test_what_is_put_while_keys_change_is_not_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run(kept(store, OLD).put("ann", "spotify", {"token": 1}))
    both, put = kept(store, NEW, OLD), store.accounts.put

    def later(user: str, service: str, body: bytes, *, instead_of: bytes | None = None) -> None:
        monkeypatch.undo()
        run(both.put("ann", "spotify", {"token": 2}))
        put(user, service, body, instead_of=instead_of)

    monkeypatch.setattr(store.accounts, "put", later)
    both.rotate()
    assert run(both.get("ann", "spotify")) == {"token": 2}


@pytest.mark.parametrize("place", [("bob", "spotify"), ("ann", "github")])
def test_a_row_is_of_no_use_in_another_place(store: Store, place: tuple[str, str]) -> None:
    run(kept(store, OLD).put("ann", "spotify", ACCOUNT))
    body = store.accounts.one("ann", "spotify")
    assert body is not None
    store.accounts.put(*place, body)
    with pytest.raises(ConnectorError, match="can't be read"):
        run(kept(store, OLD).get(*place))


def test_nobody_elses_words_are_taken_for_an_account(store: Store) -> None:
    store.accounts.put("ann", "spotify", b'{"refresh_token": "forged"}')
    with pytest.raises(ConnectorError, match="can't be read"):
        run(kept(store, OLD).get("ann", "spotify"))


BOOKS = """
store: sqlite:///books.db
accounts: {{keys: [{keys}]}}
domains:
  books: {{items: {{fields: {{title: text}}}}, sources: [{{use: catalog.random}}]}}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    def loaded(*keys: str) -> Settings:
        path = tmp_path / "config.yaml"
        path.write_text(BOOKS.format(keys=", ".join(f'"{each}"' for each in keys)))
        return load(path)

    return loaded


@pytest.mark.parametrize("bad", ["secret-QZX", "c2hvcnQ=", "é" * 44])
def test_a_key_that_is_none_is_refused_without_being_shown(
    settings: Callable[..., Settings], bad: str
) -> None:
    with pytest.raises(ConfigError, match="32 bytes in URL-safe base64") as error:
        settings(bad)
    assert bad not in str(error.value)


def test_the_configuration_never_shows_a_key(settings: Callable[..., Settings]) -> None:
    found = settings(NEW.get_secret_value(), OLD.get_secret_value(), "${NOT_SET:-}")
    assert [each.get_secret_value() for each in found.accounts.keys] == [
        NEW.get_secret_value(),
        OLD.get_secret_value(),
    ]
    for shown in (show(found), repr(found.accounts)):
        assert NEW.get_secret_value() not in shown
        assert OLD.get_secret_value() not in shown


def test_an_orchestrator_keeps_rotates_and_forgets_them(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    async def life(keys: Sequence[SecretStr], live: Callable[[Orchestrator], Any]) -> Any:
        found = settings(*(each.get_secret_value() for each in keys))
        async with Orchestrator(found, follow=False) as tastemaker:
            await tastemaker.background.finish(60)
            return await live(tastemaker)

    run(life([OLD], lambda tastemaker: tastemaker.accounts.put("ann", "spotify", ACCOUNT)))
    run(life([NEW, OLD], lambda tastemaker: tastemaker.accounts.linked("ann")))
    assert run(life([NEW], lambda tastemaker: tastemaker.accounts.get("ann", "spotify"))) == ACCOUNT
    assert run(life([NEW], lambda tastemaker: tastemaker.erase("ann")))["accounts"] == 1
    assert run(life([NEW], lambda tastemaker: tastemaker.accounts.linked("ann"))) == []
    connection = sqlite3.connect(tmp_path / "books.db")
    assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (0,)
    connection.close()
