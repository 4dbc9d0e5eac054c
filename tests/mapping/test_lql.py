"""The statement form: what it says, the names it makes, and that nothing is lost in converting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from etl.errors import MappingError
from etl.mapping import Mapping, load_mapping
from etl.mapping.convert import convert_file
from etl.mapping.plan import plan
from etl.settings import packaged_mappings

SHIPPED = ("amplitude_cohorts", "amplitude_events", "amplitude_events_additional")
OF_EVENTS = ("customerio_to_amplitude", "nami_to_amplitude", "nami_to_mparticle")

EXAMPLE = """
-- profile fields from the events stream
select
    user_id                                   AS amplitude_user_id      SHORTDESC "Amplitude User ID" KIND string
  , `$insert_id`                              AS amplitude_insert_id
  , todate("2006-01-02 15:04:05.000000", event_time) AS first_purchase_ts /* the first only */
        IF event_type == "Order Completed"    KIND date MERGEOP oldest
  , match("user_properties.")                 AS amplitude_user_properties KIND map[string]string CAPACITY 50
  , valuect(event_type)                       AS amplitude_events       KIND map[string]intsum
  , nickname AS name PII LONGDESC 'what others say', first_name AS name IF EXISTS first_name
  , set(tags) KIND ts[]string MERGEOP capped CAPACITY 3 AS tags,
FROM amplitude_events
INTO USER
BY amplitude_user_id OR amplitude_insert_id
WHERE NOT EXISTS is_test
KEY uuid
ALIAS amplitude_events_default;
"""


def _load(folder: Path, text: str, suffix: str = "lql") -> Mapping:
    path = folder / f"trial.{suffix}"
    path.write_text(text, encoding="utf-8")
    return load_mapping(str(path), [packaged_mappings()])


def test_a_statement_with_every_part(tmp_path: Path) -> None:
    mapping = _load(tmp_path, EXAMPLE)
    assert (mapping.stream, mapping.into, mapping.by) == ("amplitude_events", "USER", ("amplitude_user_id", "amplitude_insert_id"))
    assert mapping.where and mapping.where.text == "NOT EXISTS is_test"
    assert mapping.key and mapping.key.text == "uuid"
    kinds = {field.name: (field.kind.name, field.merge, field.capacity) for field in mapping.fields}
    assert kinds == {
        "amplitude_user_id": ("string", "latest", None),
        "amplitude_insert_id": ("string", "latest", None),
        "first_purchase_ts": ("date", "oldest", None),
        "amplitude_user_properties": ("map[string]string", "latest", 50),
        "amplitude_events": ("map[string]intsum", "sum", None),
        "name": ("string", "latest", None),
        "tags": ("ts[]string", "merge", 3),
    }
    first = mapping.field("first_purchase_ts").sources[0]
    assert first.guard and first.guard.text == 'event_type == "Order Completed"'
    assert mapping.field("amplitude_user_id").label == "Amplitude User ID"
    assert [source.expression.text for source in mapping.field("name").sources] == ["nickname", "first_name"]


@pytest.mark.parametrize(
    ("column", "name", "kind"),
    [
        ("city", "city", "string"),
        ("user.plan", "user.plan", "string"),
        ("count(x)", "ct_x", "int"),
        ("valuect(x)", "cts_x", "map[string]intsum"),
        ("todate(x)", "x", "date"),
        ("toint(x)", "x", "int"),
        ("tolower(email)", "tolower_email", "string"),
        ('match("up.")', "match", "map[string]string"),
        ("now()", "now", "date"),
    ],
)
def test_a_column_without_as_names_itself(tmp_path: Path, column: str, name: str, kind: str) -> None:
    (field,) = _load(tmp_path, f"SELECT {column} FROM s").fields
    assert (field.name, field.kind.name) == (name, kind)


@pytest.mark.parametrize("name", SHIPPED + OF_EVENTS)
def test_shipped_mappings_survive_both_ways(tmp_path: Path, name: str) -> None:
    source = packaged_mappings() / f"{name}.yaml"
    shipped = load_mapping(name, [packaged_mappings()])
    there = _load(tmp_path, convert_file(source, "lql"))
    back = _load(tmp_path, convert_file(tmp_path / "trial.lql", "yaml"), "yaml")
    for made in (there, back):
        assert replace(made, name=name, path=shipped.path).fingerprint == shipped.fingerprint
        assert [(f.name, f.label, f.kind, f.merge, f.capacity) for f in made.fields] == [
            (f.name, f.label, f.kind, f.merge, f.capacity) for f in shipped.fields
        ]
        assert made.gives_events == shipped.gives_events == (name in OF_EVENTS)
        if not made.gives_events:
            assert plan(made).query("records") == plan(shipped).query("records")


@pytest.mark.parametrize("name", SHIPPED + OF_EVENTS)
def test_the_shipped_statements_are_the_documents(name: str) -> None:
    statement = packaged_mappings() / "lql" / f"{name}.lql"
    assert statement.read_text(encoding="utf-8") == convert_file(packaged_mappings() / f"{name}.yaml", "lql")


def test_the_example_survives_both_ways(tmp_path: Path) -> None:
    mapping = _load(tmp_path, EXAMPLE)
    document = convert_file(tmp_path / "trial.lql", "yaml")
    again = _load(tmp_path, document, "yaml")
    assert again.fingerprint == mapping.fingerprint and again.into == "USER"
    assert again.field("name").pii and again.field("name").description == "what others say"
    (tmp_path / "trial.lql").unlink()
    assert _load(tmp_path, convert_file(tmp_path / "trial.yaml", "lql")).fingerprint == mapping.fingerprint


def test_a_capacity_of_0_is_none_in_both_forms(tmp_path: Path) -> None:
    mapping = _load(tmp_path, 'SELECT match("p.") AS p, match("q.") AS q CAPACITY 0 FROM s')
    assert [field.capacity for field in mapping.fields] == [1000, None]
    document = convert_file(tmp_path / "trial.lql", "yaml")
    assert _load(tmp_path, document, "yaml").fingerprint == mapping.fingerprint


def test_texts_over_several_lines_survive(tmp_path: Path) -> None:
    _load(tmp_path, """SELECT city AS town LONGDESC "one\\n\\ntwo\\u2028's" FROM s""")
    document = convert_file(tmp_path / "trial.lql", "yaml")
    assert (
        _load(tmp_path, document, "yaml").field("town").description
        == _load(tmp_path, (tmp_path / "trial.lql").read_text()).field("town").description
    )


def test_a_file_with_faults_is_not_converted(tmp_path: Path) -> None:
    path = tmp_path / "bad.lql"
    path.write_text("SELECT todat(x) AS a, b AS c FROM s", encoding="utf-8")
    with pytest.raises(MappingError, match="E201 there is no function 'todat'"):
        convert_file(path, "yaml")
