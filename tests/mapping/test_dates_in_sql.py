"""The SQL forms of dates give what the kernels give, on the shapes that are named to be alike."""

import random
import re
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from etl.engines.local import connect
from etl.engines.sql import quote
from etl.mapping.dates import parse_date
from etl.mapping.kinds import SQL_ALIKE, layout_free_date, within_calendar
from etl.mapping.layouts import parse_with_layout, read_layout

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ROWS = 5000


def microseconds(instant: datetime | None) -> int | None:
    return None if instant is None else (instant - EPOCH) // timedelta(microseconds=1)


def by_sql(texts: list[str], sql: str) -> dict[str, object]:
    connection = connect()
    connection.register("given", pa.table({"t": texts}))
    return dict(connection.sql(f"SELECT t, {sql} FROM given").fetchall())


def some_digits(chance: random.Random) -> str:
    def two(last: int) -> str:
        return f"{chance.randint(0, last):02d}"

    year = f"{chance.randint(0, 9999):04d}"
    day = year + two(13) + two(32)
    free = "".join(chance.choices("0123456789", k=chance.choice([4, 8, 10, 13, 14, 16, 19])))
    return chance.choice([free, free, year, day, day + two(24) + two(60) + two(60)])


def some_iso(chance: random.Random) -> str:
    def one_or_two(last: int) -> str:
        return f"{chance.randint(0, last):0{chance.choice([1, 2, 2])}d}"

    def two(last: int) -> str:
        return f"{chance.randint(0, last):02d}"

    day = f"{chance.choice([chance.randint(0, 9999), chance.randint(1900, 2100)]):04d}-{one_or_two(13)}-{one_or_two(32)}"
    fraction = chance.choice(["", ".", ","])
    fraction += "".join(chance.choices("0123456789", k=chance.randint(1, 9))) if fraction else ""
    seconds = chance.choice(["", f":{two(60)}{fraction}"])
    offset = chance.choice("+-") + two(25) + chance.choice(["", two(61), ":" + two(61)])
    zone = chance.choice(["", "Z", " Z", offset, " " + offset])
    return chance.choice([day, f"{day}{chance.choice(' T')}{one_or_two(24)}:{two(60)}{seconds}{zone}"])


@pytest.mark.parametrize("some", [some_digits, some_iso])
def test_layout_free_dates_of_the_shapes_that_are_alike(some):
    chance = random.Random(f"dates {some.__name__}")
    texts = sorted({some(chance) for _ in range(ROWS)})
    by_date = by_sql(texts, f"epoch_us({layout_free_date('t')})")
    alike = by_sql(texts, f"regexp_matches(t, {quote(SQL_ALIKE)})")
    assert {text: bool(re.search(SQL_ALIKE, text)) for text in texts} == alike
    sure = [text for text in texts if alike[text]]
    assert len(sure) > ROWS / 4
    assert {text: microseconds(parse_date(text)) for text in sure} == {text: by_date[text] for text in sure}


@pytest.mark.parametrize(
    ("text", "kernel", "sql"),
    [
        ("2024-05-01 10:00:00 +02:00", "2024-05-01T08:00:00+00:00", None),
        ("2024-05-01 10:00 Z", "2024-05-01T10:00:00+00:00", None),
        ("2024-05-01 10:00+24:30", "2024-04-30T09:30:00+00:00", "2024-04-30T09:30:00+00:00"),
        ("2024-05-01 10:00+25:00", None, "2024-04-30T09:00:00+00:00"),
        ("2024-05-01 10:00+02:61", None, "2024-05-01T06:59:00+00:00"),
        ("2024-05-01 24:00+02:00", None, "2024-05-01T22:00:00+00:00"),
    ],
)
def test_iso_texts_outside_them_are_for_the_kernel(text, kernel, sql):
    assert re.search(SQL_ALIKE, text) is None
    wanted = [None if date is None else datetime.fromisoformat(date) for date in (kernel, sql)]
    assert [microseconds(parse_date(text)), by_sql([text], f"epoch_us({layout_free_date('t')})")[text]] == [*map(microseconds, wanted)]


ELEMENTS = {
    "2006": lambda chance: f"{chance.randint(0, 9999):04d}",
    "January": lambda chance: chance.choice(["January", "MARCH", "december", "Mar"]),
    "Jan": lambda chance: chance.choice(["Jan", "MAR", "dec", "March"]),
    ".000000000": lambda chance: digits_behind_point(chance, 9),
    ".000000": lambda chance: digits_behind_point(chance, 6),
    ".000": lambda chance: digits_behind_point(chance, 3),
    ",000": lambda chance: digits_behind_point(chance, 3),
    ".999": lambda chance: digits_behind_point(chance, 3),
    **dict.fromkeys(("01", "02", "15", "04", "05", "06"), lambda chance: f"{chance.randint(0, chance.choice([12, 28, 61])):02d}"),
    **dict.fromkeys(("1", "2", "4", "5"), lambda chance: f"{chance.randint(0, chance.choice([12, 28, 61]))}"),
}


def digits_behind_point(chance: random.Random, usual: int) -> str:
    count = chance.choice([usual, usual, 0, 1, 3, 6, 7, 9, 10])
    return chance.choice("..,") + "".join(chance.choices("0123456789", k=count)) if count else ""


def some_text(layout: str, chance: random.Random) -> str:
    element = re.compile("|".join(map(re.escape, sorted(ELEMENTS, key=len, reverse=True))))
    blanks = chance.choice([" "] * 9 + ["  "])
    text = element.sub(lambda match: ELEMENTS[match.group()](chance), layout)
    return text.replace(" ", blanks) + chance.choice([""] * 9 + [" "])


@pytest.mark.parametrize(
    "layout",
    [
        "2006-01-02 15:04:05.000000",
        "2006-01-02 15:04:05",
        "2006-01-02T15:04:05.000Z",
        "2006-01-02 15:04:05,000",
        "2006-01-02 15:04:05.999",
        "2006-01-02",
        "01/02/2006",
        "1/2/06",
        "1/2/2006 15:04",
        "Jan 2, 2006",
        "January 2, 2006 15:04",
        "20060102",
        "20060102150405",
        "06-1-2 15:4:5",
        "2006%01%Y02",
        "2006-1-215:04",
        "Jan2006",
        "2006",
        "2006-01-02 ",
    ],
)
def test_layouts_on_the_texts_that_match_their_pattern(layout):
    found = read_layout(layout)
    assert found is not None
    chance = random.Random(f"layout {layout}")
    texts = sorted({some_text(layout, chance) for _ in range(ROWS // 2)})
    formats = ", ".join(map(quote, found.formats))
    by_date = by_sql(texts, f"epoch_us({within_calendar(f'CAST(try_strptime(t, [{formats}]) AS TIMESTAMPTZ)')})")
    sure = [text for text in texts if re.search(found.pattern, text)]
    assert {text: microseconds(parse_with_layout(text, layout)) for text in sure} == {text: by_date[text] for text in sure}
    assert any(by_date[text] is not None for text in sure)


@pytest.mark.parametrize(
    "layout",
    ["2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05 MST", "Mon 2006-01-02", "2006-002", "1/2/2006 3:04 PM", " 2006", "15:04", ""],
)
def test_layouts_that_sql_is_not_trusted_with(layout):
    assert read_layout(layout) is None
