"""What every test shares: no proxies, no settings of the person who runs the tests."""

from __future__ import annotations

import os

import pytest

NO_POSTGRES = "no PostgreSQL: "  # how tests/services/postgres.sh begins its reason


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
        "PROFILEMILL_JOBS",
        "AMPLITUDE_TOKEN_ENDPOINT",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skipped test fails the run: whatever a test needs, the project's own files install. Only where somebody without
    root has no PostgreSQL are its tests left out, and never in CI."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if any(os.environ.get("CI") or NO_POSTGRES not in str(report.longrepr) for report in skipped):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
