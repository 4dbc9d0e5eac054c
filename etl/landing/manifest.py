"""What one landing of one load is: a folder with the raw files and a manifest that says where they came from."""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
_PLAIN = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class LoadId:
    """The unit of re-doing, made from content and window: stream, scope (the authorization's name) and unit (an upload
    hour, or a cohort's id and `lastComputed`)."""

    stream: str
    scope: str
    unit: str

    def __str__(self) -> str:
        return f"{self.stream}/{self.scope}/{self.unit}"

    @property
    def folder(self) -> Path:
        return Path(self.stream, slug(self.scope), *(slug(part) for part in self.unit.split("/")))


@dataclass(frozen=True)
class Landed:
    """An attempt on disk, verified and complete. `members` are file names inside `folder`, in the order they count."""

    load: LoadId
    attempt: str
    folder: Path
    members: tuple[str, ...]
    time: datetime
    size: int = 0
    details: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes the manifest into `folder`, durably."""
        content = asdict(self) | {"folder": None, "time": self.time.isoformat(), "load": asdict(self.load)}
        write_json(folder / MANIFEST, content)


def read_manifest(folder: Path) -> Landed:
    """The attempt that stands in `folder`."""
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return Landed(
        load=LoadId(**content["load"]),
        attempt=content["attempt"],
        folder=folder,
        members=tuple(content["members"]),
        time=datetime.fromisoformat(content["time"]),
        size=content["size"],
        details=content["details"],
    )


def attempts_in(landing: Path) -> list[Path]:
    """The folders of all attempts in the landing folder. It may change meanwhile: what goes while this looks is left out."""
    return [Path(folder) for folder, _, files in os.walk(landing) if MANIFEST in files]


def slug(text: str) -> str:
    """`text` as a file name: other characters than letters, digits, dot, dash and underscore as `~` and their code."""
    made = _PLAIN.sub(lambda found: f"~{ord(found.group()):x}~", text)
    return made if made.strip(".") else f"~{made}"


def write_json(path: Path, content: Any) -> None:
    """Replaces the file in one step, durably."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
