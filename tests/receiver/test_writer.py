"""What the writer of an inbox leaves behind: on a full disk, after a death at any byte, over time."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.receiver.writer import InboxWriter, Rotation
from etl.settings import Clock
from etl.sources.inbox import finished_files, open_files, read_lines

LINES = st.lists(st.text("ab é{}", max_size=20).map(lambda text: f"{{{text}}}".encode()), max_size=8)


def stored(folder: Path) -> list[bytes]:
    return [line for path in finished_files(folder) for _, line in read_lines(path)]


@settings(max_examples=60, deadline=None)
@given(lines=LINES, data=st.data())
def test_a_death_at_any_byte_loses_no_whole_line_and_keeps_no_half_one(lines: list[bytes], data: st.DataObject) -> None:
    content = b"".join(line + b"\n" for line in lines)
    cut = data.draw(st.integers(0, len(content)))
    with tempfile.TemporaryDirectory() as folder:
        inbox = Path(folder) / "inbox"
        inbox.mkdir()
        (inbox / ".20260101T000000.000000Z-0000000a.jsonl.open").write_bytes(content[:cut])
        writer = InboxWriter(inbox)
        writer.append([b"{after}"])
        writer.close()
        assert stored(inbox) == [*lines[: content[:cut].count(b"\n")], b"{after}"]
        torn = [path.read_bytes() for path in inbox.glob("torn/*")]
        assert b"".join([*(path.read_bytes() for path in finished_files(inbox)[:-1]), *torn]) == content[:cut]
        assert open_files(inbox) == []


def test_files_end_by_size_and_by_age(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    writer = InboxWriter(tmp_path / "inbox", Rotation(20, timedelta(seconds=60)), Clock(now=lambda: now[0]))
    writer.append([b"{1}", b"{2}"])
    writer.tick()
    assert stored(tmp_path / "inbox") == []
    now[0] += timedelta(seconds=60)
    writer.tick()
    assert stored(tmp_path / "inbox") == [b"{1}", b"{2}"]
    writer.append([b"{3}"])
    assert stored(tmp_path / "inbox") == [b"{1}", b"{2}"]
    writer.append([b"{" + b"x" * 20 + b"}"])
    assert stored(tmp_path / "inbox")[2:] == [b"{3}", b"{" + b"x" * 20 + b"}"]
    assert [path.name[:23] for path in finished_files(tmp_path / "inbox")] == ["20260101T000000.000000Z", "20260101T000100.000000Z"]
    writer.close()
    assert len(finished_files(tmp_path / "inbox")) == 2


_FULL = """
import resource, sys
from pathlib import Path
from etl.receiver.writer import InboxWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
writer, kept = InboxWriter(Path(sys.argv[1])), []
for number in range(30):
    line = b'{"id": %d, "filling": "%s"}' % (number, b"x" * 90)
    try:
        writer.append([line, line])
        print(number)
    except OSError:
        print("refused", file=sys.stderr)
writer.close()
"""


def test_a_disk_that_takes_half_a_line_ends_the_file_before_it(tmp_path: Path) -> None:
    """The system refuses bytes beyond 1,000 of a file, after taking those that fit."""
    done = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path / "inbox")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    accepted = [int(line) for line in done.stdout.split()]
    assert len(accepted) < 30
    assert done.stderr.count("refused") == 30 - len(accepted)
    lines = stored(tmp_path / "inbox")
    assert [line.split(b",")[0] for line in lines] == [b'{"id": %d' % number for number in accepted for _ in range(2)]
    assert all(line.endswith(b'"}') for line in lines)
    assert open_files(tmp_path / "inbox") == []
