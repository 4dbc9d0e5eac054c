"""Arrow tables that wait to be read again: in memory up to a size, in files beyond it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa


class Spool:
    """Tables of equal columns, in the order they were added. What is beyond `most_bytes` waits in `folder`."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._room = folder, most_bytes
        self._waiting: list[pa.Table | Path] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, table: pa.Table) -> None:
        self._room -= table.nbytes
        self._waiting.append(table if self._room >= 0 or not self._waiting else self._put_away(table))

    def columns(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns of each table."""
        for waiting in self._waiting:
            yield waiting.select(names) if isinstance(waiting, pa.Table) else _read(waiting, names)

    def drain(self) -> Iterator[pa.Table]:
        """Each table, once: nothing of it is held here any more."""
        while self._waiting:
            yield self._next()

    def _next(self) -> pa.Table:
        waiting = self._waiting.pop(0)
        if isinstance(waiting, pa.Table):
            return waiting
        found = _read(waiting)
        waiting.unlink()
        return found

    def _put_away(self, table: pa.Table) -> Path:
        path = self._folder / f"{secrets.token_hex(8)}.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        return path


def _read(path: Path, names: Sequence[str] | None = None) -> pa.Table:
    with contextlib.closing(pa.OSFile(str(path))) as file:
        schema = pa.ipc.open_file(file).schema
        chosen = None if names is None else [schema.get_field_index(name) for name in names]
        found = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=chosen)).read_all()
    return found if names is None else found.select(names)
