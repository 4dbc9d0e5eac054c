"""Four ways to the same profiles, compared row by row: windows imported in any order with repetitions, changed hours and a
kill; a rebuild from fragments; a rebuild from the raw files; and a plain Python computation that shares no code (`plain.py`).

    python benchmarks/truth.py [--events 200000] [--seed 7] [--keep result.json]

A sandbox serves the hours over HTTP, and everything is done by the command as users call it. An hour in four is served with
half of its lines first and imported again later. Seconds of CPU are those of each step and its children; memory is the most
that one of the commands, or the plain computation, took. Ends with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

ROOT = Path(__file__).parent.parent
_HOURS = 48
_WINDOWS = 8
_CHANGED = 0.25  # of the hours
_MOST_SHOWN = 20
_JOBS = """
lake: ./lake
authorizations:
  shop: {{api_key: key, secret_key: secret, base_url: "{url}"}}
destinations:
  files: {{type: parquet, path: ./out/profiles}}
jobs:
  shop-events: {{type: amplitude_events, authorization: shop, destinations: [files]}}
"""


class Steps:
    """What each step took."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def run(self, name: str, action: Callable[[], Any]) -> Any:
        print(f"{name} ...", flush=True)
        begin, cpu = time.monotonic(), _cpu()
        result = action()
        self.found.append({"step": name, "wall": time.monotonic() - begin, "cpu": _cpu() - cpu})
        print(f"  {self.found[-1]['wall']:.0f} s, {self.found[-1]['cpu']:.0f} CPU s", flush=True)
        return result


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=200_000)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--keep", type=Path, help="write the result as JSON")
    options.add_argument("--folder", type=Path, help="work here instead of in a temporary folder")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="profilemill-truth-", dir=given.folder) as folder:
        result = _run(Path(folder), given.events, given.seed)
    _show(result)
    if given.keep:
        given.keep.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if any(result["differences"].values()) else 0)


def _run(folder: Path, events: int, seed: int) -> dict[str, Any]:
    from plain import Plain, read_fields

    rng, steps, served = random.Random(seed), Steps(), folder / "served"
    hours, changed = steps.run("making events", lambda: _write_members(served, events, seed, rng))
    project = folder / "project"
    project.mkdir()
    steps.run("importing and building step by step", lambda: _import(project, served, hours, changed, rng))
    kept = {"step by step": _keep(project, "incremental")}
    steps.run("rebuild from fragments", lambda: _command(project, "rebuild"))
    kept["from fragments"] = _keep(project, "fragments")
    steps.run("rebuild from landing", lambda: _command(project, "rebuild", "--from", "landing"))
    kept["from landing"] = _keep(project, "landing")
    status = json.loads(_command(project, "status", "--json"))
    largest_command = _peak(resource.RUSAGE_CHILDREN)
    differences = {name: _rows_that_differ(kept["step by step"], kept[name]) for name in ("from fragments", "from landing")}
    plain = Plain(served / "export", read_fields(ROOT / "mappings/amplitude_events.yaml"))
    steps.run("plain Python: who is who", plain.identify)
    compared = _Compared()
    for number in range(plain.passes):
        name = f"plain Python: profiles, pass {number + 1} of {plain.passes}"
        profiles = steps.run(name, lambda number=number: plain.profiles(number))
        steps.run("comparing", lambda profiles=profiles: compared.add(kept["from landing"], profiles))
    differences["plain Python"] = compared.result(kept["from landing"])
    job = status["jobs"][0]
    differences["counts"] = sum(
        [job[name] != plain.counts[name] for name in ("lines", "rejects", "rows", "unidentified")] + [status["conflicts"] != plain.refused]
    )
    return {
        "events": events,
        "seed": seed,
        "hours": len(hours),
        "hours_imported_again": len(changed),
        "profiles": compared.profiles,
        "values": compared.values,
        "quarantined": status["quarantined"],
        "conflicts": status["conflicts"],
        "counts": plain.counts,
        "differences": differences,
        "examples": compared.examples,
        "steps": steps.found,
        "peak_mb": {"commands": largest_command, "plain Python": _peak(resource.RUSAGE_SELF)},
    }


