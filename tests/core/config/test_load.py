import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tastemaker.core import ConfigError
from tastemaker.core.config import load
from tastemaker.core.rewards import RewardTable

House = Any  # the fixture's class lives in conftest.py

WHOLE = """
version: 1
store: sqlite:///taste.db
plugins: [./toy.py]
api:
  port: 8123
  keys: ["${KEY:-a-secret}"]
domains:
  books:
    extends: toy
    title: Books
    items:
      embedding: {use: toy.text, text: "{title} {genres}"}
    filters:
      - {use: toy.seen, days: 7, on_error: ignore}
      - {use: toy.where, field: rating, at_least: 3.5, timeout_ms: 20}
    policies: {taste: {use: toy.ranker, weight: 0.4}}
    rewards: {open: 0.2, finish: 1, rating: {1: -1, 5: 1}, dwell: {per_unit: 0.1}, seen: -0.1}
    slate: {size: 12, max_per: {genres: 4}, stable: day}
    learning: {window_minutes: 5}
"""


def _option(step: Any, name: str) -> Any:
    return getattr(step.component, name)


def test_a_whole_configuration(house: House) -> None:
    path = house.write("config.yaml", WHOLE)
    settings = load(path, environ={"KEY": "key-of-the-environment"})
    assert settings.path == path
    assert settings.store.get_secret_value() == f"sqlite:///{house.folder}/taste.db"
    assert (settings.api.host, settings.api.port) == ("127.0.0.1", 8123)
    assert [key.get_secret_value() for key in settings.api.keys] == ["key-of-the-environment"]
    books = settings.domains["books"]
    assert (books.name, books.title) == ("books", "Books")
    assert [step.name for step in books.sources] == ["popular", "similar", "similar_2"]
    assert [(step.name, step.use, step.on_error, step.timeout_ms) for step in books.filters] == [
        ("seen", "toy.seen", "ignore", None),
        ("where", "toy.where", "fail_closed", 20.0),
    ]
    assert [(step.name, step.weight) for step in (*books.scorers, *books.policies)] == [
        ("recent", 1.0),
        ("taste", 0.4),
    ]
    assert books.items.schema.id == "isbn"
    assert books.items.schema.fields["genres"] == "tags"
    assert books.items.collector is not None
    assert _option(books.items.collector, "path") == house.folder / "presets/books.csv"
    assert books.items.embedder is not None
    assert isinstance(books.reward, RewardTable)
    assert books.reward.kinds["rating"] == {1.0: -1.0, 5.0: 1.0}
    assert books.reward.seen == -0.1
    assert (books.slate.size, books.slate.explore, books.slate.stable) == (12, 0.1, "day")
    assert books.learning.window_minutes == 5
    assert len(books.digest) == 16


def test_an_empty_file_is_an_empty_configuration(house: House) -> None:
    settings = load(house.write("empty.yaml", ""), environ={})
    assert dict(settings.domains) == {}
    assert settings.store.get_secret_value() == f"sqlite:///{house.folder}/tastemaker.db"


def test_layers_lie_over_each_other(house: House) -> None:
    house.write(
        "config.local.yaml",
        """
        domains:
          books:
            slate: {size: 6, explore: null}
            sources: {similar_2: null, popular: {limit: 9}}
        """,
    )
    books = house.books("slate: {size: 5, explore: 0.5}", "domains.books.slate.size=7").domains["books"]
    assert (books.slate.size, books.slate.explore) == (7, 0.0)
    assert [(step.name, _option(step, "limit")) for step in books.sources] == [
        ("popular", 9),
        ("similar", 50),
    ]


def test_a_list_takes_the_place_of_a_presets_entries(house: House) -> None:
    books = house.books("sources: [{use: toy.similar, limit: 2}]").domains["books"]
    assert [(step.name, _option(step, "limit")) for step in books.sources] == [("similar", 2)]


def test_a_removed_domain_is_gone_and_one_switched_off_is_not_built(house: House) -> None:
    assert dict(house.load("domains: {books: {extends: toy}}", "domains.books=null").domains) == {}
    assert dict(house.load("domains: {books: {enabled: false}}").domains) == {}


