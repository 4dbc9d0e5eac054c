"""Files that grow group by group, some of their columns left out."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from etl.lake.attempts import attempt_of
from etl.lake.row_files import RowFiles
from etl.lake.tables import Table, files_of

ROWS = pa.schema([("who", pa.string()), ("value", pa.int64()), ("time", pa.int64())])


def _rows(who: list[str | None], value: list[int | None], time: list[int | None]) -> pa.Table:
    return pa.table({"who": who, "value": value, "time": time}, schema=ROWS)


def test_columns_without_a_value_are_left_out(tmp_path: Path) -> None:
    """Rows that need one that was left out go to another file of the same attempt; the table has every column."""
    (tmp_path / "scratch").mkdir()
    table, files = Table(tmp_path / "table", {"date": "VARCHAR"}), RowFiles(tmp_path / "scratch")
    groups = [
        _rows(["a", None], [1, None], [None, None]),
        _rows(["b"], [None], [None]),
        _rows(["c"], [3], [30]),
        _rows(["d"], [4], [None]),
        _rows([None], [None], [None]),
    ]
    for rows in groups:
        files.write(rows, table, {"date": "2024-03-01"}, "load.0123", optional={"value", "time"})
    files.write(_rows([None], [None], [None]), table, {"date": "2024-03-01"}, "other.4567", optional={"value", "time"})
    assert files_of(table) == []
    files.commit()
    found = {file.path.rpartition("/")[2]: file for file in files_of(table)}
    columns = {name: pq.read_schema(table.path / file.path).names for name, file in found.items()}
    assert columns == {
        "load.0123.parquet": ["who", "value"],
        "load.1.0123.parquet": ["who", "value", "time"],
        "other.4567.parquet": ["who"],
    }
    assert {name: (attempt_of(file), file.rows) for name, file in found.items()} == {
        "load.0123.parquet": ("0123", 3),
        "load.1.0123.parquet": ("0123", 3),
        "other.4567.parquet": ("4567", 1),
    }
    opened = table.open()
    assert opened is not None
    assert [column.name for column in opened.schema().fields] == ["who", "value", "time", "date"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_discarded_files_are_gone(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    files = RowFiles(tmp_path / "scratch")
    for time in (None, 1):
        files.write(_rows(["a"], [1], [time]), Table(tmp_path / "table"), {}, "load.0123", optional={"time"})
    files.discard()
    assert list((tmp_path / "scratch").iterdir()) == []
    files.commit()
    assert not (tmp_path / "table").exists()
