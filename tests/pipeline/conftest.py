from __future__ import annotations

from collections.abc import Iterator

import pytest

from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.server import RunningSandbox, running_sandbox


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with running_sandbox(SandboxOptions(sample=SampleSpec(events=1500, people=80, broken_lines=0.005))) as running:
        yield running
