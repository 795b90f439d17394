import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from tastemaker.core.config.options import KEYS_OF_KIND
from tastemaker.core.plugin_import import PluginProblem
from tastemaker.core.registry import ENTRY_KEYS, Registry

Install = Callable[..., Path]

GOOD = '''
from tastemaker.core import Scorer, Source, hookimpl

class Mood(Scorer):
    """How well an item fits the mood.

    At length."""

class Near(Source):
    limit: int = 5

@hookimpl
def components():
    return [Mood, Near]
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a plugin as pip would: a module and a dist-info folder on the path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def install(plugin: str, code: str, *, distribution: str = "", module: str = "") -> Path:
        distribution = distribution or f"tastemaker-{plugin}"
        module = module or f"plugin_{plugin}"
        (site / f"{module}.py").write_text(dedent(code))
        info = site / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[tastemaker]\n{plugin} = {module}\n")
        return site / f"{module}.py"

    yield install
    for name in set(sys.modules) - before:
        if name.startswith("plugin_"):
            del sys.modules[name]


def problem(action: Callable[[], object]) -> PluginProblem:
    with pytest.raises(PluginProblem) as caught:
        action()
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    return caught.value


def test_an_installed_plugin_is_listed_without_being_imported(install: Install) -> None:
    install("mood", "raise RuntimeError('imported')")
    registry = Registry()
    assert "mood" in registry.names()
    assert "plugin_mood" not in sys.modules
    info = next(info for info in registry.plugins() if info.name == "mood")
    assert (info.distribution, info.version, info.loaded, info.error) == (
        "tastemaker-mood",
        "1.2",
        False,
        None,
    )


def test_a_loaded_plugin_tells_its_components_with_kind_and_summary(install: Install) -> None:
    install("mood", GOOD)
    registry = Registry()
    assert registry.component("mood.mood", "scorer").component_name() == "mood"
    info = next(info for info in registry.plugins() if info.name == "mood")
    assert [(each.name, each.kind, each.summary) for each in info.components] == [
        ("mood.mood", "scorer", "How well an item fits the mood."),
        ("mood.near", "source", ""),
    ]
    assert info.hooks == ("components",)
    assert [plugin.name for plugin in registry.loaded()] == ["mood"]


def test_only_the_named_plugin_is_imported(install: Install) -> None:
    install("mood", GOOD)
    install("other", "raise RuntimeError('imported')")
    Registry().load("mood")
    assert "plugin_other" not in sys.modules


def test_two_registries_share_nothing(install: Install) -> None:
    install("mood", GOOD)
    first, second = Registry(), Registry()
    first.load("mood")
    assert second.loaded() == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "import nowhere_at_all",
            "ModuleNotFoundError: No module named 'nowhere_at_all' (plugin_bad.py, line 1)",
        ),
        ("raise RuntimeError('no\\nluck')", "RuntimeError: no (plugin_bad.py, line 1)"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("def f(:\n  pass", "SyntaxError"),
        ("", "offers nothing; mark its functions with @hookimpl"),
        (
            "from tastemaker.core import hookimpl\n@hookimpl\ndef componets():\n    return []",
            "no hook is called 'componets'; did you mean 'components'?",
        ),
        (
            "from tastemaker.core import hookimpl\n@hookimpl\ndef served(slat):\n    pass",
            "has a hook that doesn't fit",
        ),
        (
            "from tastemaker.core import hookimpl\n@hookimpl\nasync def components():\n    return []",
            "components() must be a plain function",
        ),
        (
            "from tastemaker.core import hookimpl\n@hookimpl\ndef components():\n    return [1 / 0]",
            "failed in components(): ZeroDivisionError: division by zero (plugin_bad.py, line 4)",
        ),
        (
            "from tastemaker.core import hookimpl\n@hookimpl\ndef components():\n    return [dict]",
            "components() must give component classes, not <class 'dict'>",
        ),
        (
            "from tastemaker.core import hookimpl\n@hookimpl\ndef components():\n    return None",
            "failed in components(): TypeError",
        ),
        (
            "from tastemaker.core import hookimpl, Component if False else hookimpl",
            "SyntaxError",
        ),
        (
            "from tastemaker.core.components import Component\nfrom tastemaker.core import hookimpl\n"
            "class Odd(Component): pass\n@hookimpl\ndef components():\n    return [Odd]",
            "Odd must derive from one of the kinds: Connector",
        ),
        (
            "from tastemaker.core import Scorer, hookimpl\nclass Odd(Scorer):\n    x: 'Nothing'\n"
            "@hookimpl\ndef components():\n    return [Odd]",
            "the options of Odd can't be read",
        ),
        (
            "from tastemaker.core import hookimpl\n@hookimpl\ndef presets():\n    return {'a': 3}",
            "presets() must give paths by name, not 3",
        ),
    ],
)
def test_a_broken_plugin_is_one_line_that_names_plugin_and_distribution(
    install: Install, code: str, said: str
) -> None:
    install("bad", code)
    registry = Registry()
    found = problem(lambda: registry.load("bad"))
    assert found.code == "E08"
    assert "'bad' (tastemaker-bad 1.2)" in str(found)
    assert said in str(found)
    assert problem(lambda: registry.load("bad")) is found
    assert next(info for info in registry.plugins() if info.name == "bad").error == str(found)
    assert registry.loaded() == []


def test_two_distributions_that_claim_one_name_are_both_named(install: Install) -> None:
    install("mood", GOOD, distribution="one", module="plugin_one")
    install("mood", GOOD, distribution="two", module="plugin_two")
    found = problem(lambda: Registry().load("mood"))
    assert found.code == "E13"
    assert "one (plugin_one) and two (plugin_two)" in str(found)


def test_two_components_of_one_name_clash(install: Install) -> None:
    install(
        "twice",
        """
        from tastemaker.core import Filter, Scorer, hookimpl
        def make(kind):
            class Same(kind):
                pass
            return Same
        @hookimpl
        def components():
            return [make(Filter), make(Scorer)]
        """,
    )
    found = problem(lambda: Registry().load("twice"))
    assert found.code == "E13"
    assert "two components called 'same'" in str(found)


@pytest.mark.parametrize(
    ("kind", "option", "clashes"),
    [
        ("Scorer", "weight", True),
        ("Source", "weight", False),
        ("Filter", "on_error", True),
        ("Embedder", "use", True),
    ],
)
def test_an_option_may_not_have_the_name_of_a_key_of_the_core(
    install: Install, kind: str, option: str, clashes: bool
) -> None:
    code = (
        "from tastemaker.core import *\nclass Odd({}):\n    {}: float = 1\n"
        "@hookimpl\ndef components():\n    return [Odd]"
    )
    install("odd", code.format(kind, option))
    if clashes:
        assert problem(lambda: Registry().load("odd")).code == "E13"
    else:
        assert set(Registry().load("odd").components) == {"odd"}


def test_the_keys_of_the_core_are_those_of_its_models() -> None:
    for kind, keys in ENTRY_KEYS.items():
        model = KEYS_OF_KIND.get(kind)
        assert set(keys) == {"use", *(model.model_fields if model else ())}


def test_unknown_names_are_told_with_near_misses(install: Install) -> None:
    install("mood", GOOD)
    registry = Registry()
    assert problem(lambda: registry.load("mod")).hint == "did you mean 'mood'?"
    assert "pip install" in problem(lambda: registry.load("zzzzzz")).hint
    unknown = problem(lambda: registry.component("mood.mod", "scorer"))
    assert (unknown.code, unknown.hint) == ("E04", "did you mean 'mood.mood'?")
    assert (
        problem(lambda: registry.component("mood.x", "filter")).hint == "the plugin 'mood' offers no filter"
    )
    assert problem(lambda: registry.component("mood", "scorer")).code == "E04"
    assert problem(lambda: registry.component("near", "source")).hint == "did you mean 'mood.near'?"
    assert problem(lambda: registry.preset("mood")).code == "E10"


def test_a_component_of_another_kind_is_told_where_it_belongs(install: Install) -> None:
    install("mood", GOOD)
    found = problem(lambda: Registry().component("mood.mood", "filter"))
    assert (found.code, found.message) == ("E09", "'mood.mood' is a scorer, not a filter")
    assert found.hint == "it belongs under 'scorers'"


def test_a_file_is_a_plugin_called_after_its_stem(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    registry = Registry()
    assert registry.add_file(path) == "mine"
    assert "mine" in registry.names()
    near = registry.component("mine.near", "source")
    assert near.__module__ != "mine"
    assert list(tmp_path.iterdir()) == [path]
    path.write_text(GOOD.replace("= 5", "= 6"))
    again = Registry()
    again.add_file(path)
    assert again.component("mine.near", "source").model_fields["limit"].default == 6


def test_files_that_cannot_be_plugins(tmp_path: Path, install: Install) -> None:
    install("mood", GOOD)
    for name in ("mood.py", "a.b.py", "one/same.py", "two/same.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(GOOD)
    registry = Registry()
    assert problem(lambda: registry.add_file(tmp_path / "mood.py")).code == "E13"
    assert problem(lambda: registry.add_file(tmp_path / "a.b.py")).code == "E08"
    assert problem(lambda: registry.add_file(tmp_path / "gone.py")).code == "E04"
    registry.add_file(tmp_path / "one/same.py")
    assert registry.add_file(tmp_path / "one/same.py") == "same"
    assert problem(lambda: registry.add_file(tmp_path / "two/same.py")).code == "E13"


def test_hooks_are_called_with_what_they_ask_for_and_fail_alone(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install(
        "loud",
        """
        from tastemaker.core import hookimpl
        heard = []
        @hookimpl
        def served(slate):
            heard.append(slate)
        @hookimpl
        def learned(domain, outcomes):
            heard.append((domain, outcomes))
        @hookimpl
        def startup():
            heard.append("started")
        @hookimpl
        def routes():
            return ["router"]
        """,
    )
    install(
        "sad",
        """
        from tastemaker.core import hookimpl
        @hookimpl
        def served(slate):
            raise KeyError(slate)
        """,
    )
    registry = Registry()
    registry.load("sad")
    heard = registry.load("loud").module.heard
    registry.startup(object())
    registry.served("slate")  # type: ignore[arg-type]  # any object does; building a slate says nothing more
    registry.learned("books", "outcomes")  # type: ignore[arg-type]  # as above
    assert heard == ["started", "slate", ("books", "outcomes")]
    assert "the plugin 'sad' (tastemaker-sad 1.2) failed in served(): KeyError: 'slate'" in caplog.text
    assert registry.routes() == [("loud", "router")]
    assert registry.listens("learned")
    assert not registry.listens("shutdown")


def test_a_failing_startup_is_a_problem(install: Install) -> None:
    install("sad", "from tastemaker.core import hookimpl\n@hookimpl\ndef startup(orchestrator):\n    1 / 0")
    registry = Registry()
    registry.load("sad")
    assert "failed in startup(): ZeroDivisionError" in str(problem(lambda: registry.startup(None)))


def test_every_plugin_that_comes_with_tastemaker_loads() -> None:
    own = [info for info in Registry().plugins(installed=True) if info.distribution == "tastemaker"]
    assert own
    assert [info.error for info in own if info.error] == []
