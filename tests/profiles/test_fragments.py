"""Who a record is of, and what a fragment holds of times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from etl.engines.local import arrow, connect, rows
from etl.engines.sql import quote
from etl.mapping import load_mapping
from etl.mapping.model import GUARD_VALUES
from etl.profiles.fields import of_mapping
from etl.profiles.fragments import guarded, identified_query, make_fragments
from etl.settings import packaged_mappings

_OTHERS = ["a", "nulls", "0.", "--1", "{ }", "n\\a", "none\n", "\tnone", "lmy47dx", "00000000-0000-0000-0000-00000000000", "n.a", ".", "1"]
START = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize("value", [*GUARD_VALUES, *_OTHERS, None])
def test_values_that_identify_nobody(value: str | None) -> None:
    """In any case and between blanks, and nothing else."""
    with connect() as connection:
        for text in {value, f"  {value} ", value.upper(), value.title()} if value is not None else {None}:
            given = "CAST(NULL AS VARCHAR)" if text is None else quote(text)
            (row,) = rows(connection, f"SELECT {guarded('v')} AS found FROM (SELECT {given} AS v)")
            nobody = text is None or text.strip(" ").lower() in GUARD_VALUES
            assert row["found"] == (None if nobody else text)


def test_a_fragment_holds_the_times_of_values_that_were_not_seen_last() -> None:
    fields = of_mapping(load_mapping("amplitude_events", [packaged_mappings()]))
    columns: dict[str, pa.Array] = {field.name: pa.nulls(3, pa.string()) for field in fields.fields if field.kind.name == "string"}
    columns |= {"amplitude_user_id": pa.array(["a", "a", "b"]), "city": pa.array(["Rome", None, "Bonn"])}
    times = pa.array([START, START + timedelta(hours=1), START], pa.timestamp("us", tz="UTC"))
    types = {field.name: pa.nulls(3, _type(field.kind.sql)) for field in fields.fields if field.name not in columns}
    with connect() as connection:
        connection.register("mapped", pa.table({"load_ix": pa.array([0, 0, 0], pa.int32()), "_time": times, **columns, **types}))
        made = make_fragments(connection, arrow(connection, identified_query("mapped", fields)), fields)
    found = {row["amplitude_user_id"]: row for row in made.to_pylist()}
    assert {name: row["_last"] for name, row in found.items()} == {"a": START + timedelta(hours=1), "b": START}
    assert {name: row["_time_city"] for name, row in found.items()} == {"a": START, "b": None}
    assert {name: row["_time_amplitude_user_id"] for name, row in found.items()} == {"a": None, "b": None}


def _type(sql: str) -> pa.DataType:
    with connect() as connection:
        return arrow(connection, f"SELECT CAST(NULL AS {sql}) AS v").schema.field("v").type
