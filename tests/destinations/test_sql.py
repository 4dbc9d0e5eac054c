"""The destination `sql` on SQLite and on PostgreSQL: what it writes, what it leaves alone, what it refuses."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from etl.destinations.erase import erase_old
from etl.destinations.sql import load_sql
from etl.destinations.sql_tables import check_names
from etl.errors import ConfigurationError, TransientError
from etl.jobs import SqlDestination
from etl.lake.layout import Lake
from tests.destinations.contents import execute, of_database, of_lake
from tests.destinations.histories import Step, make_history
from tests.profiles import lakes

pytestmark = pytest.mark.xdist_group("postgres")

KINDS = """
stream: amplitude_events
time: time
key: key
by: [user]
fields:
  - {field: user, from: user, kind: string}
  - {field: whole, from: whole, kind: int}
  - {field: broken, from: broken, kind: number}
  - {field: yes, from: yes, kind: bool}
  - {field: day, from: todate(day), kind: date}
  - {field: tags, from: tags, kind: '[]string'}
  - {field: days, from: days, kind: '[]time'}
  - {field: props, from: 'match("props.")', kind: 'map[string]string'}
  - {field: numbers, from: 'match("numbers.")', kind: 'map[string]number'}
  - {field: flags, from: 'match("flags.")', kind: 'map[string]bool'}
  - {field: moments, from: 'match("moments.")', kind: 'map[string]date'}
  - {field: counts, from: valuect(type), kind: 'map[string]intsum'}
