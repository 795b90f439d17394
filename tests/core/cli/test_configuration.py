"""validate, config show, schema, domains: the configuration as people and machines see it."""

import json

import jsonschema
import pytest


def test_a_valid_configuration_is_summed_up(run):
    said = run("validate")
    assert said.code == 0
    assert said.out.splitlines()[-1].split() == ["books", "books.csv", "4", "2", "0", "2", "1", "3"]
    found = run("validate", "--json").json()
    assert found["valid"] is True
    assert found["domains"]["books"]["sources"] == 2


def test_every_problem_is_told_at_its_place(run, folder):
    text = (folder / "config.yaml").read_text()
    text = text.replace("catalog.popular,", "catalog.populr,").replace("size: 3", "size: none")
    (folder / "config.yaml").write_text(text)
    said = run("validate")
    assert said.code == 2
    assert said.out == ""
    first, second, count = said.err.splitlines()
    assert first.startswith("config.yaml:12:22: error[E04]")
    assert "did you mean 'catalog.popular'?" in first
    assert second.startswith("config.yaml:19:19: error[E05]")
    assert count == "2 problems in the configuration"
    found = run("validate", "--json")
    assert found.code == 2
    assert [problem["line"] for problem in found.json()["problems"]] == [12, 19]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"domains: [", "error[E01]"),
        (b"domains: {a: 1", "error[E01]"),
        (b"\xff\xfe\x00", "error[E01]"),
        (b"- a list", "error[E05]"),
    ],
)
def test_what_is_no_configuration_is_refused_in_a_line(run, folder, content, said):
    (folder / "config.yaml").write_bytes(content)
    for command in (["validate"], ["recommend", "books", "ann"], ["domains"], ["config", "show"]):
        told = run(*command)
        assert told.code == 2
        assert said in told.err
        assert "Traceback" not in told.err


def test_a_file_that_is_not_there_or_no_file_is_told(run, folder):
    assert "No such file" in run("validate", "--config", "none.yaml").err
    said = run("validate", "-c", folder)
    assert said.code == 2
    assert "error[E11]" in said.err


def test_an_empty_configuration_says_what_to_do_next(run, folder):
    (folder / "config.yaml").write_text("")
    said = run("validate")
    assert said.code == 0
    assert "tastemaker new domain" in said.out
    assert "tastemaker new domain" in run("domains").out


def test_set_overrides_and_is_checked_like_the_file(run):
    assert (
        run("validate", "--set", "domains.books.slate.size=7", "--json").json()["domains"]["books"]["slate"]
        == 7
    )
    said = run("validate", "--set", "domains.books.slate.size=0")
    assert said.code == 2
    assert "--set domains.books.slate.size" in said.err


def test_config_show_can_be_read_back_and_hides_secrets(run, folder):
    shown = run("config", "show", "--set", "api.keys=[hush-hush]")
    assert shown.code == 0
    assert "hush" not in shown.out
    assert "books.csv" in shown.out
    (folder / "again.yaml").write_text(run("config", "show").out)
    assert run("validate", "-c", "again.yaml").code == 0


def test_the_schema_fits_the_configuration(run, folder):
    schema = run("schema").json()
    jsonschema.Draft202012Validator.check_schema(schema)
    domain = {"items": {"fields": {"title": "text"}}, "sources": [{"use": "catalog.random", "limit": "many"}]}
    fine = json.loads(json.dumps(domain).replace('"many"', "5"))
    assert jsonschema.Draft202012Validator(schema).is_valid({"domains": {"books": fine}})
    assert not jsonschema.Draft202012Validator(schema).is_valid({"domains": {"books": domain}})
    assert run("schema", "--preset").json()["title"] == "A preset of Tastemaker"


def test_domains_count_items_and_make_no_store(run, folder):
    assert "–" in run("domains").out
    assert not (folder / "taste.db").exists()
    run("recommend", "books", "ann")
    assert run("domains", "--json").json()["books"]["items"] == 6
    assert run("domains").out.splitlines()[1].split() == ["books", "Books", "6", "thompson.ranker", "3"]


def test_misuse_is_told_with_the_usage(run):
    for arguments in (["recomend"], ["recommend"], ["serve", "--port", "99999"], ["validate", "--nonsense"]):
        said = run(*arguments)
        assert said.code == 2
        assert "Usage:" in said.err
    assert run("--version").out.startswith("tastemaker ")
