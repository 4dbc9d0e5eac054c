"""The language as data: `cases/*.json` through `evaluate`. Any other implementation can run the same files.

A case has `expression`, `record`, perhaps `time`, and `value`: a JSON value, `{"missing": true}`, `{"date": iso}`, or
`{"dates": {key: iso}}` for a map of dates; `{"fault": code}` where the expression must not load.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from etl.mapping import MISSING, MappingError, evaluate

FILES = sorted((Path(__file__).parent / "cases").glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_cases(path: Path) -> None:
    wrong = []
    for case in json.loads(path.read_text(encoding="utf-8")):
        time = datetime.fromisoformat(case["time"]) if case.get("time") else None
        found = _found(case["expression"], case.get("record", {}), time)
        expected = _value(case["value"])
        if not _same(found, expected):
            wrong.append(f"{case['expression']} on {case.get('record')}: {found!r}, not {expected!r}")
    assert not wrong, "\n".join(wrong)


def _found(expression: str, record: dict[str, Any], time: datetime | None) -> Any:
    try:
        return evaluate(expression, record, time)
    except MappingError as error:
        (code,) = re.findall(r"\b[EW][0-9]{3}\b", str(error).splitlines()[0])
        return {"fault": code}


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        if value == {"missing": True}:
            return MISSING
        if value.keys() == {"date"}:
            return _date(value["date"])
        if value.keys() == {"dates"}:
            return {key: _date(text) for key, text in value["dates"].items()}
    return value


def _date(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _same(found: Any, expected: Any) -> bool:
    return type(found) is type(expected) and bool(found == pytest.approx(expected) if isinstance(expected, float) else found == expected)