"""
EVERYTHING = {
    "whole": 2**63 - 1,
    "broken": -1.5e300,
    "yes": False,
    "day": "1815-12-10T01:02:03.000004+05:30",
    "tags": ["b", "a, c", '"quoted"', "back\\slash"],
    "days": ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.5Z"],
    "props": {"é": "line\nbreak", "empty": "", "quote": '"', "comma,": "\\N", "tab": "\t", "looks like a NUL": "\\u0000"},
    "numbers": {"a": 1.25, "b": 3},
    "flags": {"a": True, "b": False},
    "moments": {"a": "2024-05-06T07:08:09Z"},
    "type": "buy",
}


History = Callable[..., list[Lake]]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """`make_history` of its arguments; equal ones are made once."""
    known: dict[str, list[Lake]] = {}

    def make(*steps: Step) -> list[Lake]:
        if repr(steps) not in known:
            known[repr(steps)] = make_history(tmp_path_factory.mktemp("history"), steps)
        return known[repr(steps)]

    return make


def _person(user: str, time: int, **more: Any) -> dict[str, Any]:
    return {"user": user, "device": f"d-{user}", "time": time, "city": "Oslo", "props": {"x": "1"}, "type": "buy"} | more


WIDER = lakes.MAPPING + "  - {field: visits, from: visits, kind: int}\n"
TWO: Step = (lakes.MAPPING, {0: [_person("u1", 1), _person("u2", 2)]})


def test_every_kind_arrives(database: str, history: History) -> None:
    people = [{"user": "u1", "time": 1, **EVERYTHING}, {"user": "u2", "time": 2, "props": {}}, {"user": "", "time": 3}]
    (lake,) = history((KINDS, {0: people}))
    load_sql(lake, "db", database, "profiles")
    held = of_database(database)
    assert held == of_lake(lake)
    (full,) = (row for row in held.profiles.values() if row["user"] == "u1")
    assert {name for name, value in full.items() if value is None} == set()
    assert full["props"] == EVERYTHING["props"]


def test_random_histories_arrive_by_changes_as_a_whole(database: str, history: History) -> None:
    random_ = random.Random(5)
    users, devices = ["u1", "u2", "u3", ""], ["d1", "d2", "d3", "d4"]
    steps: list[Step] = []
    for _ in range(7):
        times = random_.sample(range(99), 4)
        records = [_person(random_.choice(users), time, device=random_.choice(devices)) for time in times]
        steps.append((lakes.MAPPING, {random_.randrange(4): records}))
    for number, lake in enumerate(history(*steps)):
        if number % 3:
            assert load_sql(lake, "db", database, "profiles").full == (number == 1)
            assert of_database(database) == of_lake(lake)


def test_who_was_merged_away_is_deleted_with_all_identifiers(database: str, history: History) -> None:
    before, after = history(
        (lakes.MAPPING, {0: [_person("u1", 1), _person("", 2, device="d2", city="Rome")]}),
        (lakes.MAPPING, {1: [_person("u1", 3, device="d2")]}),
    )
    load_sql(before, "db", database, "profiles")
    report = load_sql(after, "db", database, "profiles")
    assert (report.full, report.written, report.deleted) == (False, 1, 1)
    assert of_database(database) == of_lake(after)


def test_full_mode_loads_everything_each_time(database: str, history: History) -> None:
    (lake,) = history(TWO)
    load_sql(lake, "db", database, "profiles", "full")
    execute(database, "UPDATE profiles SET city = 'somebody changed it'")
    execute(database, "INSERT INTO profiles (profile_id) VALUES ('nobody')")
    execute(database, "DELETE FROM profiles_identifiers")
    assert load_sql(lake, "db", database, "profiles", "changes").written == 0, "nothing was built since"
    report = load_sql(lake, "db", database, "profiles", "full")
    assert (report.full, report.written, report.deleted) == (True, 2, 1)
    assert of_database(database) == of_lake(lake)


def test_a_new_field_is_a_new_column_and_a_field_that_is_gone_keeps_its_own(database: str, history: History) -> None:
    wider = lakes.MAPPING + "  - {field: visits, from: visits, kind: int, merge: sum}\n"
    first, new, gone, back = history(
        TWO,
        (wider, {1: [_person("u1", 3, visits=2)]}),
        (lakes.MAPPING, {2: [_person("u1", 4, visits=5, city="Rome")]}),
        (wider, {3: [_person("u2", 5, visits=1)]}),
    )
    load_sql(first, "db", database, "profiles")
    load_sql(new, "db", database, "profiles")
    assert of_database(database) == of_lake(new)
    visits = 'SELECT "user", visits FROM profiles ORDER BY 1'
    assert execute(database, visits) == [("u1", 2), ("u2", None)]
    assert not load_sql(gone, "db", database, "profiles").full
    assert execute(database, visits) == [("u1", 2), ("u2", None)], "what it held stays"
    assert execute(database, 'SELECT city FROM profiles ORDER BY "user"') == [("Rome",), ("Oslo",)]
    assert load_sql(back, "db", database, "profiles").full, "its column may be out of date for anybody"
    assert of_database(database) == of_lake(back)


@pytest.mark.parametrize(("kind", "source"), [("int", "city"), ("'map[string]string'", 'match("props.")')])
def test_a_changed_kind_is_refused_with_the_statement_that_helps(database: str, history: History, kind: str, source: str) -> None:
    (first,) = history(TWO)
    (lake,) = history((lakes.MAPPING.replace("from: city, kind: string", f"from: '{source}', kind: {kind}"), TWO[1]))
    load_sql(first, "db", database, "profiles")
    with pytest.raises(ConfigurationError, match="the column city of the database has another type") as caught:
        load_sql(lake, "db", database, "profiles")
    assert of_database(database) == of_lake(first)
    execute(database, str(caught.value).partition("filled anew): ")[2])
    assert load_sql(lake, "db", database, "profiles").full
    assert of_database(database) == of_lake(lake)


def test_names_are_quoted(database: str, history: History) -> None:
    names = ["order", "City Name", "discount_%", 'say "hi"', ":bound", "été", "a.b", "x" * 63, "select", "%s", "{}"]
    wider = lakes.MAPPING + "".join(f"  - {{field: '{name}', from: city, kind: string}}\n" for name in names)
    steps = history(TWO, (wider, {1: [_person("u1", 2)]}), (wider, {2: [_person("u1", 3, city="Rome"), _person("u2", 3)]}))
    for lake in steps:
        load_sql(lake, "db", database, "Group by")
    held = of_database(database, "Group by")
    assert held == of_lake(steps[-1])
    cities = sorted(str({row[name] for name in names}) for row in held.profiles.values())
    assert cities == ["{'Oslo'}", "{'Rome'}"]


def test_two_names_that_a_database_takes_for_one_are_refused(database: str) -> None:
    """One mapping cannot have them (E406), a lake of several old ones may."""
    table = sa.Table("profiles", sa.MetaData(), sa.Column("city", sa.Text), sa.Column("CITY", sa.Text))
    with pytest.raises(ConfigurationError, match="upper and lower case alone") as caught:
        check_names(table, sa.make_url(database).get_dialect()(), "db")
    assert "city, CITY" in str(caught.value)


def test_postgres_cuts_no_name(postgres: str, history: History) -> None:
    (lake,) = history((lakes.MAPPING + f"  - {{field: {'é' * 32}, from: city, kind: string}}\n", {}))
    with pytest.raises(ConfigurationError, match="64 bytes, at most 63"):
        load_sql(lake, "db", postgres, "profiles")
    (lake,) = history(TWO)
    with pytest.raises(ConfigurationError, match="the option `table`"):
        load_sql(lake, "db", postgres, "t" * 52)


def test_nul_characters_are_replaced_and_counted(database: str, history: History) -> None:
    odd = {"city": "a\0b", "props": {"k\0": "v\0w\0", "kept": "\\u0000 \\\\u0000", "\0": "\\\0"}}
    (lake,) = history((lakes.MAPPING, {0: [_person("u\0", 1, **odd), _person("u2", 2), _person("u\ufffd", 3)]}))
    assert load_sql(lake, "db", database, "profiles").replaced == 4, "user, device, city, props"
    held = of_database(database)
    (row,) = (row for row in held.profiles.values() if row["city"] == "a\ufffdb")
    assert row["props"] == {"k\ufffd": "v\ufffdw\ufffd", "kept": "\\u0000 \\\\u0000", "\ufffd": "\\\ufffd"}
    assert ("user", "u\ufffd") in held.identifiers


def test_identifiers_too_long_for_an_index_are_left_out_and_counted(database: str, history: History) -> None:
    random_ = random.Random(3)
    long = "".join(random_.choice("abcdefghij0123456789") for _ in range(9000))
    (lake,) = history((lakes.MAPPING, {0: [_person(long, 1, device="d1"), _person("é" * 512, 2, device="d2")]}))
    assert load_sql(lake, "db", database, "profiles").too_long == 1
    held = of_database(database)
    assert held.profiles == of_lake(lake).profiles
    assert sorted(held.identifiers) == [("device", "d1"), ("device", "d2"), ("user", "é" * 512)]


def test_a_table_of_somebody_else_is_left_alone(database: str, history: History, tmp_path: Path) -> None:
    (lake,) = history(TWO)
    Path(tmp_path / "out").mkdir(exist_ok=True)
    execute(database, "CREATE TABLE profiles (profile_id VARCHAR(32) PRIMARY KEY, note VARCHAR(10))")
    execute(database, "INSERT INTO profiles VALUES ('mine', 'keep')")
    with pytest.raises(ConfigurationError, match="that Profilemill did not fill"):
        load_sql(lake, "db", database, "profiles")
    assert execute(database, "SELECT * FROM profiles") == [("mine", "keep")]
    load_sql(lake, "db", database, "people")
    assert of_database(database, "people") == of_lake(lake)


@pytest.mark.parametrize("part", ["identifiers", "state", "loads", "amplitude_events"])
def test_tables_of_somebody_else_beside_it_are_left_alone(database: str, history: History, tmp_path: Path, part: str) -> None:
    (lake,) = history(TWO)
    Path(tmp_path / "out").mkdir(exist_ok=True)
    execute(database, f"CREATE TABLE profiles_{part} (load INTEGER, value INTEGER)")
    execute(database, f"INSERT INTO profiles_{part} VALUES (1, 2)")
    with pytest.raises(ConfigurationError, match=f"that Profilemill did not fill .*profiles_{part}"):
        load_sql(lake, "db", database, "profiles", events=True)
    assert execute(database, f"SELECT * FROM profiles_{part}") == [(1, 2)]
    assert load_sql(lake, "db", database, "people", events=True).events == 2
    # Its own tables are known again, with events switched on later too.
    load_sql(lake, "db", database, "others")
    assert load_sql(lake, "db", database, "others", events=True).events == 2
    assert load_sql(lake, "db", database, "others", events=True, mode="full").events == 2


ODD = """it's a "table": 100% :name %s"""


