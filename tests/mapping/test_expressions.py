"""The language: documented examples run, any text compiles or raises our own error, values are what lql.md says."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.mapping import MISSING, MappingError, evaluate
from etl.mapping.functions import Example
from etl.mapping.registry import functions

DOCUMENTED = [(name, one) for name, function in functions().items() for one in function.examples]


@pytest.mark.parametrize(("name", "documented"), DOCUMENTED, ids=[f"{name}-{n}" for n, (name, _) in enumerate(DOCUMENTED)])
def test_documented_examples(name: str, documented: Example) -> None:
    value = evaluate(documented.expression, documented.record, datetime.fromisoformat(documented.time) if documented.time else None)
    assert value == (MISSING if documented.value == "missing" else documented.value)
    assert type(value) is type(MISSING if documented.value == "missing" else documented.value)


@pytest.mark.parametrize(
    ("expression", "record", "value"),
    [
        ("user_id", {"user_id": "007"}, "007"),
        ("n", {"n": 123456789012345678901}, 123456789012345678901),
        ("n", {"n": None}, MISSING),
        ("n", {}, MISSING),
        ("empty", {"empty": ""}, ""),
        ("`$insert_id`", {"$insert_id": "x"}, "x"),
        ("a.b", {"a": {"b": 5}}, 5),
        ("a.b", {"a.b": 6, "a": {"b": 5}}, 6),
        ("a.b.c", {"a": {"b": {"c": True}}}, True),
        ("a.b.c", {"a": {"b.c": 1}}, 1),
        ("`a.b`.`c.d`", {"a.b": {"c.d": 7}}, 7),
        ("it's", {}, "error"),
        ('`it\'s "quoted"`', {'it\'s "quoted"': 8}, 8),
        ("map(`k'k`, 'o'x)", {}, "error"),
        ("map('it\\'s', v)", {"v": [1, 2]}, {"it's": [1, 2]}),
        ("map(k, v)", {"k": True, "v": {"a": 1}}, {"true": {"a": 1}}),
        ("map(k, v)", {"k": [1, "x"], "v": 1.5}, {"1,x": 1.5}),
        ("map(k, v)", {"k": 12.0, "v": "x"}, {"12": "x"}),
        ("map(k, v)", {"k": "12.0", "v": "x"}, {"12.0": "x"}),
        ("map(k, v)", {"k": 1e21, "v": []}, MISSING),
        ("valuect(x)", {"x": 1e21}, {"1000000000000000000000": 1}),
        ("valuect(x)", {"x": 5e-7}, {"0.0000005": 1}),
        ("valuect(x.y)", {"x": {"y": 1e21}}, {"1000000000000000000000": 1}),
        ("valuect(x)", {"x": "1e21"}, {"1e21": 1}),
        ("valuect(x)", {"x": "[1,2]"}, {"[1,2]": 1}),
        ("valuect(x)", {"x": [1, None, "a", ""]}, {"1": 1, "a": 1}),
        ("valuect(x)", {"x": []}, MISSING),
        ("valuect(x)", {"x": ""}, MISSING),
        ('match("a.")', {"a": {"x": "{}", "y": "12.0", "z": 12.0}}, {"x": "{}", "y": "12.0", "z": 12.0}),
        ('match("a.")', {"a": [{"b": 1}]}, MISSING),
        ('match("a[")', {"a": [{"b": 1}]}, {"0].b": 1}),
        ('match("a.", "b.")', {"a": {"x": 1, "y": 2}, "b": {"x": 3}}, {"x": 3, "y": 2}),
        ('match("")', {"a": {"b": 1}, "c": "d"}, {"a.b": 1, "c": "d"}),
        ("todate(t)", {"t": "2024-02-30"}, MISSING),
        ("todate(t)", {"t": "1700000000000"}, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("todate(t)", {"t": "2024-05-01T10:00:00+02:00"}, datetime(2024, 5, 1, 8, tzinfo=UTC)),
        ('todate("02/01/2006 3:04 PM", t)', {"t": "21/11/2022 4:05 PM"}, datetime(2022, 11, 21, 16, 5, tzinfo=UTC)),
        ('todate("2006-01-02", t)', {"t": "2022-1-2"}, MISSING),
        ('todate("2006-01-02 15:04:05", t)', {"t": "2022-11-21 15:42:30.5"}, datetime(2022, 11, 21, 15, 42, 30, 500000, tzinfo=UTC)),
        ('todate("2006-01-02 15:04:05.000000", t)', {"t": "2022-11-21 15:42:30.1234567"}, MISSING),
        ('todate("2006-01-02 15:04:05.000000", t)', {"t": " 2022-11-21 15:42:30"}, MISSING),
        ('todate("2006-01-02T15:04:05Z07:00", t)', {"t": "2022-11-21T15:42:30+01:00"}, datetime(2022, 11, 21, 14, 42, 30, tzinfo=UTC)),
    ],
)
def test_values(expression: str, record: dict[str, Any], value: Any) -> None:
    if value == "error":
        with pytest.raises(MappingError):
            evaluate(expression, record)
        return
    assert evaluate(expression, record) == value


_TEXT = st.one_of(
    st.text(max_size=30),
    st.lists(
        st.sampled_from(
            [
                *("map", "match", "valuect", "todate", "tod", "(", ")", ",", ".", "`k`", "`", '"a."', "'", "x", "1", "2.5", "-", " ", "#"),
                *(
                    "[",
                    "]",
                    '""',
                    "[x]",
                    "[x y]",
                    " AND ",
                    " OR ",
                    "NOT ",
                    " IN ",
                    " LIKE ",
                    " IS NULL",
                    "=",
                    "!",
                    ">",
                    "*",
                    "\n",
                    "/*",
                    "$k",
                ),
            ]
        ),
        max_size=14,
    ).map("".join),
)


@settings(deadline=None, max_examples=8 * int(os.environ.get("PROFILEMILL_EXAMPLES", "25")))
@given(_TEXT)
@example('x[""]')
def test_any_text_compiles_or_raises_our_own_error(text: str) -> None:
    try:
        evaluate(text, {"x": "1", "k": {"a": [1]}})
    except MappingError as error:
        assert error.what.startswith("expression:1:")
        column = int(error.what.split(":")[2])
        assert 1 <= column <= len(text) + 1
