"""What is packed of Arrow's lists is what is packed of a database's maps."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.engines.local import arrow, connect
from etl.engines.sql import named
from etl.profiles.fields import ProfileField
from etl.profiles.packing import packed_column, packed_query, packing_columns, stored_query

FIELDS = [
    ProfileField("props", "map[string]string", "latest"),
    ProfileField("counts", "map[string]intsum", "sum"),
    ProfileField("tags", "ts[]string", "merge"),
    ProfileField("city", "string", "latest"),
]
_MOMENT = pa.timestamp("us", tz="UTC")
_TYPES = {
    "_last": _MOMENT,
    "props": pa.map_(pa.string(), pa.string()),
    "_time_props": pa.map_(pa.string(), _MOMENT),
    "counts": pa.map_(pa.string(), pa.int64()),
    "_parts_counts": pa.map_(pa.string(), pa.string()),
    "tags": pa.list_(pa.string()),
    "_time_tags": pa.list_(_MOMENT),
    "city": pa.string(),
    "_time_city": _MOMENT,
}
_TEXTS, _TIMES = st.text(max_size=3), st.integers(0, 10**15)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            _TIMES,
            st.none() | st.dictionaries(_TEXTS, st.tuples(st.none() | _TEXTS, _TIMES), max_size=3),
            st.none() | st.dictionaries(_TEXTS, st.integers(-(2**63), 2**63 - 1), max_size=3),
            st.none() | st.dictionaries(_TEXTS, _TIMES, max_size=3),
        ),
        max_size=6,
    ),
    st.integers(0, 3),
    st.booleans(),
)
def test_lists_are_packed_as_maps_are(
    people: list[tuple[int, dict[str, tuple[str | None, int]] | None, dict[str, int] | None, dict[str, int] | None]],
    left_out: int,
    in_chunks: bool,
) -> None:
    """Also where they are slices of longer ones, in one piece or several."""
    columns: dict[str, list[object]] = {name: [] for name in _TYPES}
    for last, props, counts, tags in people:
        columns["_last"].append(last)
        columns["props"].append(None if props is None else [(key, value) for key, (value, _) in props.items()])
        columns["_time_props"].append(None if props is None else [(key, time) for key, (_, time) in props.items()])
        columns["counts"].append(None if counts is None else list(counts.items()))
        columns["tags"].append(None if tags is None else list(tags))
        columns["_time_tags"].append(None if tags is None else list(tags.values()))
        for name in ("_parts_counts", "city", "_time_city"):
            columns[name].append(None)
    rows = pa.table({name: pa.array(values, _TYPES[name]) for name, values in columns.items()}).slice(left_out)
    rows = pa.concat_tables([rows.slice(0, 1), rows.slice(1)]) if in_chunks else rows
    packed = [column for field in FIELDS if (column := packed_column(field))]
    assert list(map(named, packed)) == ["_packed_props", "_packed_counts", "_packed_tags"]
    with connect() as connection:
        connection.execute("SET threads = 1; SET preserve_insertion_order = true")
        connection.register("merged", rows)
        by_maps = arrow(connection, f"SELECT {', '.join(packed)} FROM (SELECT {', '.join(stored_query('m', FIELDS))} FROM merged m)")
        connection.register("lists", pa.table(packing_columns(rows, FIELDS)))
        by_lists = arrow(connection, f"SELECT {', '.join(packed_query('m', FIELDS))} FROM lists m")
    assert by_lists.to_pylist() == by_maps.to_pylist()
