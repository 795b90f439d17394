"""import: items and interactions from files."""

import json
import sqlite3

import pytest


def test_items_come_in_and_the_same_file_again_changes_nothing(run, folder):
    (folder / "more.csv").write_text("isbn,title,rating\n7,Ulysses,3.9\n8,Kim,3.7\n")
    said = run("import", "books", "more.csv")
    assert said.code == 0
    assert said.out == "books: 2 items written, 0 unchanged, 0 rows rejected\n"
    assert "no column for genres, published" in said.err
    assert run("import", "books", "more.csv").out == "books: 0 items written, 2 unchanged, 0 rows rejected\n"
    slate = run("recommend", "books", "ann", "-n", "8", "--json").json()
    assert {"7", "8", "1"} <= {pick["id"] for pick in slate["items"]}


def test_bad_rows_are_reported_at_their_lines_and_left_out(run, folder):
    rows = b"isbn,title,rating\n1,Emma,4\n2,Dune,high\n,Kim,3\n4,It\n5,\xff,3\n6,Kim,3.5\n"
    (folder / "mixed.csv").write_bytes(rows)
    said = run("import", "books", "mixed.csv")
    assert said.code == 0
    assert said.out == "books: 2 items written, 0 unchanged, 4 rows rejected\n"
    assert said.err.splitlines()[:4] == [
        "mixed.csv:3: 'rating' must be a finite number, not 'high'",
        "mixed.csv:4: 'isbn' must have 1 to 256 characters, not 0",
        "mixed.csv:5: 2 cells where the header has 3",
        "mixed.csv:6: bytes that are not in the file's encoding, or a line that is too long",
    ]
    assert [fault["where"] for fault in run("import", "books", "mixed.csv", "--json").json()["faults"]] == [
        f"mixed.csv:{line}" for line in (3, 4, 5, 6)
    ]


def test_many_bad_rows_are_counted_and_none_left_is_a_failure(run, folder):
    (folder / "bad.csv").write_text("isbn,rating\n" + "1,x\n" * 50)
    said = run("import", "books", "bad.csv")
    assert said.code == 1
    shown = [line for line in said.err.splitlines() if line.startswith("bad.csv:")]
    assert len(shown) == 20
    assert "… and 30 more rows that can't be taken" in said.err


def test_columns_of_other_names_are_mapped(run, folder):
    (folder / "their.tsv").write_text("Code\tName\tTags\n7\tUlysses\tnovel, long\n")
    options = ["--id", "Code", "--columns", "title=Name", "--columns", "genres=Tags", "--separator", ","]
    assert run("import", "books", "their.tsv", *options).code == 0
    slate = run("recommend", "books", "ann", "-n", "9", "--json").json()
    assert next(pick["item"] for pick in slate["items"] if pick["id"] == "7") == {
        "title": "Ulysses",
        "genres": ["novel", "long"],
    }


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_other_formats_come_in_too(run, folder, ending):
    items = [{"isbn": 7, "title": "Kim", "genres": ["novel"]}, {"isbn": 8, "title": "It"}]
    text = json.dumps(items) if ending == "json" else "\n".join(map(json.dumps, items))
    (folder / f"more.{ending}").write_text(text)
    (folder / "noname").write_text(text)
    assert run("import", "books", f"more.{ending}").out.startswith("books: 2 items written")
    assert "format" in run("import", "books", "noname").err
    assert run("import", "books", "noname", "--format", ending).out.startswith(
        "books: 0 items written, 2 unchanged"
    )


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("none.csv", None, 2, "error: no file at none.csv\n"),
        ("book.csv", None, 2, "error: no file at book.csv; did you mean 'books.csv'?\n"),
        ("empty.csv", "", 1, "error: empty.csv is empty\n"),
        ("other.csv", "code,title\n1,x\n", 2, "error: other.csv has no column 'isbn' for the id; known: code, title; "
         "name it with --id\n"),
        ("folder.csv", "folder", 1, "error: folder.csv is a folder; name a file in it\n"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_one_line(run, folder, name, content, code, message):
    if content == "folder":
        (folder / name).mkdir()
    elif content is not None:
        (folder / name).write_text(content)
    said = run("import", "books", name)
    assert (said.code, said.err) == (code, message)


def test_a_table_without_rows_imports_nothing(run, folder):
    (folder / "zero.csv").write_text("isbn,title,genres,rating,published\n")
    said = run("import", "books", "zero.csv")
    assert said.code == 0
    assert "zero.csv holds no rows" in said.out


def test_a_field_that_isnt_there_is_misuse(run):
    said = run("import", "books", "books.csv", "--columns", "tittle=title")
    assert said.code == 2
    assert "did you mean 'title'?" in said.err
    assert run("import", "books", "books.csv", "--kind", "click").code == 2


ACTIONS = """\
user,item,kind,time,value
ann,1,click,2026-01-01T10:00:00Z,
ann,1,click,2026-01-01T10:00:00Z,
bob,9,rating,1767261600,5
bob,2,rating,,x
,2,click,,
"""


def test_interactions_count_once_however_often_the_file_is_read(run, folder):
    (folder / "acts.csv").write_text(ACTIONS)
    said = run("import", "books", "acts.csv", "--interactions")
    assert said.code == 0
    assert said.out == "books: 3 interactions written, 0 there already, 2 rows rejected\n"
    assert said.err.splitlines() == [
        "acts.csv:5: 'value' must be a finite number, not 'x'",
        "acts.csv:6: 'user' must have 1 to 256 characters, not 0",
        "1 interaction with items that are not in the catalogue",
    ]
    (folder / "acts.csv").write_text(ACTIONS + "eve,3,click,2026-01-02,\n")
    found = run("import", "books", "acts.csv", "--interactions", "--json").json()
    assert (found["written"], found["duplicate"], found["rejected"]) == (1, 3, 2)


def test_imported_interactions_are_learned_from(run, folder):
    (folder / "acts.csv").write_text("who,what\n" + "".join(f"u{n},3\n" for n in range(40)))
    options = ["--interactions", "--columns", "user=who", "--columns", "item=what", "--kind", "click"]
    assert run("import", "books", "acts.csv", *options).out.startswith("books: 40 interactions written")
    slate = run("recommend", "books", "ann", "-n", "6", "--json").json()
    told = run("explain", slate["slate"], "--json").json()
    assert next(item for item in told["items"] if item["id"] == "3")["learned"]["taste"].startswith(
        "40.0 successes"
    )


def test_ids_of_ones_own_are_kept(run, folder):
    (folder / "acts.csv").write_text("id,user,item,kind\na,ann,1,click\na,ann,2,click\n")
    said = run("import", "books", "acts.csv", "--interactions")
    assert said.out == "books: 1 interaction written, 1 there already, 0 rows rejected\n"


def test_a_table_of_items_is_no_table_of_interactions(run):
    said = run("import", "books", "books.csv", "--interactions")
    assert said.code == 2
    assert "no column 'user'" in said.err


def test_a_locked_store_is_one_line(run, folder):
    run("recommend", "books", "ann")
    other = sqlite3.connect(folder / "taste.db", isolation_level=None)
    other.execute("begin exclusive")
    (folder / "more.csv").write_text("isbn,title\n7,Kim\n")
    said = run("import", "books", "more.csv", "--set", "store=sqlite:///taste.db?timeout=0.1")
    other.close()
    assert said.code == 1
    assert "database is locked" in said.err
    assert "Traceback" not in said.err
