"""From a time of day to the instant, in a zone of the IANA list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from etl.mapping.dates_forms import Reading

_NOTHING = timedelta(0)


@lru_cache(maxsize=256)
def zone_named(name: str) -> tzinfo | None:
    """The zone of an IANA name such as `Europe/Berlin`; None when there is none of that name."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # directories, odd paths, unknown names
        return None


def in_zone(said: Reading, zone: tzinfo) -> datetime | None:
    """The instant of a reading, in UTC; its time of day is that of `zone` where it names no offset."""
    try:
        wall = said.wall.replace(tzinfo=UTC)
        if said.offset is not None:
            return wall - said.offset
        if zone is UTC:
            return wall
        if said.zone:
            return wall - _offset_of_name(said.zone, wall, zone)
        return wall - _offset(wall - _offset(wall, zone), zone)
    except OverflowError:
        return None


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or _NOTHING


def _offset_of_name(name: str, wall: datetime, zone: tzinfo) -> timedelta:
    """What an abbreviation means in a zone: `PST` in Los Angeles. One that the zone never had means UTC."""
    offsets = _abbreviations(zone).get(name, ())
    for offset in offsets:
        local = (wall - offset).astimezone(zone)
        if local.tzname() == name:  # with the offset the name had at that time
            return local.utcoffset() or _NOTHING
    return offsets[0] if offsets else _NOTHING


@lru_cache(maxsize=64)
def _abbreviations(zone: tzinfo) -> dict[str, tuple[timedelta, ...]]:
    """The abbreviations of a zone with their offsets, as found by looking at every tenth day since 1900."""
    found: dict[str, dict[timedelta, None]] = {}
    instant = datetime(1900, 1, 1, tzinfo=UTC)
    while instant.year < 2040:
        local = instant.astimezone(zone)
        found.setdefault(local.tzname() or "", {})[local.utcoffset() or _NOTHING] = None
        instant += timedelta(days=10)
    return {name: tuple(offsets) for name, offsets in found.items()}
