"""The library that is compiled with the package, for what is done to each byte or row. Whoever calls it has a slow way as well,
with the same results, for machines where it could not be built."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

LIBRARY = Path(__file__).with_name("_kernel.so")
_VERSION = 5


@cache
def kernel() -> ctypes.CDLL | None:
    """The library; None where it was not built, or for another version of the package."""
    try:
        library = ctypes.CDLL(str(LIBRARY))
        library.profilemill_line_starts.restype = ctypes.c_int64
        return library if library.profilemill_kernel_version() == _VERSION else None
    except (OSError, AttributeError):
        return None


def is_built() -> bool:
    return kernel() is not None


def built() -> ctypes.CDLL:
    """The library. Raises RuntimeError where it was not built."""
    library = kernel()
    if library is None:
        raise RuntimeError("the kernel of etl.engines is not built")
    return library


def at(array: np.ndarray[Any, Any]) -> ctypes.c_void_p:
    """Where an array stands."""
    return ctypes.c_void_p(array.ctypes.data)
