"""The queue that paces uploads, and the receipt: for any events, limits and interruptions."""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.destinations.batches import Limits, Measured, PacedQueue
from etl.destinations.receipts import Outgoing, Receipt, Refusal

senders = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=2, unique=True).map(tuple)
given_events = st.lists(st.tuples(st.integers(1, 60), senders), max_size=40)
limits = st.builds(Limits, events=st.integers(1, 12), bytes=st.integers(20, 200), of_sender=st.none() | st.integers(1, 5))


@settings(max_examples=60, deadline=None)
@given(given_events, limits, st.data())
def test_every_event_comes_once_in_order_of_its_senders_and_within_the_limits(
    chosen: list[tuple[int, tuple[str, ...]]], limits: Limits, data: st.DataObject
) -> None:
    moment = datetime(2024, 3, 2, tzinfo=UTC)
    items = [Measured(Outgoing(f"e{n:03d}", n, {}), size, who) for n, (size, who) in enumerate(chosen)]
    queue = PacedQueue(iter(items), limits, lambda: moment)
    out: list[Measured] = []
    sent: list[tuple[datetime, Counter[str]]] = []
    disturbances = data.draw(st.integers(0, 5))
    while (batch := queue.take()) is not None:
        if not batch:
            pause = queue.pause()
            assert pause > 0, "an empty batch means waiting"
            moment += timedelta(seconds=pause)
            continue
        assert len(batch) <= limits.events
        assert len(batch) == 1 or sum(one.size for one in batch) <= limits.bytes
        if disturbances:
            disturbances -= 1
            queue.hold(data.draw(st.sets(st.sampled_from(["a", "b"]))), 7)
            queue.put_back(batch)
            continue
        out += batch
        sent.append((moment, Counter(who for one in batch for who in one.senders)))
    assert sorted(one.out.key for one in out) == [one.out.key for one in items]
    for who in "abcd":
        own = [one.out.line for one in out if who in one.senders]
        assert own == sorted(own)
    if limits.of_sender is not None:
        # Windows begin with a sender's first event: no 30 seconds hold more than two windows' worth.
        for when, _ in sent:
            within = sum((counts for at, counts in sent if when <= at < when + timedelta(seconds=30)), Counter())
            assert all(count <= 2 * limits.of_sender for count in within.values())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 30), min_size=1, max_size=4)), max_size=8), st.data())
def test_a_receipt_knows_what_was_written_down_wherever_it_was_cut(steps: list[tuple[bool, list[int]]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _cut_and_read(Path(folder) / "deep" / "receipt.jsonl", steps, data)


def _cut_and_read(path: Path, steps: list[tuple[bool, list[int]]], data: st.DataObject) -> None:
    receipt = Receipt(path)
    sizes, states = [0], [(frozenset[str](), frozenset[str]())]
    for taken, numbers in steps:
        some = [Outgoing(f"é{n}", n, {"user_id": "u\u2028x"}) for n in numbers]
        if taken:
            receipt.acknowledge(some)
        else:
            receipt.refuse([Refusal(one, "refused", "time is not valid") for one in some])
        sizes.append(path.stat().st_size)
        states.append((frozenset(receipt.acknowledged), frozenset(receipt.rejections)))
    if not steps:
        return
    cut = data.draw(st.integers(0, sizes[-1]))
    path.write_bytes(path.read_bytes()[:cut])
    whole = max(index for index, size in enumerate(sizes) if size <= cut)
    again = Receipt(path)
    assert (frozenset(again.acknowledged), frozenset(again.rejections)) == states[whole]
    again.acknowledge([Outgoing("after", 1, {})])
    last = Receipt(path)
    assert last.knows("after") and last.acknowledged == states[whole][0] | {"after"}