def test_a_domain_removed_by_one_layer_starts_anew_in_the_next(house: House) -> None:
    house.write("config.local.yaml", "domains: {books: null}")
    said = house.problems(house.books, "slate: {size: 5}", "domains.books.slate.size=7")
    assert any("error[E07] the domain 'books' needs 'items'" in line for line in said)


def test_presets_stand_on_presets(house: House) -> None:
    house.write("presets/short.yaml", "extends: toy\nslate: {size: 3}\nscorers: {recent: null}")
    books = house.load("domains: {books: {extends: toy.short, slate: {explore: 0.4}}}").domains["books"]
    assert (books.slate.size, books.slate.explore, books.scorers) == (3, 0.4, ())


def test_local_layers_may_choose_another_preset(house: House) -> None:
    house.write("presets/short.yaml", "extends: toy\nslate: {size: 3}")
    assert house.books("", "domains.books.extends=toy.short").domains["books"].slate.size == 3


def test_paths_are_relative_to_the_file_that_names_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = house.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    def path(text: str, *overrides: str) -> Path:
        collector = house.books(text, *overrides).domains["books"].items.collector
        found = collector.component.path
        assert isinstance(found, Path)
        return found

    assert path("") == house.folder / "presets/books.csv"
    assert path("items: {from: {path: a.csv}}") == house.folder / "a.csv"
    assert path("", "domains.books.items.from.path=b.csv") == elsewhere / "b.csv"
    assert path("items: {from: {path: /tmp/c.csv}}") == Path("/tmp/c.csv")
    more = house.books("items: {from: {more: [x, /y]}}").domains["books"].items.collector.component.more
    assert more == [house.folder / "x", Path("/y")]


def test_the_file_of_the_current_folder_is_the_default(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.write("config.yaml", "api: {port: 1}")
    monkeypatch.chdir(house.folder)
    assert load(None, environ={}).api.port == 1


def test_the_packaged_file_keeps_its_database_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, environ={})
    assert settings.store.get_secret_value() == f"sqlite:///{tmp_path}/tastemaker.db"


@pytest.mark.parametrize(
    ("store", "found"),
    [
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:////var/x.db?timeout=3", "sqlite:////var/x.db?timeout=3"),
        ("postgresql+psycopg://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
    ],
)
def test_stores(house: House, store: str, found: str) -> None:
    assert house.load(f"store: '{store}'").store.get_secret_value() == found


def test_secrets_are_not_in_the_settings_text(house: House) -> None:
    settings = house.load("store: postgresql://u:hush@h/db\napi: {keys: [hush-hush]}")
    assert "hush" not in repr(settings.store)
    assert "hush" not in repr(settings.api)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "rewards: {like: 1, bonuses: {quick: {add: 1, kinds: [lik], within_seconds: 3}}}",
            "'rewards': the bonus 'quick' is for a kind 'lik' that is not in the map; did you mean 'like'?",
        ),
        ("rewards: {at_least: 4, at_most: 3}", "'rewards': at_least must not be above at_most, not 4 and 3"),
        (
            "rewards: {like: 1, bonuses: {quick: {add: 1, whithin: 3}}}",
            "no key is called 'whithin'; did you mean 'within_seconds'?",
        ),
        (
            "learning: {schedules: {rankerz: {cron: x}}}",
            "no key is called 'rankerz'; did you mean 'rankers'?",
        ),
        (
            "policies: {x: {use: linucb.ranker, mode: shared, arms: genre}}",
            "'linucb.ranker': `arms` goes with mode disjoint or hybrid: a shared model has no arms",
        ),
        (
            "policies: {x: {use: linucb.ranker, features: [{situation: mood, among: [4]}]}}",
            "entry 1 of 'among' must be a text, not 4; put it in quotes",
        ),
        (
            "policies: {x: {use: linucb.ranker, features: [{situation: mood, among: []}]}}",
            "'among' must have at least 1 entries",
        ),
        (
            "policies: {x: {use: linucb.ranker, features: [{number: rating}, {cross: [rating]}]}}",
            "'cross' must have 2 entries",
        ),
        (
            "policies: {x: {use: linucb.ranker, features: [{numbr: rating}]}}",
            "no key is called 'numbr'; did you mean 'number'?",
        ),
    ],
)
def test_what_is_wrong_inside_or_as_a_whole_is_told_once_and_no_more(
    house: House, text: str, said: str
) -> None:
    (found,) = house.problems(house.books, text)
    assert re.fullmatch(r"config\.yaml:\d+:\d+: error\[E0[35]\] " + re.escape(said), found)


