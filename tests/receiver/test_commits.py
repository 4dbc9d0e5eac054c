"""What happens between a request and the disk."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import TransientError
from etl.receiver.app import one_line
from etl.receiver.commits import GroupCommit
from etl.receiver.writer import InboxWriter
from etl.sources.inbox import finished_files, read_lines


def test_events_that_arrive_together_are_synced_together_and_keep_their_order(tmp_path: Path) -> None:
    lines = [b"{%d}" % number for number in range(200)]

    async def store() -> int:
        async with GroupCommit(InboxWriter(tmp_path / "inbox")) as inbox:
            await asyncio.gather(*(inbox.store(line) for line in lines))
            assert inbox.healthy
            assert inbox.stored == 200
            return inbox.batches

    assert asyncio.run(store()) <= 2
    (file,) = finished_files(tmp_path / "inbox")
    assert [line for _, line in read_lines(file)] == lines


def test_what_the_memory_would_not_hold_is_refused_and_the_end_stores_what_waits(tmp_path: Path) -> None:
    async def store() -> list[object]:
        inbox = GroupCommit(InboxWriter(tmp_path / "inbox"), most_waiting=25)
        async with inbox:
            waiting = [asyncio.create_task(inbox.store(b"{" + b"x" * 8 + b"}")) for _ in range(4)]
            await asyncio.sleep(0)
        found: list[object] = list(await asyncio.gather(*waiting, return_exceptions=True))
        with pytest.raises(TransientError):
            await inbox.store(b"{}")
        return found

    found = asyncio.run(store())
    assert [type(one) for one in found] == [type(None), type(None), TransientError, TransientError]
    (file,) = finished_files(tmp_path / "inbox")
    assert len(list(read_lines(file))) == 2


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.sampled_from([None, 2, "\t"]), st.booleans())
def test_any_object_becomes_one_line_that_says_the_same(content: dict[str, object], indent: int | str | None, escaped: bool) -> None:
    try:
        body = json.dumps(content, indent=indent, ensure_ascii=escaped).replace("\n", "\r\n").encode()
    except UnicodeEncodeError:
        return  # half a surrogate pair cannot be sent unescaped
    line = one_line(b"\xef\xbb\xbf" + body + b"\n")
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line) == content
