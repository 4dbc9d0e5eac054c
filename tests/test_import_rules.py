"""A stage imports nothing to its right, and only the plugin and the DAGs import airflow: read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Lowest first. A module may import from its own line and from those above it.
ORDER = [
    {"etl.errors", "etl.records", "etl.settings", "etl.faults", "etl.leftovers", "etl.yaml_words", "etl.durable", "etl.groups"},
    {"etl.gunzip"},
    {"etl.jobs", "etl.jobs_forwarding", "etl.jobs_marks", "etl.jobs_strict", "etl.windows", "etl.reports"},
    {"etl.clients"},
    {"etl.connections"},
    {"etl.sources"},
    {"etl.receiver"},
    {"etl.landing"},
    {"etl.engines"},
    {"etl.lake"},
    {"etl.mapping"},
    {"etl.profiles"},
    {"etl.destinations"},
    {"etl.pipeline"},
    {"etl.screen_fields"},
    {"etl.screen"},
    {"etl.screen_mapping", "etl.screen_forwarding"},
    {"etl.runs"},
    {"etl.cli_options", "etl.client_inputs", "etl.screen_client"},
    {"etl.cli_mapping", "etl.cli_client_cohorts", "etl.cli_receive", "etl.cli_cohorts", "etl.cli_forget", "etl.cli_identity"},
    {"etl.cli_client"},
    {"etl.cli"},
    {"etl.__main__"},
]
SANDBOX_MAY_USE = {"etl.errors", "etl.records", "etl.settings", "etl.sandbox"}


def _modules() -> list[Path]:
    return sorted((ROOT / "etl").rglob("*.py"))


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _rank(module: str) -> int | None:
    for rank, names in enumerate(ORDER):
        if any(module == name or module.startswith(name + ".") for name in names):
            return rank
    return None


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_no_stage_imports_one_to_its_right(path: Path) -> None:
    name, imports = _name(path), _imports(path)
    assert not any(one == "airflow" or one.startswith("airflow.") for one in imports), f"{name} imports airflow"
    if name.startswith("etl.sandbox"):
        used = {one for one in imports if one.startswith("etl.")}
        assert all(any(one.startswith(allowed) for allowed in SANDBOX_MAY_USE) for one in used), used
        return
    own = _rank(name)
    if name == "etl":
        return
    assert own is not None, f"{name} has no place in the order"
    for one in imports:
        rank = _rank(one)
        sandbox_for_the_command = one.startswith("etl.sandbox") and name == "etl.cli"
        assert not one.startswith("etl.sandbox") or sandbox_for_the_command, f"{name} imports {one}"
        assert rank is None or rank <= own, f"{name} imports {one}, which stands to its right"


def test_no_file_is_long() -> None:
    sources = [*_modules(), *(ROOT / "plugins").rglob("*.py"), *(ROOT / "dags").rglob("*.py")]
    long = {str(path.relative_to(ROOT)): count for path in sources if (count := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_pins_name_no_place() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text(encoding="utf-8")
