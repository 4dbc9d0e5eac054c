"""An export archive to rows and to profiles: Profilemill beside a DuckDB and a pandas script written by hand, in one run.

    python benchmarks/pipeline.py [--events 200000] [--rounds 3] [--without pandas] [--keep result.json]

Each candidate runs in a process of its own, in turn, on the same archive: about 2 KB an event, hourly members, 1 % of the
rows twice, 0.1 % broken lines. CPU seconds are those of the process and its children, less what starting it and importing
its libraries takes; peak memory is all of it. Profilemill also sets broken lines aside, counts what became of each field
and writes the fragments that later merging needs; the scripts do not.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

_DAY = datetime(2022, 11, 21, tzinfo=UTC), datetime(2022, 11, 22, tzinfo=UTC)
_TO_ROWS = ("floor", "ours_rows", "duckdb_rows", "pandas_rows")
_TO_PROFILES = ("ours_profiles", "duckdb_profiles", "pandas_profiles")
_NAMES = {
    "floor": "inflate only",
    "ours_rows": "Profilemill",
    "ours_profiles": "Profilemill",
    "duckdb_rows": "DuckDB by hand",
    "duckdb_profiles": "DuckDB by hand",
    "pandas_rows": "pandas",
    "pandas_profiles": "pandas",
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=200_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--without", nargs="*", default=[], choices=["pandas", "duckdb", "floor"])
    options.add_argument("--keep", type=Path, help="write the result as JSON")
    options.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        _one(given.one[0], Path(given.one[1]), Path(given.one[2]))
        return
    chosen = [one for one in (*_TO_ROWS, *_TO_PROFILES) if one.split("_")[0] not in given.without]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory(prefix="profilemill-benchmark-") as folder:
        archive = Path(folder) / "export.zip"
        size = make_archive(archive, given.events)
        for _ in range(given.rounds):
            for name in chosen:
                found[name].append(_measured(name, archive))
    result = {name: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for name, runs in found.items()}
    _show(result, given.events, size, given.rounds)
    if given.keep:
        kept = {"events": given.events, "rounds": given.rounds, "json_bytes": size, "medians": result, "runs": found}
        given.keep.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def make_archive(archive: Path, events: int) -> int:
    """Writes an export archive as Amplitude packs it; the bytes of JSON in it."""
    from etl.sandbox.data import SampleSpec, export_members

    size = 0
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for (hour, part), lines in export_members(SampleSpec(events=events, people=max(200, events // 20), broken_lines=0.001)):
            data = b"".join(line.rstrip(b"\n") + b"\n" for line in lines)
            size += len(data)
            opened.writestr(f"123456/123456_{hour:%Y-%m-%d}_{hour.hour}#{part}.json.gz", gzip.compress(data, 6))
    return size


def _measured(name: str, archive: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="profilemill-benchmark-") as folder:
        command = [sys.executable, __file__, "--one", name, str(archive), folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def _one(name: str, archive: Path, folder: Path) -> None:
    """Runs a candidate in this process and prints what it took."""
    action = _action(name, archive, folder)
    before = _cpu()
    action()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": _cpu() - before, "peak_mb": peak}))


def _action(name: str, archive: Path, folder: Path) -> Callable[[], Any]:
    import by_hand

    # Arrow imports it with the first array that it makes, wherever it is installed.
    with contextlib.suppress(ImportError):
        import pandas  # noqa: F401

    from etl.lake.layout import Lake
    from etl.landing.archive import land_archive
    from etl.mapping import load_mapping
    from etl.pipeline.ingest import Ingest, ingest
    from etl.profiles.build import build_profiles
    from etl.settings import packaged_mappings
    from etl.windows import Window

    mapping = load_mapping("amplitude_events", [packaged_mappings()])

    def ours(profiles: bool) -> None:
        lake = Lake(folder / "lake")
        lake.ensure_writable()
        landed, _ = land_archive(lake.landing, archive, "shop", Window(*_DAY))
        ingest(Ingest(lake, mapping, "shop-events"), landed)
        if profiles:
            build_profiles(lake)

    actions: dict[str, Callable[[], Any]] = {
        "floor": lambda: _inflate(archive),
        "ours_rows": lambda: ours(False),
        "ours_profiles": lambda: ours(True),
        "duckdb_rows": lambda: by_hand.duckdb_rows(archive, folder, mapping),
        "duckdb_profiles": lambda: by_hand.duckdb_profiles(archive, folder, mapping),
        "pandas_rows": lambda: by_hand.pandas_rows(archive, folder, mapping),
        "pandas_profiles": lambda: by_hand.pandas_profiles(archive, folder, mapping),
    }
    return actions[name]


def _inflate(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            gzip.decompress(opened.read(name))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _show(result: dict[str, dict[str, float]], events: int, size: int, rounds: int) -> None:
    print(f"{events:,} events, {size / 1e6:,.0f} MB of JSON; medians of {rounds} rounds in turn\n")
    for title, names in (("zip to rows in a Delta table", _TO_ROWS), ("zip to profiles", _TO_PROFILES)):
        ours = result[names[0] if names[0].startswith("ours") else names[1]]["cpu"]
        print(f"{title:<34}{'CPU s':>8}{'events per CPU s':>18}{'of ours':>9}{'peak MB':>9}")
        for name in names:
            if name in result:
                cpu = result[name]["cpu"]
                print(f"  {_NAMES[name]:<32}{cpu:>8.2f}{events / cpu:>18,.0f}{cpu / ours:>8.2f}x{result[name]['peak_mb']:>9.0f}")
        print()


if __name__ == "__main__":
    main()
