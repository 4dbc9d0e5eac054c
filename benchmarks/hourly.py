"""What an hour costs a lake that holds many people already: the build alone, at several sizes, in one run.

    python benchmarks/hourly.py [--people 1000000 10000000] [--touched 30000] [--hours 3] [--keep result.json]
                                [--folder FOLDER] [--without sqlite parquet] [--leave]

For each size a lake of so many people is made, built whole (that is also what `profilemill rebuild` does), loaded into the
destinations, and then given hour after hour: an import, which is not measured, a build, and the destinations. Every step runs
in a process of its own; its CPU seconds are those beyond starting and importing, its peak memory is all of it, and what it
wrote are the files that are in the lake or the destination afterwards and were not before. Parquet destinations are always
written whole, so they are told apart.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

_STEPS = {
    "whole": "build of everything",
    "sqlite_whole": "SQLite, everything",
    "build": "hourly build",
    "sqlite": "SQLite, changes",
    "parquet": "Parquet, written whole",
}
Result = dict[str, float]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--people", type=int, nargs="+", default=[1_000_000, 10_000_000])
    options.add_argument("--touched", type=int, default=30_000)
    options.add_argument("--hours", type=int, default=3)
    options.add_argument("--without", nargs="*", default=[], choices=["sqlite", "parquet"])
    options.add_argument("--folder", type=Path, help="where to make the lakes; default: a temporary folder")
    options.add_argument("--leave", action="store_true", help="keep the lakes of --folder, and use those that are there")
    options.add_argument("--keep", type=Path, help="write the result as JSON")
    options.add_argument("--one", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        _one(given.one)
        return
    with tempfile.TemporaryDirectory(prefix="profilemill-benchmark-", dir=given.folder) as temporary:
        folder = given.folder if given.leave else Path(temporary)
        if not (folder / "sample").is_dir():
            _measured("sample", folder)
        found = {}
        for people in given.people:
            found[people] = _measure(folder, people, given)
            _show(found, given.touched)
    if given.keep:
        given.keep.write_text(json.dumps({"touched": given.touched, "runs": found}, indent=1) + "\n", encoding="utf-8")


def _measure(folder: Path, people: int, given: argparse.Namespace) -> dict[str, list[Result]]:
    """Each step's measurements at a size."""
    stored, work = folder / f"stored-{people}", folder / f"work-{people}"
    found: dict[str, list[Result]] = {}
    if not (stored / "result.json").is_file():
        shutil.rmtree(stored, ignore_errors=True)
        _measured("store", folder, stored, people)
        found["whole"] = [_measured("build", folder, stored)]
        (stored / "result.json").write_text(json.dumps(found["whole"]), encoding="utf-8")
    found["whole"] = json.loads((stored / "result.json").read_text(encoding="utf-8"))
    # Files of a lake are never written to again, so links to them are a copy.
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(stored, work, copy_function=lambda source, target: Path(target).hardlink_to(source))
    if "sqlite" not in given.without:
        found["sqlite_whole"] = [_measured("sqlite", folder, work)]
    for hour in range(given.hours):
        _measured("hour", folder, work, hour, given.touched, people)
        for step in ("build", *(one for one in ("sqlite", "parquet") if one not in given.without)):
            found.setdefault(step, []).append(_measured(step, folder, work))
            print(people, f"hour {hour}", step, found[step][-1], file=sys.stderr, flush=True)
    shutil.rmtree(work)
    if not given.leave:
        shutil.rmtree(stored)
    return found


def _measured(step: str, folder: Path, *more: object) -> Result:
    command = [sys.executable, __file__, "--one", step, str(folder), *map(str, more)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Result = json.loads(done.stdout.splitlines()[-1])
    return found


def _one(arguments: list[str]) -> None:
    """Runs a step in this process and prints what it took."""
    folder = Path(arguments[1])
    work = Path(arguments[2]) if len(arguments) > 2 else folder
    action = _action(arguments[0], folder, work, [int(one) for one in arguments[3:]])
    before, files, start = _cpu(), _files(work), time.perf_counter()
    action()
    wall = time.perf_counter() - start
    written = sum(size for path, size in _files(work).items() if files.get(path) != size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": _cpu() - before, "wall": wall, "peak_mb": peak, "written_mb": written / 1e6}))


def _action(step: str, folder: Path, work: Path, numbers: list[int]) -> Callable[[], Any]:
    import stored_people

    from etl.destinations.parquet import load_parquet
    from etl.destinations.sql import load_sql
    from etl.lake.layout import Lake
    from etl.profiles.build import build_profiles

    sample, lake = Lake(folder / "sample" / "sample"), Lake(work / "lake")

    def hour() -> None:
        number, touched, people = numbers
        copies = stored_people.copies_of(sample, people)
        stored_people.import_hour(sample, lake, stored_people.Hour(number, touched, copies))

    actions: dict[str, Callable[[], Any]] = {
        "sample": lambda: stored_people.make_sample(folder / "sample"),
        "store": lambda: stored_people.make_stored(sample, lake, numbers[0]),
        "hour": hour,
        "build": lambda: build_profiles(lake),
        "sqlite": lambda: load_sql(lake, "sqlite", f"sqlite:///{work}/profiles.db", "profiles"),
        "parquet": lambda: load_parquet(lake, "parquet", work / "profiles"),
    }
    return actions[step]


def _files(folder: Path) -> dict[Path, int]:
    """Every file by its inode's name, with its size. A database file that is written in place counts where it grew."""
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _show(found: dict[int, dict[str, list[Result]]], touched: int) -> None:
    """The medians; the most that any hour took beside them, since a build may fold what hours before it left."""
    smallest = found[min(found)]
    print(f"\n{touched:,} people touched in an hour\n")
    print(f"{'':<26}{'people':>12}{'CPU s':>9}{'of least':>9}{'most':>8}{'wall s':>9}{'peak MB':>9}{'written MB':>12}")
    for step, name in _STEPS.items():
        for people, runs in found.items():
            if step not in runs:
                continue
            middle = {key: statistics.median(one[key] for one in runs[step]) for key in runs[step][0]}
            least = statistics.median(one["cpu"] for one in smallest[step])
            most = max(one["cpu"] for one in runs[step])
            print(
                f"{name:<26}{people:>12,}{middle['cpu']:>9.1f}{middle['cpu'] / least:>8.2f}x{most:>8.1f}{middle['wall']:>9.1f}"
                f"{middle['peak_mb']:>9.0f}{middle['written_mb']:>12,.1f}"
            )
    print(flush=True)


if __name__ == "__main__":
    main()
