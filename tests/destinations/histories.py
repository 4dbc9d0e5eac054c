"""Lakes at successive builds."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etl.lake.layers import Sizes
from etl.lake.layout import Lake
from etl.mapping import load_mapping
from etl.profiles.build import build_profiles
from tests.profiles import lakes

# Rows beside the base, then made one with others, then all folded.
_SIZES = (Sizes(share=1e9, files=100), Sizes(share=1e9, files=100), Sizes(share=1e9, files=1), Sizes(share=0.0))

Step = tuple[str, dict[int, list[dict[str, Any]]]]


def make_history(folder: Path, steps: Sequence[Step]) -> list[Lake]:
    """A lake for each step (a mapping, and the hours loaded with it): that of the step before, one build further."""
    made: list[Lake] = []
    for number, (mapping, hours) in enumerate(steps):
        lake = Lake(folder / f"lake-{number}")
        if made:
            shutil.copytree(made[-1].root, lake.root)
        (folder / f"{number}.yaml").write_text(mapping, encoding="utf-8")
        lakes.load(lake, load_mapping(str(folder / f"{number}.yaml"), []), hours)
        build_profiles(lake, sizes=_SIZES[number % len(_SIZES)])
        made.append(lake)
    return made