def test_any_name_of_a_table_does(database: str, history: History) -> None:
    first, wider = history(TWO, (WIDER, {1: [_person("u2", 2, visits=3)]}))
    for lake in (first, wider):
        load_sql(lake, "db", database, ODD, events=True)
        erase_old("db", SqlDestination(type="sql", url=SecretStr(database), table=ODD, events=True), ["amplitude_events"])
    quoted = ODD.replace('"', '""')
    assert sorted(execute(database, f'SELECT visits FROM "{quoted}_amplitude_events" WHERE visits IS NOT NULL')) == [(3,)]
    assert len(execute(database, f'SELECT 1 FROM "{quoted}"')) == 2


def test_a_file_appears_with_its_tables(history: History, tmp_path: Path) -> None:
    """A first connection would make an empty file: a reader beside a first load, or after a killed one, would find no tables."""
    (lake,) = history(TWO)
    path, seen = tmp_path / "out/profiles.db", list[object]()
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load_sql, lake, "db", f"sqlite:///{path}", "profiles")
        while not (loading.done() and seen):
            if path.exists():
                seen.append(of_database(f"sqlite:///{path}"))
    assert set(map(str, seen)) == {str(of_lake(lake))}
    assert [one.name for one in path.parent.iterdir()] == ["profiles.db"]


