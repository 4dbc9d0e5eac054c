"""What a destination holds beside profiles and events."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Beside:
    """`memberships`: the table of cohort memberships too. `erasing`: people are being forgotten, so what was loaded once and
    is switched off now is brought up to date as well; of events no load is added there."""

    memberships: bool = False
    erasing: bool = False


NOTHING = Beside()