def _write_members(served: Path, events: int, seed: int, rng: random.Random) -> tuple[list[datetime], dict[datetime, list[Path]]]:
    """Writes export members, hour by hour; the hours, and the whole members of hours that are half of themselves so far."""
    from etl.sandbox.data import SampleSpec, export_members, gzip_bytes, member_name

    spec = SampleSpec(seed=seed, events=events, people=max(200, events // 50), hours=_HOURS)
    hours: list[datetime] = []
    changed: dict[datetime, list[Path]] = {}
    for (hour, part), lines in export_members(spec):
        hour = hour.replace(tzinfo=None)
        if hour not in hours:
            hours.append(hour)
            if rng.random() < _CHANGED:
                changed[hour] = []
        path = served / "export" / member_name(spec.project_id, hour, part)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip_bytes(lines))
        if hour in changed:
            whole = path.with_suffix(".whole")
            path.rename(whole)
            path.write_bytes(gzip_bytes(lines[::2]))
            changed[hour].append(whole)
        print(f"\r  {len(hours)} of {_HOURS} hours", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return hours, changed


def _import(project: Path, served: Path, hours: list[datetime], changed: dict[datetime, list[Path]], rng: random.Random) -> None:
    """Windows in any order, some hours twice; then the changed hours again, in any order; one of the runs is killed."""
    first, size = min(hours), _HOURS // _WINDOWS
    windows = [
        (first + timedelta(hours=start), first + timedelta(hours=start + size + rng.choice((0, 0, 2)))) for start in range(0, _HOURS, size)
    ]
    rng.shuffle(windows)
    with _sandbox(served) as url:
        (project / "jobs.yaml").write_text(_JOBS.format(url=url), encoding="utf-8")
        for number, window in enumerate(windows):
            if number == len(windows) // 2:
                _killed(project, "run", "shop-events", *_window(window), after=rng.uniform(1, 6))
            _command(project, "run", "shop-events", *_window(window))
    for wholes in changed.values():
        for whole in wholes:
            whole.replace(whole.with_suffix(".gz"))
    with _sandbox(served) as url:
        (project / "jobs.yaml").write_text(_JOBS.format(url=url), encoding="utf-8")
        for hour in rng.sample(sorted(changed), len(changed)):
            _command(project, "run", "shop-events", "--force", *_window((hour, hour + timedelta(hours=1))))


def _window(window: tuple[datetime, datetime]) -> tuple[str, ...]:
    return "--from", f"{window[0]:%Y-%m-%dT%H}", "--to", f"{window[1]:%Y-%m-%dT%H}"


@contextmanager
def _sandbox(served: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "etl", "sandbox", "--data", str(served), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(word for line in process.stdout for word in line.split() if word.startswith("http://127.0.0.1"))
        finally:
            process.terminate()
            process.stdout.close()


def _command(project: Path, *arguments: str) -> str:
    done = subprocess.run(_call(arguments), cwd=project, env=_environment(), capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(f"profilemill {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def _killed(project: Path, *arguments: str, after: float) -> None:
    process = subprocess.Popen(_call(arguments), cwd=project, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _call(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "etl", *arguments]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def _keep(project: Path, name: str) -> Path:
    kept = project / f"{name}.parquet"
    shutil.copyfile(project / "out/profiles/profiles.parquet", kept)
    return kept


def _rows_that_differ(one: Path, other: Path) -> int:
    """How many rows stand in one of the files alone. Maps are compared without regard to the order of their keys."""
    import duckdb

    connection = duckdb.connect()
    described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{one}')").fetchall()
    columns = ", ".join(
        f'list_sort(map_entries("{name}")) AS "{name}"' if str(type_).startswith("MAP") else f'"{name}"' for name, type_, *_ in described
    )
    rows = [f"SELECT {columns} FROM read_parquet('{path}')" for path in (one, other)]
    both = f"(({rows[0]}) EXCEPT ALL ({rows[1]})) UNION ALL (({rows[1]}) EXCEPT ALL ({rows[0]}))"
    return int(connection.execute(f"SELECT count(*) FROM ({both})").fetchall()[0][0])


class _Compared:
    def __init__(self) -> None:
        self.profiles = self.values = self.wrong = 0
        self.examples: list[str] = []

    def add(self, path: Path, profiles: dict[str, dict[str, Any]]) -> None:
        """Looks for each of the profiles in the file, and at every value of it."""
        import pyarrow.parquet as pq

        left = dict(profiles)
        for batch in pq.ParquetFile(path).iter_batches(5000):
            for row in batch.to_pylist():
                right = left.pop(row["profile_id"], None)
                if right is not None:
                    self.profiles += 1
                    self._compare(row, right)
        for profile in left:
            self._differs(f"{profile} is missing")

    def _compare(self, row: dict[str, Any], right: dict[str, Any]) -> None:
        for name, value in right.items():
            found = row[name]
            if isinstance(found, list):
                found = dict(found) or None
            self.values += 1
            if found != value or type(found) is not type(value):
                self._differs(f"{row['profile_id']} {name}: {found!r} is not {value!r}"[:300])

    def _differs(self, text: str) -> None:
        self.wrong += 1
        if len(self.examples) < _MOST_SHOWN:
            self.examples.append(text)

    def result(self, path: Path) -> int:
        """Values that differ, and profiles that only one side has."""
        import pyarrow.parquet as pq

        return self.wrong + abs(pq.ParquetFile(path).metadata.num_rows - self.profiles)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1024


def _show(result: dict[str, Any]) -> None:
    again = f"{result['hours_imported_again']} of them imported again changed"
    print(f"\n{result['events']:,} events in {result['hours']} hours, {again}; seed {result['seed']}")
    kept_out = f"{result['quarantined']:,} in quarantine, {result['conflicts']:,} links not followed"
    print(f"{result['profiles']:,} profiles, {result['values']:,} values, {kept_out}\n")
    print(f"{'step':<48}{'CPU s':>9}{'wall s':>9}")
    for one in result["steps"]:
        print(f"  {one['step']:<46}{one['cpu']:>9.1f}{one['wall']:>9.1f}")
    print(f"\npeak memory: {', '.join(f'{name} {mb:,.0f} MB' for name, mb in result['peak_mb'].items())}\n")
    print(f"{'step by step, compared with':<48}{'differ':>9}")
    for name, count in result["differences"].items():
        print(f"  {name:<46}{count:>9,}")
    for example in result["examples"]:
        print(f"    {example}")


if __name__ == "__main__":
    main()