def test_what_a_broken_plugin_leaves_empty_is_not_told_as_well(house: House) -> None:
    house.write("bad.py", "import nowhere_at_all")
    house.write("presets/odd.yaml", "extends: toy\nsources: [{use: bad.one}]")
    path = house.write(
        "config.yaml",
        "plugins: [./toy.py, ./bad.py]\ndomains: {a: {extends: toy.odd}, b: {extends: toy.odd}}",
    )
    (said,) = house.problems(load, path, environ={})
    assert "error[E08] the plugin 'bad'" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2", "config.yaml:2:10: error[E05] 'version' must be 1"),
        ("stor: x", "error[E03] no key is called 'stor' here; did you mean 'store'?"),
        ("store: mysql://x", "error[E05] 'store' must be a URL such as sqlite:///tastemaker.db"),
        ("store: sqlite://x.db", "needs three, such as sqlite:///tastemaker.db"),
        ("store: 5", "error[E05] 'store' must be a text"),
        ("api: {port: 70000}", "'port' must be at most 65535, not 70000"),
        (
            "api: {keys: ['${NO_SUCH_KEY:-}']}",
            "error[E05] entry 1 of 'keys' must be a key of 8 characters at least",
        ),
        (
            "api: {keys: ['          ']}",
            "error[E05] entry 1 of 'keys' must be a key of 8 characters at least",
        ),
        ("api: {keys: [5]}", "error[E05] entry 1 of 'keys' must be a text; put it in quotes"),
        ("api: [1]", "error[E05] 'api' must be a mapping"),
        ("domains: [1]", "error[E05] 'domains' must be a mapping"),
        ("domains: {Books: {}}", "error[E05] 'Books' can't name a domain"),
        ("domains: {users: {}}", "error[E13] a domain can't be called 'users'"),
        ("domains: {books: 3}", "error[E05] the domain 'books' must be a mapping; such as {extends: music}"),
        ("domains: {books: {extends: toys}}", "error[E10] no preset is called 'toys'; did you mean 'toy'?"),
        ("domains: {books: {extends: toy.shrt}}", "error[E10] no preset is called 'toy.shrt'"),
        (
            "domains: {books: {extends: toy.gone}}",
            "error[E11] the preset 'toy.gone' can't be read: No such file",
        ),
        ("domains: {books: {extends: [1]}}", "error[E05] 'extends' must name a preset"),
        (
            "domains: {books: {extends: '${NOPE}'}}",
            "error[E06] the environment has no variable NOPE; set it, or give a default",
        ),
        ("store: ${NOPE}", "config.yaml:2:8: error[E06] the environment has no variable NOPE"),
    ],
)
def test_what_is_wrong_at_the_top_is_told(house: House, text: str, said: str) -> None:
    (found,) = house.problems(house.load, text)
    assert said in found


def test_plugins_that_cannot_be_had_are_told(house: House) -> None:
    house.write("bad.py", "import nowhere_at_all")
    path = house.write("config.yaml", "plugins: [./bad.py, ./gone.py, nope, 3]\ndomains: {b: {extends: bad}}")
    said = house.problems(load, path)
    assert len(said) == 4
    assert "config.yaml:1:11: error[E08] the plugin 'bad'" in said[0]
    assert "No module named 'nowhere_at_all' (bad.py, line 1)" in said[0]
    assert "config.yaml:1:21: error[E04] there is no plugin file" in said[1]
    assert "config.yaml:1:32: error[E04] no plugin is called 'nope'" in said[2]
    assert "config.yaml:1:38: error[E05] a plugin is a name or a ./file.py path" in said[3]


