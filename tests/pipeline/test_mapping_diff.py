"""`mapping diff` and `mapping convert`: what is said of two definitions, and of the values of records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etl.errors import ConfigurationError
from etl.lake.layout import Lake
from etl.landing.store import drop_attempts
from etl.mapping import Mapping, load_mapping
from etl.pipeline.mapping_diff import (
    NEW_LOADS,
    NEXT_FILES,
    NOTHING,
    REBUILD,
    ValueCounts,
    compare_definitions,
    compare_values,
    newest_records,
    records_in,
)
from etl.profiles.fields import of_mapping, remember
from tests.pipeline.projects import profilemill
from tests.profiles import lakes

OLD = """stream: amplitude_events
time: time
key: key
by: [user]
fields:
  - {field: user, from: user, kind: string}
  - {field: mail, from: mail, kind: string, label: Mail}
  - {field: size, from: size, kind: int, merge: max}
  - {field: first, from: todate(time), kind: date, merge: min}
  - {field: props, from: 'match("p.")', kind: 'map[string]string'}
"""

RECORDS = [
    {"user": "u1", "mail": "Ann@Example.com", "size": "5.9", "time": "2024-03-01", "p": {"a": 1, "b": "x"}, "type": "buy", "key": "k1"},
    {"user": "u2", "size": 3, "time": "2024-03-02", "p": {"b": "X"}, "type": "view", "key": "k2"},
    {"user": "u3", "mail": "bob@example.com", "time": "2024-03-03", "type": "buy", "key": "k3"},
]


def _mapping(folder: Path, name: str, text: str) -> Mapping:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return load_mapping(str(path), [])


def _changed(*changes: tuple[str, str]) -> str:
    text = OLD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


EFFECTS = {
    "the same": ([], NOTHING),
    "label": ([("label: Mail", "label: E-mail")], NOTHING),
    "expression": ([("from: mail,", "from: tolower(mail),")], NEW_LOADS),
    "guard": ([("from: size,", 'from: size, if: type == "buy",')], NEW_LOADS),
    "where": ([("by:", "where: EXISTS mail\nby:")], NEW_LOADS),
    "time": ([("time: time\n", "")], NEW_LOADS),
    "added": ([("fields:\n", "fields:\n  - {field: city, from: city, kind: string}\n")], NEW_LOADS),
    "removed": ([("  - {field: mail, from: mail, kind: string, label: Mail}\n", "")], NEW_LOADS),
    "capacity": ([("'map[string]string'}", "'map[string]string', capacity: 5}")], NEW_LOADS),
    "kind": ([("from: size, kind: int", "from: size, kind: number")], REBUILD),
    "merge": ([("merge: max", "merge: sum")], REBUILD),
    "by": ([("by: [user]", "by: [user, mail]")], REBUILD),
    "key": ([("key: key\n", "")], REBUILD),
}


@pytest.mark.parametrize("what", EFFECTS)
def test_the_effect_is_what_an_import_makes_of_it(what: str, tmp_path: Path) -> None:
    changes, effect = EFFECTS[what]
    old, new = _mapping(tmp_path, "old", OLD), _mapping(tmp_path, "new", _changed(*changes))
    found = compare_definitions(old, new)
    assert found.effect == effect
    assert bool(found.mapping or found.fields) == (what != "the same")
    lake = Lake(tmp_path / "lake")
    remember(lake, of_mapping(old))
    if effect == REBUILD:
        with pytest.raises(ConfigurationError) as caught:
            remember(lake, of_mapping(new))
        assert caught.value.value == "; ".join(found.reasons)
    else:
        remember(lake, of_mapping(new))


def test_values_field_by_field(tmp_path: Path) -> None:
    new = _changed(
        ("from: mail,", "from: tolower(mail),"),
        ("from: size, kind: int, merge: max", 'from: size, if: type == "buy", kind: number, merge: max'),
        ("'match(\"p.\")'", '\'filter(match("p."), "a")\''),
        ("  - {field: first, from: todate(time), kind: date, merge: min}\n", "  - {field: type, from: type, kind: string}\n"),
    )
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS) + "nonsense\n")
    found = compare_values(_mapping(tmp_path, "old", OLD), _mapping(tmp_path, "new", new), records_in(tmp_path / "records.jsonl"))
    assert (found.records, found.mapped, found.left_out, found.let_in) == (3, 3, 0, 0)
    assert {one.field: one for one in found.fields} == {
        "_time": ValueCounts("_time", 3, 0, 0, 0, 0),
        "_key": ValueCounts("_key", 3, 0, 0, 0, 0),
        "user": ValueCounts("user", 3, 0, 0, 0, 0),
        "mail": ValueCounts("mail", 1, 1, 0, 0, 1, (("***", "***"),)),
        # Kinds differ, so texts are compared.
        "size": ValueCounts("size", 0, 1, 0, 1, 1, (("5", "5.9"), ("3", "missing"))),
        "type": ValueCounts("type", 0, 0, 3, 0, 0, (("missing", "buy"), ("missing", "view"))),
        "props": ValueCounts("props", 1, 1, 0, 0, 1, (('{"a": "1"}', "{}"),)),
        "first": ValueCounts("first", 0, 0, 0, 3, 0, tuple((f"2024-03-0{day}T00:00:00+00:00", "missing") for day in (1, 2, 3))),
    }


def test_records_that_only_one_maps(tmp_path: Path) -> None:
    old = _mapping(tmp_path, "old", _changed(("by:", 'where: type == "buy"\nby:')))
    new = _mapping(tmp_path, "new", _changed(("by:", "where: EXISTS size\nby:")))
    (tmp_path / "records.json").write_text(json.dumps([*RECORDS, {"user": "u4"}]))
    found = compare_values(old, new, records_in(tmp_path / "records.json"))
    assert (found.records, found.mapped, found.left_out, found.let_in) == (4, 3, 1, 1)
    (user,) = [one for one in found.fields if one.field == "user"]
    assert user == ValueCounts("user", 1, 0, 1, 1, 0, (("missing", "u2"), ("u3", "missing")))


def test_personal_values_are_never_shown(tmp_path: Path) -> None:
    private = _changed(
        ("label: Mail", "pii: true"), ("field: user, from: user, kind: string", "field: user, from: user, kind: string, pii: true")
    )
    new = private.replace("from: mail,", "from: nothing,").replace("from: user,", "from: string.uppercase(user),")
    (tmp_path / "records.json").write_text(json.dumps(RECORDS))
    found = compare_values(_mapping(tmp_path, "old", private), _mapping(tmp_path, "new", new), records_in(tmp_path / "records.json"))
    examples = {one.field: one.examples for one in found.fields}
    assert examples["user"] == (("***", "***"),)
    assert examples["mail"] == (("***", "missing"),)


def test_the_newest_landed_records(tmp_path: Path) -> None:
    """Whole loads from the newest back, of the last one its last lines; loads whose raw files are gone are passed over."""
    lake, mapping = Lake(tmp_path / "lake"), lakes.mapping_in(tmp_path)
    record = {"device": "d", "time": 1, "city": "A", "props": {}, "type": "buy"}
    lakes.load(lake, mapping, {hour: [record | {"user": f"{hour}-{n}"} for n in range(3)] for hour in range(4)})

    def newest(count: int) -> list[str]:
        found = newest_records(lake, "amplitude_events", count).table.to_pylist()
        return [json.loads(row["text"])["user"] for row in found]

    assert newest(4) == ["3-0", "3-1", "3-2", "2-2"]
    assert newest(2) == ["3-1", "3-2"]
    assert len(newest(100)) == 12
    drop_attempts(lake.landing, list((lake.landing / "amplitude_events/shop/2024-03-01T03").iterdir()))
    assert newest(4) == ["2-0", "2-1", "2-2", "1-2"]
    assert newest_records(lake, "amplitude_cohorts", 5).table.num_rows == 0
    assert newest_records(Lake(tmp_path / "none"), "amplitude_events", 5).table.num_rows == 0


SAID = """definition
  where: none -> EXISTS user
  ~ mail
      from: mail -> tolower(mail)
  + city  (from: city, kind: string, merge: latest)
  - size  (from: size, kind: int, merge: max)
