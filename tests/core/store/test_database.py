"""Which databases can be opened, what is said when one can't, and the schema."""

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from tastemaker.core import StoreError, StoreUnavailable
from tastemaker.core.store import Store, migrations
from tastemaker.core.store.tables import metadata

Open = Callable[..., Store]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense with secret", "right would be sqlite:///"),
        ("mysql://ada:secret@host/db", "mysql is no store"),
        ("postgresql+psycopg2://ada:secret@host/db", "psycopg2 is no store"),
        ("sqlite://", "path of a file"),
        ("sqlite:///:memory:", "path of a file"),
        ("sqlite:////nowhere/at/all/store.db", "folder /nowhere/at/all doesn't exist"),
    ],
)
def test_urls_that_mean_no_store(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as caught:
        Store(url)
    assert not isinstance(caught.value, StoreUnavailable)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ada:secret@127.0.0.1:9/db",
        "postgresql://ada@127.0.0.1:9/db?password=secret&sslpassword=secret",
    ],
)
def test_a_server_that_isnt_there_may_come_and_passwords_stay_hidden(url: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:9/db.*can't be opened") as caught:
        Store(url)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Ada, " * 1000)
    with pytest.raises(StoreError, match=r"letter\.txt.*not a database"):
        Store(f"sqlite:///{file}")
    assert file.read_text() == "Dear Ada, " * 1000


def test_a_store_shows_its_url_without_the_password(store: Store, url: str) -> None:
    assert repr(store).startswith(
        "Store('sqlite:///" if url.startswith("sqlite") else "Store('postgresql+psycopg:"
    )
    store.ping()


def test_the_migrated_schema_is_that_of_the_tables(url: str, store: Store) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_every_version_is_on_one_line_that_ends_at_head() -> None:
    folder = Path(str(migrations.__file__)).parent
    script = ScriptDirectory(str(folder))
    assert script.get_heads() == [migrations.HEAD]
    names = {name for _, name, _ in pkgutil.walk_packages([str(folder)])}
    assert names >= {"env", "versions"}


def test_a_database_of_a_newer_version_is_left_alone(url: str) -> None:
    Store(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"schema is '9999'.*newer"):
        Store(url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    engine.dispose()


def test_threads_open_a_new_database_at_once(open_store: Open) -> None:
    with ThreadPoolExecutor(6) as threads:
        for store in threads.map(lambda _: open_store(), range(6)):
            store.ping()


def test_what_was_written_is_there_after_opening_again(open_store: Open) -> None:
    store = open_store()
    store.put_items("music", [("a", b"{}")]).result()
    store.close()
    again = open_store()
    assert (again.end(), again.item("music", "a")) == (1, b"{}")


def test_without_the_driver_of_postgresql_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from tastemaker.core import StoreError\nfrom tastemaker.core.store import Store\n"
        "try: Store('postgresql+psycopg://ada:secret@host/db')\n"
        "except StoreError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'tastemaker[postgres]'" in said
    assert "secret" not in said


def test_the_migrations_are_importable_packages() -> None:
    for name in ("migrations", "migrations.versions"):
        assert importlib.import_module(f"tastemaker.core.store.{name}").__doc__
