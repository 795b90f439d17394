"""plugins: what is installed, and what is wrong with it."""

from pathlib import Path


def test_the_built_in_plugins_and_their_components_are_listed(run):
    said = run("plugins")
    assert said.code == 0
    assert "catalog" in said.out
    assert "similarity" in said.out
    assert said.err == ""
    infos = {info["name"]: info for info in run("plugins", "--json").json()}
    assert infos["thompson"]["components"] == [
        {
            "name": "thompson.ranker",
            "kind": "policy",
            "summary": infos["thompson"]["components"][0]["summary"],
        }
    ]
    assert infos["projects"]["presets"] == ["projects"]
    assert all(info["error"] is None for info in infos.values())


def test_a_plugin_file_of_the_configuration_is_listed(run, folder):
    (folder / "mood.py").write_text(
        "from tastemaker.core import Scorer, hookimpl\n"
        "class Mood(Scorer):\n"
        "    '''Fits the mood.'''\n"
        "    def score(self, context, candidates):\n"
        "        return candidates['rating']\n"
        "@hookimpl\n"
        "def components():\n"
        "    return [Mood]\n"
    )
    listed = run("plugins", "--set", "plugins=[./mood.py]").out
    assert "mood.py" in "".join(listed.split()), "the path may be broken into lines"


def installed(folder: Path, name: str, source: str) -> str:
    """Put a distribution with one plugin into a folder, which is returned for PYTHONPATH."""
    place = folder / "site"
    info = place / f"{name}_dist-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[tastemaker]\n{name} = {name}_module\n")
    (place / f"{name}_module.py").write_text(source)
    return str(place)


def test_a_broken_plugin_is_one_line_and_hurts_no_other(process, folder):
    path = installed(folder, "wonky", "import no_such_library\n")
    said = process("plugins", PYTHONPATH=path)
    assert said.code == 0
    assert said.err == (
        "error: the plugin 'wonky' (wonky-dist 1.5) can't be imported: "
        "ModuleNotFoundError: No module named 'no_such_library' (wonky_module.py, line 1)\n"
    )
    assert "1 broken" in said.out
    assert "similarity" in said.out
    assert process("validate", PYTHONPATH=path).code == 0


def test_a_broken_configuration_hides_no_plugins(run, folder):
    (folder / "config.yaml").write_text("nonsense: 1\n")
    said = run("plugins")
    assert said.code == 0
    assert said.err == "the configuration has 1 problem: see tastemaker validate\n"
    assert "similarity" in said.out
