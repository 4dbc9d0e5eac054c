"""One fsync for many requests: what arrives while one batch is being written makes up the next."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor

from etl.errors import TransientError
from etl.receiver.writer import InboxWriter

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5


class GroupCommit:
    """Stores lines of concurrent requests through one writer, in the order of their arrival.

    At most `most_waiting` bytes wait; beyond it lines are refused, so that a disk that stands still does not fill the
    memory. `healthy` says whether it runs and the last batch could be stored.
    """

    def __init__(self, writer: InboxWriter, most_waiting: int = 64 * 1024 * 1024) -> None:
        self._writer, self._most_waiting = writer, most_waiting
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._ending = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._task: asyncio.Task[None] | None = None
        self.stored, self.batches, self._failed = 0, 0, False

    async def __aenter__(self) -> GroupCommit:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stores what waits, finishes the file and ends. Raises OSError where the file cannot be finished."""
        self._ending = True
        self._wake.set()
        assert self._task is not None
        await self._task
        try:
            await self._in_thread(self._writer.close)
        finally:
            self._thread.shutdown()

    @property
    def healthy(self) -> bool:
        return self._task is not None and not self._task.done() and not self._failed

    async def store(self, line: bytes) -> None:
        """Returns when the line is on disk. Raises TransientError where it may not be."""
        if self._task is None or self._task.done():  # it ends by itself only through a defect
            raise TransientError("the receiver is not running")
        if self._ending or self._waiting_bytes + len(line) > self._most_waiting:
            raise TransientError("the receiver is ending" if self._ending else "too much waits for the disk")
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append((line, stored))
        self._waiting_bytes += len(line)
        self._wake.set()
        await stored

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        ticked = clock()
        while self._waiting or not self._ending:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _TICK_SECONDS)
            self._wake.clear()
            if self._waiting:
                await self._store_waiting()
            if clock() - ticked >= _TICK_SECONDS:
                await self._in_thread(self._writer.tick)
                ticked = clock()

    async def _store_waiting(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            await self._in_thread(self._writer.append, [line for line, _ in batch])
        except OSError as error:
            if not self._failed:
                log.warning("%s does not take what arrives (%s): answering 503 until it does", self._writer.folder, error.strerror)
            self._failed = True
            for _, stored in batch:
                if not stored.done():
                    stored.set_exception(TransientError("the disk did not take it", value=error.strerror))
        else:
            if self._failed:
                log.warning("%s takes what arrives again", self._writer.folder)
            self._failed = False
            self.stored += len(batch)
            self.batches += 1
            for _, stored in batch:
                if not stored.done():  # the sender may have gone
                    stored.set_result(None)
        finally:
            self._waiting_bytes -= sum(len(line) for line, _ in batch)

    async def _in_thread(self, action: object, *arguments: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, action, *arguments)  # type: ignore[arg-type]
