"""Fields marked `pii` are in no table as they are, once the lake has a key for them."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from etl.errors import ConfigurationError
from etl.landing.manifest import Landed
from etl.mapping import load_mapping
from etl.pipeline.check import check
from etl.pipeline.forget import forget
from etl.pipeline.ingest import Ingest, ingest
from etl.pipeline.profiles import build
from etl.pipeline.project import Project, open_project
from etl.pipeline.status import status
from etl.pipeline.upkeep import rebuild_from_landing
from etl.profiles.published import find_profiles
from tests.profiles import lakes

KEY = "a-key-for-tests-0123456789"
JOBS = """
lake: ./lake
authorizations:
  shop: {{api_key: key, secret_key: secret, base_url: "http://127.0.0.1:9"}}
jobs:
  shop-events: {{type: amplitude_events, authorization: shop, mapping: small}}
{key}
"""
MAPPING = """
stream: amplitude_events
time: time
by: [user, device]
fields:
  - {field: user, from: user, kind: string, pii: true}
  - {field: device, from: device, kind: string}
  - {field: city, from: city, kind: string}
  - {field: mails, from: mails, kind: '[]string', pii: true}
  - {field: props, from: 'match("props.")', kind: 'map[string]string', pii: true}
  - {field: born, from: born, kind: %s, pii: %s}
"""


def _project(folder: Path, key: str = KEY, kind: str = "date", pii: str = "false") -> Project:
    (folder / "mappings").mkdir(exist_ok=True)
    (folder / "mappings/small.yaml").write_text(MAPPING % (kind, pii), encoding="utf-8")
    (folder / "jobs.yaml").write_text(JOBS.format(key=f"pii_key: {key}" if key else ""), encoding="utf-8")
    return open_project(folder / "jobs.yaml")


def _record(user: str, time: int, **more: Any) -> dict[str, Any]:
    return {
        "user": user,
        "device": f"d{time}",
        "time": time,
        "mails": [f"{user}@shop.example"],
        "props": {"nick": f"{user} the first"},
    } | more


def _load(project: Project, *records: dict[str, Any]) -> Landed:
    landed = lakes.land(project.lake, 0, list(records))
    path = landed.folder / "0.json"
    path.write_text(path.read_text(encoding="utf-8") + '{"user": "ana", "broken\n', encoding="utf-8")
    ingest(Ingest(project.lake, project.mapping(project.job("shop-events")), "shop-events"), [landed])
    build(project)
    return landed


def _hashed(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_every_kind_is_hashed_and_identities_hold(tmp_path: Path) -> None:
    project = _project(tmp_path)
    landed = _load(project, _record("ana", 1, city="Oslo"), _record("ana", 2, mails=[]), _record("anonymous", 3), _record("anonymous", 4))
    (ana,) = find_profiles(project.lake, "user", _hashed("ana"))
    assert ana["mails"] == [_hashed("ana@shop.example")]
    assert (ana["props"], ana["city"]) == ({"nick": _hashed("ana the first")}, "Oslo")
    assert {one["value"] for one in ana["identifiers"]} == {_hashed("ana"), "d1", "d2"}
    devices = [find_profiles(project.lake, "device", name)[0]["profile_id"] for name in ("d1", "d3", "d4")]
    assert len(set(devices)) == 3, "nobody is made one person by a value that identifies nobody"
    for path in project.lake.root.rglob("*.parquet"):
        held = str(pq.ParquetFile(path).read().to_pylist())
        assert "ana@shop" not in held and "'ana'" not in held and "ana the" not in held and '"ana"' not in held, path
    assert b"ana@shop" in (landed.folder / "0.json").read_bytes(), "landing keeps what arrived"
    assert project.identifiers_of("user", "ana") == [("user", "ana"), ("user", _hashed("ana"))]


def test_forgetting_takes_the_value_that_people_know(tmp_path: Path) -> None:
    project = _project(tmp_path)
    _load(project, _record("ana", 1), _record("bo", 2))
    report = forget(project, [("user", "ana")])
    assert (report.people, report.loads.lines, report.loads.rows) == (1, 2, 1)
    assert find_profiles(project.lake, "user", _hashed("ana")) == []
    assert len(find_profiles(project.lake, "user", _hashed("bo"))) == 1
    for path in project.lake.root.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert b'"ana"' not in content and _hashed("ana").encode() not in content, path


def test_whom_another_key_would_bring_back_is_told(tmp_path: Path) -> None:
    def told(key: str = KEY) -> tuple[bool, bool]:
        project = _project(tmp_path, key)
        warned = [text for finding in check(project, online=False) for text in finding.warnings if "everybody who was forgotten" in text]
        return bool(warned), status(project).forgotten is not None

    project = _project(tmp_path)
    _load(project, _record("ana", 1), _record("bo", 2))
    assert told("another-key-0123456789") == (False, False), "nobody was forgotten yet"
    forget(_project(tmp_path), [("user", "ana")])
    assert (told(), told("another-key-0123456789"), told("")) == ((False, False), (True, True), (True, True))
    other = _project(tmp_path, "another-key-0123456789")
    rebuild_from_landing(other)
    forget(other, [("user", "ana")])
    assert told("another-key-0123456789") == (False, False)


def test_another_key_or_none_is_refused_until_a_rebuild(tmp_path: Path) -> None:
    _load(_project(tmp_path), _record("ana", 1))
    for key in ("another-key-0123456789", ""):
        project = _project(tmp_path, key)
        with pytest.raises(ConfigurationError, match="hashed: user, mails, props by key") as caught:
            _load(project, _record("ana", 1))
        assert caught.value.next_step is not None and "rebuild --from landing" in caught.value.next_step
        assert KEY not in str(caught.value) and "another" not in str(caught.value)


def test_a_field_of_two_streams_is_hashed_in_both_or_in_none(tmp_path: Path) -> None:
    project = _project(tmp_path)
    _load(project, _record("ana", 1))
    path = tmp_path / "mappings/members.yaml"
    path.write_text("stream: amplitude_cohorts\nby: [user]\nfields:\n  - {field: user, from: user_id, kind: string}\n", encoding="utf-8")
    other = project.hashing(load_mapping("members", project.mapping_folders()))
    with pytest.raises(ConfigurationError, match=r"two streams map the field user differently .*amplitude_events string, latest, hashed"):
        ingest(Ingest(project.lake, other, "shop-cohorts"), [])


@pytest.mark.parametrize(("changes", "text"), [({"key": "short"}, "shorter than 16"), ({"pii": "true"}, "a date cannot be hashed")])
def test_what_cannot_be_hashed_is_a_fault(tmp_path: Path, changes: dict[str, str], text: str) -> None:
    project = _project(tmp_path, **changes)
    with pytest.raises(ConfigurationError, match=text):
        project.mapping(project.job("shop-events"))
