"""Which of very many numbers are there twice, in memory that does not depend on how many there are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.uint64]]
_AT_ONCE = 4_000_000
_MOST_PARTS = 256  # files that are open at once


def met_twice(numbers: Iterable[Numbers], count: int, folder: Path, at_once: int = _AT_ONCE) -> Numbers:
    """Those of about `count` numbers that are there more than once. They are hashes: as many in each range. About `at_once` are
    looked at together; where there are more, they wait in files of `folder`, which is made if need be and left empty."""
    parts = max(1, min(_MOST_PARTS, -(-count // at_once)))
    if parts == 1:
        return _twice(np.concatenate([np.zeros(0, np.uint64), *numbers]))
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{part}.numbers" for part in range(parts)]
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context(path.open("wb")) for path in paths]
        for some in numbers:
            ordered = np.sort(some)
            # Ranges of equal width; the high half alone, since the product has to fit.
            of_number = (ordered >> np.uint64(32)) * np.uint64(parts) >> np.uint64(32)
            ends = np.searchsorted(of_number, np.arange(parts), side="right").tolist()
            for file, start, end in zip(files, [0, *ends], ends, strict=False):
                file.write(ordered[start:end].tobytes())
    found = []
    for path in paths:
        found.append(_twice(np.fromfile(path, np.uint64)))
        path.unlink()
    return np.concatenate(found)


def _twice(numbers: Numbers) -> Numbers:
    numbers.sort()
    return np.unique(numbers[1:][numbers[1:] == numbers[:-1]])
