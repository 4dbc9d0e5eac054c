"""Contributions merged as they come: whatever is kept in memory or put away, each profile has one row in its range."""

from __future__ import annotations

import contextlib
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.engines.local import connect, rows
from etl.lake.layers import Sizes, in_part
from etl.profiles.fields import ProfileField
from etl.profiles.gathered import Gathered

FIELDS = [ProfileField("name", "string", "latest"), ProfileField("counts", "map[string]intsum", "sum")]


def _query(contributions: list[tuple[int, int]]) -> str:
    """Person and hour of each: the name is that of the latest hour, and each counts one."""
    values = ", ".join(f"('{_id(person)}', {hour})" for person, hour in contributions) or "(NULL, NULL)"
    made = f"SELECT * FROM (VALUES {values}) v(profile_id, hour) WHERE profile_id IS NOT NULL"
    moment = "make_timestamptz(hour * 3600000000)"
    return f"""SELECT CAST(profile_id AS VARCHAR) AS profile_id, {moment} AS _first, {moment} AS _last, CAST(1 AS BIGINT) AS _records,
        'h' || CAST(hour AS VARCHAR) AS name, {moment} AS _time_name, map(['n'], [CAST(1 AS BIGINT)]) AS counts,
        CAST(NULL AS MAP(VARCHAR, VARCHAR)) AS _parts_counts FROM ({made})"""


def _id(person: int) -> str:
    return sha256(str(person).encode()).hexdigest()[:32]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 50)), max_size=12), min_size=1, max_size=4),
    st.sampled_from([1, 2, 3, 5, 8, 60_000]),
    st.sampled_from([1, 2, 7]),
)
def test_each_profile_has_one_row_in_its_range(queries: list[list[tuple[int, int]]], at_once: int, most_parts: int) -> None:
    expected: dict[str, tuple[str, int]] = {}
    for person, hour in (one for query in queries for one in query):
        name, count = expected.get(_id(person), ("h-1", 0))
        expected[_id(person)] = (max(name, f"h{hour}", key=lambda text: int(text[1:])), count + 1)
    connection = connect()
    with TemporaryDirectory() as folder:
        made = Gathered(connection, FIELDS, most_parts, Path(folder), Sizes(rows=at_once))
        with contextlib.closing(connection), contextlib.closing(made) as gathered:
            gathered.take(map(_query, queries))
            found = []
            for part in range(gathered.parts):
                merged = gathered.part(part)
                connection.register("merged", merged)
                where = in_part("profile_id", part, gathered.parts)
                assert rows(connection, f"SELECT count(*) AS n FROM merged WHERE {where}")[0]["n"] == len(merged)
                found += merged.to_pylist()
    assert sorted((row["profile_id"], row["name"], dict(row["counts"])["n"]) for row in found) == sorted(
        (profile_id, *values) for profile_id, values in expected.items()
    )