def test_presets_in_a_circle(house: House) -> None:
    house.write("presets/one.yaml", "extends: toy.two")
    house.write("presets/two.yaml", "extends: toy.one")
    (said,) = house.problems(house.load, "domains: {books: {extends: toy.one}}")
    assert (
        "presets/two.yaml:1:10: error[E10] the preset 'toy.one' extends itself: toy.one → toy.two → toy.one"
        in said
    )


def test_problems_in_a_preset_are_told_there_once(house: House) -> None:
    house.write("presets/odd.yaml", "extends: toy\nslate: {size: 0}")
    (said,) = house.problems(house.load, "domains: {a: {extends: toy.odd}, b: {extends: toy.odd}}")
    assert said.startswith("presets/odd.yaml:2:15: error[E05] 'size' must be at least 1")


def test_every_problem_is_told_at_once_in_file_order(house: House) -> None:
    house.write("config.local.yaml", "domains: {books: {learning: {history: x}}}")
    said = house.problems(
        house.load,
        "domains:\n  books: {extends: toy, slate: {size: 0, x: 1}}\nversion: 3\n",
        "domains.books.slate.draws=0",
    )
    assert [line.partition(" ")[0] if line[0] != "-" else "--set" for line in said] == [
        "config.yaml:3:39:",
        "config.yaml:3:42:",
        "config.yaml:4:10:",
        "config.local.yaml:1:39:",
        "--set",
    ]
    assert said[-1] == "--set domains.books.slate.draws: error[E05] 'draws' must be at least 1, not 0"


def test_a_variable_that_another_layer_replaces_is_not_asked_for(house: House) -> None:
    assert house.load("store: ${NOPE}", "store=sqlite://").store.get_secret_value() == "sqlite://"


def test_values_from_the_environment_are_not_shown(house: House) -> None:
    (said,) = house.problems(house.books, "slate:\n  size: ${SIZE}", environ={"SIZE": "hush"})
    assert "hush" not in said
    assert "'size' must be a whole number" in said


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yaml", environ={})
    assert "error[E11] the file can't be read: No such file or directory" in str(caught.value)


def test_problems_as_data(house: House) -> None:
    with pytest.raises(ConfigError) as caught:
        house.load("stor: x")
    (found,) = caught.value.problems
    assert found.as_dict() == {
        "code": "E03",
        "message": "no key is called 'stor' here",
        "file": str(house.folder / "config.yaml"),
        "line": 2,
        "column": 1,
        "hint": "did you mean 'store'?",
    }


def mutations(text: bytes) -> st.SearchStrategy[bytes]:
    place = st.integers(0, len(text) - 1)
    flip = st.tuples(place, st.integers(0, 7)).map(
        lambda at: text[: at[0]] + bytes([text[at[0]] ^ 1 << at[1]]) + text[at[0] + 1 :]
    )
    insert = st.tuples(
        place,
        st.binary(min_size=1, max_size=4)
        | st.sampled_from(
            [
                b"{",
                b"}",
                b"[",
                b"]",
                b": ",
                b"\n",
                b"- ",
                b"&a ",
                b"*a",
                b"${",
                b"!!",
                b"? ",
                b"|",
                b"\t",
                b"null",
                b"%",
                b"<<: ",
            ]
        ),
    ).map(lambda at: text[: at[0]] + at[1] + text[at[0] :])
    cut = st.tuples(place, st.integers(1, 40)).map(lambda at: text[: at[0]] + text[at[0] + at[1] :])
    return flip | insert | cut


@given(data=mutations(WHOLE.encode()))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_garbled_configuration_is_loaded_or_refused_with_problems(house: House, data: bytes) -> None:
    path = house.folder / "config.yaml"
    path.write_bytes(data)
    for problem in _problems_of(path):
        assert "\n" not in str(problem)
        str(problem).encode()


def _problems_of(path: Path) -> tuple[object, ...]:
    try:
        load(path, environ={})
    except ConfigError as error:
        return error.problems or ("a ConfigError without problems\n",)
    return ()