def test_two_writers_take_turns(database: str, history: History) -> None:
    (lake,) = history(TWO)
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: load_sql(lake, "db", database, "profiles"), range(4)))
    assert sorted(report.written for report in reports) == [0, 0, 0, 2]
    assert of_database(database) == of_lake(lake)


def test_another_lake_replaces_everything(database: str, history: History) -> None:
    (first,) = history(TWO)
    (second,) = history((lakes.MAPPING, {0: [_person("u2", 2), _person("u3", 3)]}))
    load_sql(first, "db", database, "profiles")
    assert load_sql(second, "db", database, "profiles").deleted == 1
    assert of_database(database) == of_lake(second)


def test_the_queries_on_the_page(postgres: str, history: History) -> None:
    page = (Path(__file__).parents[2] / "docs/destinations.md").read_text(encoding="utf-8")
    person, events, _ = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    names = {"user, from": "amplitude_user_id, from", "device, from": "amplitude_id, from", "counts,": "amplitude_events,"}
    names |= {"[user, device]": "[amplitude_user_id, amplitude_id]"}
    mapping = lakes.MAPPING
    for old, new in names.items():
        mapping = mapping.replace(old, new)
    (lake,) = history((mapping, {0: [_person("u-1016", 1, type="Purchase"), _person("u2", 2)]}))
    load_sql(lake, "db", postgres, "profiles", events=True)
    assert execute(postgres, person) == [("Oslo", "1")]
    assert execute(postgres, events) == [(date(2024, 3, 1), 1)]


def test_postgres_has_the_documented_columns_and_indexes(postgres: str, history: History) -> None:
    (lake,) = history((KINDS, {0: [{"user": "u1", "time": 1, **EVERYTHING}]}))
    load_sql(lake, "db", postgres, "profiles")
    columns = "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = current_schema()"
    types = {name: (type_, nullable) for name, type_, nullable in execute(postgres, f"{columns} AND table_name = 'profiles'")}
    assert types == {
        "profile_id": ("character varying", "NO"),
        **dict.fromkeys(("first_seen", "last_seen", "day"), ("timestamp with time zone", "YES")),
        "user": ("text", "YES"),
        "whole": ("bigint", "YES"),
        "broken": ("double precision", "YES"),
        "yes": ("boolean", "YES"),
        **dict.fromkeys(("tags", "days", "props", "numbers", "flags", "moments", "counts"), ("jsonb", "YES")),
    }
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'profiles_identifiers'"
    assert {definition.rpartition("(")[2] for (definition,) in execute(postgres, indexes)} == {"namespace, value)", "profile_id)"}


def test_a_wrong_password_is_not_shown(postgres: str, history: History) -> None:
    (lake,) = history(TWO)
    with pytest.raises(TransientError, match="password authentication failed") as caught:
        load_sql(lake, "db", sa.make_url(postgres).set(password="hush-hush").render_as_string(hide_password=False), "profiles")
    assert "hush" not in str(caught.value)


def test_data_of_people_is_in_no_error(postgres: str, history: History) -> None:
    (lake,) = history(TWO)
    load_sql(lake, "db", postgres, "profiles")
    execute(postgres, "ALTER TABLE profiles ADD CHECK (city <> 'Oslo') NOT VALID")
    execute(postgres, "DELETE FROM profiles")
    with pytest.raises(ConfigurationError, match="violates check constraint") as caught:
        load_sql(lake, "db", postgres, "profiles", "full")
    assert "Oslo" not in str(caught.value)


def test_a_missing_driver_says_what_to_install(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["psycopg"] = None
from pathlib import Path
from etl.destinations.erase import erase_old
from etl.destinations.sql import load_sql
from etl.lake.layout import Lake
load_sql(Lake(Path({str(tmp_path)!r})), "db", "postgresql://me:hush@127.0.0.1/x", "profiles")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert "pip install 'profilemill[postgres]'" in done.stderr
    assert "hush" not in done.stderr.splitlines()[-1]
