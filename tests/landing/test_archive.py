"""Export archives with members that cannot be what was sent."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from etl.landing.archive import land_archive
from etl.windows import Window

HOUR = datetime(2024, 3, 2, tzinfo=UTC)


def test_a_member_without_a_byte_is_damaged_not_empty(tmp_path: Path) -> None:
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("1/1_2024-03-02_0#0.json.gz", b"")
        opened.writestr("1/1_2024-03-02_1#0.json.gz", gzip.compress(b""))
    window = Window(HOUR, HOUR + timedelta(hours=2))
    landed, broken = land_archive(tmp_path / "landing", archive, "shop", window)
    assert [one.time for one in landed] == [HOUR + timedelta(hours=1)]
    assert list(broken) == [HOUR]
