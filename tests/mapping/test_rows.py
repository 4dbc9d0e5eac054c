"""Whole records through a compiled mapping, against a plain row-at-a-time interpreter."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.mapping import load_mapping
from etl.pipeline.trial import map_file
from etl.settings import packaged_mappings

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "t", "0", "1", "5.9", "-3", "1e3", "12.0", "{}", "[1]", "e+1", "1e+21", "nan", "null", '"', "\u2028", "é\n", " 7 "]
    ),
    st.text(max_size=6),
)
_KEYS = st.sampled_from(["q", "r.s", "[x]", "é", "t", "p.", "'", '"', "$k"])
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=5)
_RECORDS = st.fixed_dictionaries({}, optional={"s": _VALUES, "k": _SCALARS, "p": _VALUES, "p.q": _SCALARS, "p.z": _SCALARS})


@settings(deadline=None, max_examples=60)
@given(st.lists(_RECORDS, min_size=1, max_size=12))
def test_rows_agree_with_the_interpreter(records: list[dict[str, Any]]) -> None:
    mapping = load_mapping(str(Path(__file__).parent / "documents/trial.yaml"), [])
    mapped = map_file(mapping, None, "\n".join(json.dumps(record) for record in records).encode())
    assert mapped.bad == []
    for record, row in zip(records, mapped.rows, strict=True):
        expected = interpreted(record)
        assert same({name: row[name] for name in expected}) == same(expected), record


def same(value: Any) -> Any:
    """The value with JSON texts inside it in one spelling: DuckDB and Python write the floats in them differently."""
    if isinstance(value, dict):
        return {same(key): same(item) for key, item in value.items()}
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.dumps(json.loads(value))
        except ValueError:
            return value
    return value


def interpreted(record: dict[str, Any]) -> dict[str, Any]:
    text = text_of(record.get("s"))
    members: dict[str, str] = {}
    for key, value in flattened(record):
        leaf = text_of(value)
        if key.startswith("p.") and key != "p." and leaf is not None:
            members.setdefault(key[2:], leaf)
    key = text_of(record.get("k"))
    one = {key: as_bool(text)} if key and text and as_bool(text) is not None else None
    ints = {name: number for name, leaf in members.items() if (number := as_int(leaf)) is not None}
    return {
        "s": text,
        "i": as_int(text),
        "n": as_number(text),
        "b": as_bool(text),
        "inner": inner(record),
        "m": members or None,
        "mb": one,
        "mi": ints or None,
        "c": counted(record.get("s")),
    }


def inner(record: dict[str, Any]) -> str | None:
    written_out = text_of(record.get("p.q"))
    nested = record.get("p")
    return written_out if written_out is not None else text_of(nested.get("q")) if isinstance(nested, dict) else None


def text_of(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return decimal_text(value)
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        texts = [text for item in value if (text := text_of(item)) is not None]
        return ",".join(texts) if texts else None
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def decimal_text(value: float) -> str:
    """Shortest digits, by hand: the digits and exponent of repr, moved to where the point belongs."""
    sign, digits, fraction, exponent = re.fullmatch(r"(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?", repr(value)).groups()  # type: ignore[union-attr]
    fraction, shift = fraction or "", int(exponent or 0)
    digits, point = digits + fraction, len(digits) + shift
    whole = digits[:point].ljust(point, "0") if point > 0 else "0"
    rest = (digits[point:] if point > 0 else "0" * -point + digits).rstrip("0")
    return f"{sign}{whole.lstrip('0') or '0'}" + (f".{rest}" if rest else "")


def flattened(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in flattened(item, f"{prefix}.{key}" if prefix else key)]
    if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        return [pair for place, item in enumerate(value) for pair in flattened(item, f"{prefix}[{place}]")]
    return [(prefix, value)]


def as_int(text: str | None) -> int | None:
    found = re.fullmatch(r"\s*([+-]?[0-9]+)(\.[0-9]*)?\s*", text or "", re.ASCII)
    number = int(found.group(1)) if found else None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def as_number(text: str | None) -> float | None:
    found = re.fullmatch(r"\s*([+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?)\s*", text or "", re.ASCII)
    number = float(found.group(1)) if found else None
    return number if number is not None and math.isfinite(number) else None


def as_bool(text: str | None) -> bool | None:
    return (
        True if text in ("1", "t", "T", "TRUE", "true", "True") else False if text in ("0", "f", "F", "FALSE", "false", "False") else None
    )


def counted(value: Any) -> dict[str, int] | None:
    if not isinstance(value, list):
        text = text_of(value)
        return {text: 1} if text else None
    counts: dict[str, int] = {}
    for item in value:
        if text := text_of(item):
            counts[text] = counts.get(text, 0) + 1
    return counts or None


def test_the_seeds_event_on_every_mapped_field() -> None:
    event = Path(__file__).parents[1] / "sandbox/seed_003_event.json"
    (row,) = map_file(load_mapping("amplitude_events_additional", [packaged_mappings()]), event).rows
    found = {name: value for name, value in row.items() if value is not None and not name.startswith("_")}
    moment = datetime(2022, 11, 21, 15, 42, 30, tzinfo=UTC)
    assert found == {
        "amplitude_id": "507275024343",
        "amplitude_user_id": "313803",
        "amplitude_insert_id": "01GJDDNVWD723D5GNSEAQJVSEB",
        "amplitude_schema": 13,
        "amplitude_app": 419422,
        "amplitude_data": '{"group_first_event":{},"group_ids":{"257325":[10753477083],"257326":[10871859635]}}',
        "amplitude_device_id": "d148bf61-a152-5e08-bcc1-e8be96a9fce4",
        "amplitude_event_id": 148912891,
        "amplitude_is_attribution_event": False,
        "amplitude_library": "batch/1.0",
        "amplitude_event_properties": {
            "action_id": "1001266",
            "campaign_id": "1000223",
            "content": "Hey jenny! I got your number!",
            "customer_id": "313803",
            "delivery_id": "dgSiuAMBAMeAFMWAFAGEmtrrwMzFAHs6nMGmSG4=",
            "journey_id": "01GJDDNSY0X731SPYZEBKRNZZ1",
            "recipient": "5558675309",
        },
        "amplitude_session_id": "-1",
        "amplitude_client_event_time": moment,
        "amplitude_client_upload_time": moment.replace(second=29, microsecond=394000),
        "amplitude_event_time": moment,
        "amplitude_server_upload_time": moment.replace(second=39, microsecond=646000),
        "amplitude_user_creation_time": moment.replace(second=28),
        "amplitude_events": {"Sms Sent": 1},
        "amplitude_server_received_time": moment.replace(second=29, microsecond=394000),
        "amplitude_processed_time": moment.replace(second=42, microsecond=526145),
        "amplitude_uuid": "22ed3a6e-69b3-11ed-898f-d5a02747ae5a",
    }
    assert row["_time"] == moment
    assert row["_key"] == "22ed3a6e-69b3-11ed-898f-d5a02747ae5a"


@pytest.mark.parametrize(("name", "fields"), [("amplitude_cohorts", 19), ("amplitude_events", 43), ("amplitude_events_additional", 49)])
def test_every_row_of_the_seed_is_there(name: str, fields: int) -> None:
    assert len(load_mapping(name, [packaged_mappings()]).fields) == fields
