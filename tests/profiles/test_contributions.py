"""Fragments read as they stand, each with the profile that a query finds for it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.engines.local import connect
from etl.profiles.contributions import Stored

NOTHING = "SELECT '' AS profile_id, '' AS city, CAST(NULL AS BIGINT) AS n, CAST(NULL AS MAP(VARCHAR, VARCHAR)) AS props WHERE FALSE"


@pytest.mark.parametrize("group", [1, 2, 100])
def test_rows_come_with_their_owners(tmp_path: Path, group: int) -> None:
    """Files need not have every column, in whatever order they come, and rows that nobody owns are left out."""
    made = {
        "z.parquet": {"who": ["a", "b", "c"], "city": ["Oslo", None, "Rome"], "props": [[("k", "v")], None, []]},
        "a.parquet": {"who": ["c", "nobody"], "city": ["Kyiv", "Lima"], "n": [5, 6], "a": [1, 2]},
        "m.parquet": {"who": ["nobody"], "city": ["Bonn"]},
        "e.parquet": {"who": [], "city": []},
    }
    types = {"who": pa.string(), "city": pa.string(), "n": pa.int64(), "a": pa.int64(), "props": pa.map_(pa.string(), pa.string())}
    for name, columns in made.items():
        table = pa.table({column: pa.array(values, types[column]) for column, values in columns.items()})
        pq.write_table(table, tmp_path / name, row_group_size=group)

    def owners(source: str) -> str:
        return f"SELECT 'p' || who AS profile_id, file_index, file_row_number, named FROM {source} WHERE who <> 'nobody'"

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
