from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.server import RunningSandbox, running_sandbox
from tests.pipeline.shops import Shop, running_shop


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with running_sandbox(SandboxOptions(sample=SampleSpec(events=1500, people=80, broken_lines=0.005))) as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with running_shop(tmp_path) as running:
        yield running
