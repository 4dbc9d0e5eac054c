"""The invented people of the sample data: who they are, on which devices, and when each logs in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

GUARDS = ("anonymous", "0", "null", "none", "unknown", "undefined", "-1", "{}", "00000000-0000-0000-0000-000000000000")
_NUMERIC_LOOKING = ("007", "1e5", "7", "0x1F", "1_000", "3.140")
# city, region, country, dma, latitude, longitude, language
_PLACES = (
    ("Oslo", "Oslo County", "Norway", None, 59.9139, 10.7522, "Norwegian"),
    ("São Paulo", "São Paulo", "Brazil", None, -23.5505, -46.6333, "Portuguese"),
    ("Portland", "Oregon", "United States", "Portland, OR", 45.5152, -122.6784, "English"),
    ("New York", "New York", "United States", "New York, NY", 40.7128, -74.006, "English"),
    ("東京", "Tokyo", "Japan", None, 35.6762, 139.6503, "Japanese"),
    ("Kraków", "Lesser Poland", "Poland", None, 50.0647, 19.945, "Polish"),
    ("Nairobi", "Nairobi County", "Kenya", None, -1.2921, 36.8219, "Swahili"),
    (None, None, "France", None, None, None, "French"),
)
# platform, os_name, os_version, device_family, device_type, carrier, library, version_name
_MODELS = (
    ("iOS", "ios", "16.1", "Apple iPhone", "Apple iPhone 13", "Telenor", "amplitude-ios/8.14.0", "4.2.0"),
    ("iOS", "ios", "15.7.1", "Apple iPad", "Apple iPad Air", None, "amplitude-ios/8.13.0", "4.1.9"),
    ("Android", "android", "13", "Google Phone", "Google Pixel 6", "Vivo", "amplitude-android/2.38.3", "4.2.0"),
    ("Android", "android", "12", "Samsung Phone", "Samsung Galaxy S21", "Orange", "amplitude-android/2.38.0", "4.0.1"),
    ("Web", "Chrome", "107", "Windows", "Windows", None, "amplitude-js/8.21.2", None),
    ("Web", "Safari", "16", "Mac OS X", "Apple Macintosh", None, "amplitude-js/8.21.1", None),
)


@dataclass(frozen=True)
class SampleSpec:
    """What sample data to invent; equal specs give equal bytes.

    `events` counts distinct good events over all `hours` upload hours from `first_hour` (UTC, a full hour). Lines sent
    twice (`duplicates`) and lines that are no JSON object (`broken_lines`) come on top. All shares are of `events`.
    """

    seed: int = 7
    people: int = 200
    events: int = 5000
    first_hour: datetime = datetime(2022, 11, 21, 0, tzinfo=UTC)
    hours: int = 24
    project_id: int = 123456
    duplicates: float = 0.01
    broken_lines: float = 0.001
    backdated: float = 0.02
    wrong_clocks: float = 0.001
    unidentified: float = 0.002
    cohorts: int = 4


@dataclass(frozen=True)
class Place:
    """Where an event is seen; every part may be unknown."""

    city: str | None
    region: str | None
    country: str | None
    dma: str | None
    latitude: float | None
    longitude: float | None
    language: str | None


@dataclass(frozen=True)
class Device:
    """One device, which Amplitude knows by one `amplitude_id`."""

    amplitude_id: int
    device_id: str
    platform: str
    os_name: str
    os_version: str
    family: str
    model: str
    carrier: str | None
    library: str
    version: str | None


@dataclass(frozen=True)
class Person:
    """Somebody with devices; `logins` holds, per device, the moment (naive UTC) from which `user_id` is sent.

    `guard` is what their app sends as a user id before that: nothing, or a word that identifies nobody.
    """

    user_id: str | None
    guard: str | None
    devices: tuple[Device, ...]
    logins: tuple[datetime, ...]
    home: Place


def places() -> list[Place]:
    """Every place that occurs."""
    return [Place(*place) for place in _PLACES]


@lru_cache(maxsize=8)
def people_of(spec: SampleSpec) -> tuple[Person, ...]:
    """The people of a spec. Some never log in, some own several devices, one in a hundred uses another's device too."""
    rng = random.Random(f"people/{spec.seed}")
    numbers = iter(range(600_000_000_000, 700_000_000_000, 17))
    everywhere = places()
    people = [_person(rng, spec, index, numbers, everywhere) for index in range(spec.people)]
    named = [index for index, person in enumerate(people) if person.user_id]
    for _ in range(max(1, spec.people // 100) if len(named) > 1 else 0):
        owner, guest = rng.sample(named, 2)
        people[guest] = _borrowing(people[guest], people[owner].devices[0], _moment(rng, spec))
    return tuple(people)


def _person(rng: random.Random, spec: SampleSpec, index: int, numbers: Iterator[int], everywhere: list[Place]) -> Person:
    count = rng.choices((1, 2, 3), (80, 15, 5))[0]
    devices = tuple(_device(rng, next(numbers)) for _ in range(count))
    user_id: str | None = None
    if index < len(_NUMERIC_LOOKING):
        user_id = _NUMERIC_LOOKING[index]
    elif rng.random() < 0.75:
        user_id = f"u-{1000 + index}"
    early = spec.first_hour.replace(tzinfo=None) - timedelta(days=365)
    logins = tuple(early if rng.random() < 0.4 else _moment(rng, spec) for _ in devices)
    guard = rng.choice(GUARDS) if rng.random() < 0.1 else None
    return Person(user_id, guard, devices, logins, rng.choice(everywhere))


def _device(rng: random.Random, amplitude_id: int) -> Device:
    return Device(amplitude_id, f"{rng.getrandbits(64):016x}-d", *rng.choice(_MODELS))


def _borrowing(person: Person, device: Device, since: datetime) -> Person:
    if device in person.devices:
        return person
    return Person(person.user_id, person.guard, (*person.devices, device), (*person.logins, since), person.home)


def _moment(rng: random.Random, spec: SampleSpec) -> datetime:
    return spec.first_hour.replace(tzinfo=None) + timedelta(seconds=int(rng.random() * spec.hours * 3600))
