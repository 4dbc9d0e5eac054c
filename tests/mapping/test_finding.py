"""Which file a mapping's name leads to, and what extending itself means."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.errors import ConfigurationError, MappingError
from etl.mapping import find_mapping, load_mapping
from etl.settings import packaged_mappings

_OWN = "extends: [{base}]\nfields:\n  - {{field: mine, from: city, kind: string}}\n"


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("base", ["amplitude_events", "shipped:amplitude_events"])
def test_a_file_of_a_shipped_name_extends_the_shipped_one(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = _write(tmp_path / "mappings", "amplitude_events.yaml", _OWN.format(base=base))
    monkeypatch.chdir(tmp_path)
    shipped = packaged_mappings() / "amplitude_events.yaml"
    for name in ("amplitude_events", "mappings/amplitude_events.yaml"):
        found = load_mapping(name, [tmp_path / "mappings", packaged_mappings()])
        assert [path.absolute() for path in found.files] == [own, shipped]
        assert found.by == ("amplitude_user_id", "amplitude_id")
        assert [len(field.sources) for field in found.fields if field.name == "mine"] == [1]
    assert find_mapping("shipped:amplitude_events", [tmp_path]) == shipped


def test_a_circle_has_a_place(tmp_path: Path) -> None:
    _write(tmp_path, "a.yaml", _OWN.format(base="b"))
    _write(tmp_path, "b.yaml", _OWN.format(base="a"))
    with pytest.raises(MappingError) as caught:
        load_mapping("a", [tmp_path])
    assert "b.yaml:1:11: E408 mappings extend each other in a circle: a.yaml -> b.yaml -> a.yaml" in caught.value.what
    assert str(caught.value.next_step).endswith("b.yaml and run this again")


def test_two_files_of_one_name(tmp_path: Path) -> None:
    for name in ("a.yaml", "a.lql"):
        _write(tmp_path, name, "x")
    with pytest.raises(ConfigurationError, match="two files are the mapping 'a'"):
        find_mapping("a", [tmp_path])


@pytest.mark.parametrize("text", ["SELECT a: b FROM x", "SELECT a FROM x GROUP BY a"])
def test_nothing_is_said_to_be_missing_from_what_could_not_be_read(text: str, tmp_path: Path) -> None:
    path = _write(tmp_path, "a.lql", text)
    with pytest.raises(MappingError) as caught:
        load_mapping(str(path), [])
    assert "has a fault" in caught.value.what


def test_hints_of_statements_are_in_upper_case(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.lql", "SELECT a TYPE string, b MERGOP sum FROM x BY a")
    with pytest.raises(MappingError) as caught:
        load_mapping(str(path), [])
    assert "did you mean 'KIND'?" in caught.value.what
    assert "did you mean 'MERGEOP'?" in caught.value.what
