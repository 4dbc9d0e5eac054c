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
from etl.profiles.contributions import Queried
from etl.profiles.fields import ProfileField
from etl.profiles.gathered import Gathered

FIELDS = [
    ProfileField("name", "string", "latest"),
    ProfileField("nothing", "string", "latest"),
    ProfileField("counts", "map[string]intsum", "sum"),
]


def _query(contributions: list[tuple[int, int]]) -> str:
    """Person and hour of each: the name is that of the latest hour that has one, and each counts one. Half of the times are the
    usual ones, which are null."""
    values = ", ".join(f"('{_id(person)}', {hour})" for person, hour in contributions) or "(NULL, NULL)"
    made = f"SELECT * FROM (VALUES {values}) v(profile_id, hour) WHERE profile_id IS NOT NULL"
    moment = "make_timestamptz(hour * 3600000000)"
    return f"""SELECT CAST(profile_id AS VARCHAR) AS profile_id, {moment} AS _first, {moment} AS _last, CAST(1 AS BIGINT) AS _records,
        CASE WHEN hour % 3 > 0 THEN 'h' || CAST(hour AS VARCHAR) END AS name, CASE WHEN hour % 2 = 0 THEN {moment} END AS _time_name,
        CAST(NULL AS VARCHAR) AS nothing, CAST(NULL AS TIMESTAMPTZ) AS _time_nothing, map(['n'], [CAST(1 AS BIGINT)]) AS counts,
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
    hours: dict[str, list[int]] = {}
    for person, hour in (one for query in queries for one in query):
        hours.setdefault(_id(person), []).append(hour)
    expected = []
    for profile_id, seen in hours.items():
        named = max((hour for hour in seen if hour % 3), default=None)
        expected.append((profile_id, named and f"h{named}", named if named != max(seen) else None, len(seen)))
    connection = connect()
    with TemporaryDirectory() as folder:
        made = Gathered(connection, FIELDS, most_parts, Path(folder), Sizes(rows=at_once))
        with contextlib.closing(connection), contextlib.closing(made) as gathered:
            gathered.take(Queried(_query(one)) for one in queries)
            found = []
            for part in range(gathered.parts):
                merged = gathered.part(part)
                connection.register("merged", merged)
                where = in_part("profile_id", part, gathered.parts)
                assert rows(connection, f"SELECT count(*) AS n FROM merged WHERE {where}")[0]["n"] == len(merged)
                found += merged.to_pylist()
    assert sorted(
        (row["profile_id"], row["name"], row["_time_name"] and row["_time_name"].timestamp() / 3600, dict(row["counts"])["n"])
        for row in found
    ) == sorted(expected)
    assert {row["nothing"] for row in found} <= {None}
