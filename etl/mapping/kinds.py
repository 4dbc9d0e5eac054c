"""The kinds a field may have, and how text becomes one of them.

A value that does not fit its kind is null (missing), never an error; see `shared` rules in `mappings/README.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

BOOLEAN_TRUE = ("1", "t", "T", "TRUE", "true", "True")
BOOLEAN_FALSE = ("0", "f", "F", "FALSE", "false", "False")


@dataclass(frozen=True)
class Kind:
    """A kind by its name in mapping files. `sql` is the column type, `element` the kind of a list's or map's values."""

    name: str
    sql: str
    element: str | None = None

    @property
    def is_map(self) -> bool:
        return self.name.startswith("map[")

    @property
    def is_list(self) -> bool:
        return "[]" in self.name

    @property
    def is_counter(self) -> bool:
        return self.element == "intsum"

    @property
    def keeps_order(self) -> bool:
        """Whether its list is in the order in which the members were last seen; other lists are sorted."""
        return self.name.startswith("ts")


_SCALARS = {"string": "VARCHAR", "int": "BIGINT", "number": "DOUBLE", "bool": "BOOLEAN", "date": "TIMESTAMPTZ"}

KINDS: dict[str, Kind] = (
    {name: Kind(name, sql) for name, sql in _SCALARS.items()}
    | {
        "[]string": Kind("[]string", "VARCHAR[]", "string"),
        "ts[]string": Kind("ts[]string", "VARCHAR[]", "string"),
        "[]time": Kind("[]time", "TIMESTAMPTZ[]", "date"),
    }
    | {
        f"map[string]{name}": Kind(f"map[string]{name}", f"MAP(VARCHAR, {sql})", name)
        for name, sql in (*_SCALARS.items(), ("intsum", "BIGINT"))
    }
)

# Other spellings that LQL files use (lql.md 9).
_SYNONYMS = {
    "long": "int",
    "integer": "int",
    "float": "number",
    "double": "number",
    "boolean": "bool",
    "time": "date",
    "datetime": "date",
    "map[string]time": "map[string]date",
    "map[string]value": "map[string]string",
    "[]date": "[]time",
}


# Kinds that only the fields of events have: any JSON value as the record has it, and an object of such.
EVENT_KINDS: dict[str, Kind] = {"value": Kind("value", "JSON"), "map[string]value": Kind("map[string]value", "JSON", "value")}


def kind_named(name: str, *, of_event: bool = False) -> Kind | None:
    """The kind of that name or of one of its other spellings; None where there is none."""
    known = name.lower()
    return (EVENT_KINDS.get(known) if of_event else None) or KINDS.get(_SYNONYMS.get(known, known))


DEFAULT_MATCH_CAPACITY = 1000

# What the kinds int and number read, for SQL and Python alike.
INT_TEXT = r"^[ \t\r\n]*([+-]?[0-9]+)(\.[0-9]*)?[ \t\r\n]*$"
NUMBER_TEXT = r"^[ \t\r\n]*([+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?)[ \t\r\n]*$"


# Texts that the SQL form `layout_free_date` reads as `dates.parse_date` does; for RE2 as well. Not among them: a blank
# before the offset (DuckDB reads none), hour 24 (with an offset DuckDB reads it), offsets from 24 hours or 60 minutes on.
SQL_ALIKE = (
    r"^(?:[0-9]{4}|[0-9]{8}|[0-9]{10}|[0-9]{13}|[0-9]{14}|[0-9]{16}|[0-9]{19}"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[T ](?:[01]?[0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?)?)$"
)


def text_to_kind(text: str, kind: str) -> str:
    """SQL that reads the VARCHAR expression `text` as the scalar kind; null where it does not fit.

    `int` truncates toward zero (`5.9` is 5); `bool` takes exactly the words 1 t T TRUE true True 0 f F FALSE false
    False; `number` takes finite numbers; `date` is the layout-free `todate`.
    """
    if kind == "string":
        return text
    if kind in ("int", "intsum"):
        return f"TRY_CAST(regexp_extract({text}, '{INT_TEXT}', 1) AS BIGINT)"
    if kind == "number":
        number = f"TRY_CAST(regexp_extract({text}, '{NUMBER_TEXT}', 1) AS DOUBLE)"
        return f"(CASE WHEN isfinite({number}) THEN {number} END)"
    if kind == "bool":
        true, false = (", ".join(f"'{word}'" for word in words) for words in (BOOLEAN_TRUE, BOOLEAN_FALSE))
        return f"(CASE WHEN {text} IN ({true}) THEN TRUE WHEN {text} IN ({false}) THEN FALSE END)"
    if kind == "date":
        return (
            f"(CASE WHEN regexp_matches({text}, '{SQL_ALIKE}') THEN {layout_free_date(text)} ELSE CAST(pm_date({text}) AS TIMESTAMPTZ) END)"
        )
    raise KeyError(kind)


# How Amplitude writes times, and most others do: nothing about such a text is open.
FULL_DATE = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}$"


def full_date(text: str) -> str:
    """SQL for the instant of a text like `2022-11-21 15:42:30.394000`; null for every other text, and where there is no
    such day or time."""
    return f"(CASE WHEN regexp_matches({text}, '{FULL_DATE}') THEN CAST(TRY_CAST({text} AS TIMESTAMP) AS TIMESTAMPTZ) END)"


def plain_number(text: str, sql_type: str) -> str:
    """SQL for the number of a text that is written just as DuckDB writes that number; null for every other text."""
    number = f"TRY_CAST({text} AS {sql_type})"
    finite = f" AND isfinite({number})" if sql_type == "DOUBLE" else ""
    return f"(CASE WHEN CAST({number} AS VARCHAR) = {text}{finite} THEN {number} END)"


def layout_free_date(text: str) -> str:
    """SQL for a date without a layout: digits by their number, and ISO dates; anything else is null.

    Digits: 4 a year, 8 `YYYYMMDD`, 10 epoch seconds, 13 milliseconds, 14 `YYYYMMDDhhmmss`, 16 microseconds, 19
    nanoseconds (lql.md 7.2). ISO: date, or date and time with blank or `T`, optional seconds, fraction and zone.
    """
    iso = r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))?)?$"
    found = f"""(CASE
        WHEN regexp_full_match({text}, '[0-9]+') THEN CASE length({text})
            WHEN 4 THEN TRY_CAST({text} || '-01-01' AS TIMESTAMPTZ)
            WHEN 8 THEN CAST(try_strptime({text}, '%Y%m%d') AS TIMESTAMPTZ)
            WHEN 10 THEN make_timestamptz(TRY_CAST({text} AS BIGINT) * 1000000)
            WHEN 13 THEN make_timestamptz(TRY_CAST({text} AS BIGINT) * 1000)
            WHEN 14 THEN CAST(try_strptime({text}, '%Y%m%d%H%M%S') AS TIMESTAMPTZ)
            WHEN 16 THEN make_timestamptz(TRY_CAST({text} AS BIGINT))
            WHEN 19 THEN make_timestamptz(TRY_CAST({text} AS BIGINT) // 1000)
        END
        WHEN regexp_matches({text}, '{iso}') THEN TRY_CAST(replace({text}, ',', '.') AS TIMESTAMPTZ)
    END)"""
    return within_calendar(found)


def within_calendar(instant: str) -> str:
    """SQL that is null for instants outside the years 1 to 9999: Python, and so every destination, has no others."""
    first, last = "TIMESTAMPTZ '0001-01-01 00:00:00+00'", "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"
    return f"(CASE WHEN {instant} BETWEEN {first} AND {last} THEN {instant} END)"
