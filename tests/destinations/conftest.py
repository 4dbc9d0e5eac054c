"""Real databases: a private PostgreSQL, one schema for each test, and SQLite files."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

_SCRIPT = Path(__file__).parent.parent / "services/postgres.sh"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.URL]:
    """The server named by PROFILEMILL_TEST_POSTGRES_URL, else one of our own, gone when the tests end or are killed."""
    given = os.environ.get("PROFILEMILL_TEST_POSTGRES_URL")
    if given:
        yield sa.make_url(given).set(drivername="postgresql")
        return
    complaints = tmp_path_factory.mktemp("postgres") / "stderr"
    with (
        complaints.open("w") as stderr,
        subprocess.Popen([_SCRIPT, "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True) as server,
    ):
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        if not url:
            reason = complaints.read_text(encoding="utf-8")
            if server.wait() == 3:
                pytest.skip(reason.strip().splitlines()[-1])
            raise RuntimeError(reason)
        yield sa.make_url(url)


@pytest.fixture
def postgres(postgres_server: sa.URL) -> Iterator[str]:
    """The URL of an empty schema."""
    schema = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server.render_as_string(hide_password=False), autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {schema}")
        try:
            yield postgres_server.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
        finally:
            admin.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def databases(tmp_path: Path, postgres: str) -> list[str]:
    """The URL of an empty database of each kind."""
    return [f"sqlite:///{tmp_path / 'out/profiles.db'}", postgres]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once for each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'out/profiles.db'}"
    url: str = request.getfixturevalue("postgres")
    return url
