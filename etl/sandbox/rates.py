"""How much each user and device sent lately, against what Amplitude allows."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass
class Window:
    """Counts by id over the last `length`; not safe by itself to use from several threads."""

    length: timedelta
    _entries: deque[tuple[datetime, str, int]] = field(default_factory=deque)
    _counts: Counter[str] = field(default_factory=Counter)

    def above(self, more: Mapping[str, int], most: float, now: datetime) -> dict[str, int]:
        """The ids that would have more than `most` with these, and their counts then."""
        while self._entries and self._entries[0][0] <= now - self.length:
            _, name, count = self._entries.popleft()
            self._counts[name] -= count
            if not self._counts[name]:
                del self._counts[name]
        return {name: self._counts[name] + count for name, count in more.items() if self._counts[name] + count > most}

    def admit(self, name: str, count: int, most: float, now: datetime) -> bool:
        """Counts it, unless there would be more than `most` then."""
        if self.above({name: count}, most, now):
            return False
        self.add({name: count}, now)
        return True

    def add(self, more: Mapping[str, int], now: datetime) -> None:
        for name, count in more.items():
            self._entries.append((now, name, count))
            self._counts[name] += count