stored    new imports follow the new mapping at once; what is loaded already keeps its values
          until `profilemill rebuild --from landing` maps it again
values    3 records: records.json
  field    equal    changed    new    gone  
  mail         1          1      0       0  
  size         0          0      0       2  
  mail
    *** -> ***
  size
    5 -> missing
    3 -> missing
  4 fields are the same in every record
"""  # noqa: W291


def test_the_command(tmp_path: Path) -> None:
    _mapping(tmp_path, "old", OLD)
    changes = (
        ("from: mail,", "from: tolower(mail),"),
        ("by:", "where: EXISTS user\nby:"),
        ("field: size, from: size, kind: int, merge: max", "field: city, from: city, kind: string"),
    )
    _mapping(tmp_path, "new", _changed(*changes))
    (tmp_path / "records.json").write_text(json.dumps(RECORDS))
    done = profilemill(tmp_path, "mapping", "diff", "old.yaml", "new.yaml", "--input", "records.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, SAID, "")
    content = json.loads(profilemill(tmp_path, "mapping", "diff", "old.yaml", "new.yaml", "--json").stdout)
    assert content["definition"]["effect"] == "new loads"
    assert (content["values"], "there is no jobs file here" in content["not_compared"]) == (None, True)
    same = profilemill(tmp_path, "mapping", "diff", "shipped:amplitude_events", "amplitude_events")
    assert "definition the same\nstored    no value changes: nothing to do\n" in same.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("diff", "amplitude_event", "amplitude_events"), 2, "did you mean 'amplitude_events'?"),
        (("diff", "shipped:mine", "mine.yaml"), 2, "there is no mapping 'mine'"),
        (("diff", "mine.yaml", "mine.yaml", "--sample", "5"), 2, "there is no jobs file"),
        (("diff", "mine.yaml", "mine.yaml", "--jobs", "gone.yaml"), 2, "there is no jobs file"),
        (("diff", "mine.yaml", "mine.yaml", "--input", "gone.json"), 2, "cannot read the input"),
        (("diff", "mine.yaml", "mine.yaml", "--input", "x.json", "--sample", "5"), 2, "leave one of them out"),
        (("diff", "mine.yaml", "broken.yaml"), 2, "E201 there is no function 'todat'"),
        (("diff", "amplitude_cohorts", "amplitude_events"), 0, ""),
        (("convert", "gone.yaml"), 2, "there is no mapping 'gone.yaml'"),
        (("convert", "mine.yaml", "--to", "xml"), 2, "--to is yaml or lql"),
        (("convert", "mine.yaml", "--output", "mine.yaml"), 2, "needs a file name that ends with .lql"),
        (("convert", "mine.yaml", "--to", "yaml", "--output", "mine.yaml"), 2, "this file is there already"),
        (("convert", "mine.yaml", "--to", "lql", "--output", "there.lql"), 2, "add --force"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], code: int, expected: str, tmp_path: Path) -> None:
    _mapping(tmp_path, "mine", OLD)
    (tmp_path / "broken.yaml").write_text("stream: amplitude_events\nfields:\n  - {field: a, from: todat(x), kind: date}\n")
    (tmp_path / "there.lql").write_text("precious")
    done = profilemill(tmp_path, "mapping", *arguments)
    assert done.returncode == code, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "there.lql").read_text() == "precious"
    assert (tmp_path / "mine.yaml").read_text() == OLD


def test_mappings_that_give_events(tmp_path: Path) -> None:
    old = """stream: shop
