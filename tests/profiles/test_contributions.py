"""Fragments read as they stand, each with the profile that a query finds for it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.engines.local import connect, rows
from etl.lake.layout import Lake
from etl.mapping import load_mapping
from etl.profiles.build import build_profiles
from etl.profiles.contributions import Stored
from etl.profiles.resolve import profile_id_of
from etl.profiles.stored import current_profiles
from tests.profiles import lakes

NOTHING = "SELECT '' AS profile_id, '' AS city, CAST(NULL AS BIGINT) AS n, CAST(NULL AS MAP(VARCHAR, VARCHAR)) AS props WHERE FALSE"


@pytest.mark.parametrize("group", [1, 2, 100])
def test_rows_come_with_their_owners(tmp_path: Path, group: int) -> None:
    """Files need not have every column, in whatever order they come, and rows that nobody owns are left out."""
    made = {
        "z.parquet": {"_id_who": ["a", "b", "c"], "city": ["Oslo", None, "Rome"], "props": [[("k", "v")], None, []]},
        "a.parquet": {"_id_who": ["c", "nobody"], "city": ["Kyiv", "Lima"], "n": [5, 6], "a": [1, 2]},
        "m.parquet": {"_id_who": ["nobody"], "city": ["Bonn"]},
        "e.parquet": {"_id_who": [], "city": []},
    }
    types = {"_id_who": pa.string(), "city": pa.string(), "n": pa.int64(), "a": pa.int64(), "props": pa.map_(pa.string(), pa.string())}
    for name, columns in made.items():
        table = pa.table({column: pa.array(values, types[column]) for column, values in columns.items()})
        pq.write_table(table, tmp_path / name, row_group_size=group)

    def owners(source: str) -> str:
        return f"SELECT 'p' || _id_who AS profile_id, file_index, file_row_number, _named FROM {source} WHERE _id_who <> 'nobody'"

    with connect() as connection:
        stored = Stored([tmp_path / name for name in made], NOTHING, owners)
        nothing, *tables = stored.read(connection, "strlen(profile_id)", 10)
        assert nothing.column_names == ["profile_id", "city", "n", "props", "_part"]
        assert len(nothing) == 0
        found = [row for table in tables for row in table.to_pylist()]
        assert not list(Stored([], NOTHING, owners).read(connection, "1", 10))[1:]
    assert [(row["profile_id"], row["city"], row.get("n"), row.get("props"), row["_part"]) for row in found] == [
        ("pa", "Oslo", None, [("k", "v")], 2),
        ("pb", None, None, None, 2),
        ("pc", "Rome", None, [], 2),
        ("pc", "Kyiv", 5, None, 2),
    ]


@pytest.mark.parametrize("name", ["filename", "file_index", "File_Row_Number", "named"])
@pytest.mark.parametrize("kind", ["string", "int"])
def test_fields_may_have_the_names_of_places(tmp_path: Path, name: str, kind: str) -> None:
    """By which a database tells where a row stands: everybody keeps what is theirs."""
    text = f"""
stream: amplitude_events
time: time
key: key
by: [user]
fields:
  - {{field: user, from: user, kind: string}}
  - {{field: {name}, from: value, kind: {kind}}}
"""
    (tmp_path / "places.yaml").write_text(text, encoding="utf-8")
    lake = Lake(tmp_path / "lake")
    for hour in range(2):
        records = [{"time": hour * 10 + n, "user": f"u{hour}{n}", "key": f"{hour}.{n}", "value": "0"} for n in range(3)]
        lakes.load(lake, load_mapping(str(tmp_path / "places.yaml"), []), {hour: records})
    build_profiles(lake, full=True)
    with lake.workspace() as (connection, _):
        found = rows(connection, f'SELECT profile_id, "user", "{name}" AS value FROM {current_profiles(lake)} ORDER BY "user"')
    users = [f"u{hour}{n}" for hour in range(2) for n in range(3)]
    assert [(row["profile_id"], row["user"], str(row["value"])) for row in found] == [
        (profile_id_of("user", user), user, "0") for user in users
    ]
