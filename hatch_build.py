"""Builds the kernel (`etl/engines/*.c`: it reads JSON lines and finds latest values) with the package.

A compiler of the system is used (`CC`, else cc, gcc or clang); where there is none, that of the package `ziglang`. The
kernel calls nothing of Python's, so one build serves every version of it. If it cannot be built the package works
without it, slower, and `profilemill check` says so.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SOURCES, _LIBRARY = ("etl/engines/shred.c", "etl/engines/latest.c"), "etl/engines/_kernel.so"


def _system_compiler() -> list[str] | None:
    named = shlex.split(os.environ.get("CC", ""))
    if named:
        return named
    found = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    return [found] if found else None


class KernelHook(BuildHookInterface[Any]):
    """Compiles before a wheel or an editable install is made."""

    def dependencies(self) -> list[str]:
        return [] if _system_compiler() else ["ziglang>=0.13"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        sources, library = [str(Path(self.root, source)) for source in _SOURCES], Path(self.root, _LIBRARY)
        compiler = _system_compiler() or [sys.executable, "-m", "ziglang", "cc"]
        made = library.with_name(f"{library.name}.{os.getpid()}")
        command = [*compiler, "-std=c11", "-O3", "-fPIC", "-shared", *sources, "-o", str(made)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", "") or str(error)
            self.app.display_warning(f"the kernel of etl.engines was not built, so imports will be slower: {reason.strip()[-500:]}")
            return
        # A process that has the old one open keeps it.
        made.replace(library)
        build_data["artifacts"].append(_LIBRARY)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