into: event
where: type == "buy"
fields:
  - {field: user_id, from: user, kind: string}
  - {field: properties, from: 'match("p.")', kind: 'map[string]value'}
  - {field: gone, from: key, kind: string}
"""
    new = (
        old.replace('type == "buy"', 'type != "view" OR user == "u2"')
        .replace("from: user,", "from: mail,")
        .replace("gone", "properties.key")
    )
    (tmp_path / "records.jsonl").write_text("\n".join(json.dumps(one) for one in RECORDS) + "\n[]\n", encoding="utf-8")
    before, now = _mapping(tmp_path, "old", old), _mapping(tmp_path, "new", new)
    definition = compare_definitions(before, now)
    assert (definition.effect, definition.reasons, [one.what for one in definition.mapping]) == (NEXT_FILES, (), ["where"])
    found = compare_values(before, now, records_in(tmp_path / "records.jsonl"))
    assert (found.records, found.mapped, found.left_out, found.let_in) == (3, 3, 0, 1)
    assert {one.field: (one.equal, one.changed, one.new, one.gone, one.missing) for one in found.fields} == {
        "user_id": (0, 2, 0, 0, 1),
        "properties": (1, 0, 1, 0, 1),
        "properties.key": (0, 0, 3, 0, 0),
        "gone": (0, 0, 0, 2, 1),
    }
    assert ("u1", "***") in next(one for one in found.fields if one.field == "user_id").examples
    done = profilemill(tmp_path, "mapping", "diff", "old.yaml", "new.yaml", "--input", "records.jsonl")
    assert done.returncode == 0, done.stderr
    assert "what was sent stays as it is" in done.stdout
    (tmp_path / "profile.yaml").write_text("stream: shop\nfields: [{field: user, from: user, kind: string}]", encoding="utf-8")
    for arguments, why in ((("new.yaml",), "name one with --input"), (("profile.yaml", "--input", "records.jsonl"), "one gives events")):
        done = profilemill(tmp_path, "mapping", "diff", "old.yaml", *arguments)
        assert done.returncode == 0, done.stderr
        assert why in done.stdout
