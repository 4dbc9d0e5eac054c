"""Serving a folder, and starting and stopping a server."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from etl.errors import ConfigurationError
from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec, answers, write_data
from etl.sandbox.server import running_sandbox

SERVE = """
import sys
from etl.sandbox.amplitude import SandboxOptions
from etl.sandbox.data import SampleSpec
from etl.sandbox.server import serve
serve(SandboxOptions(sample=SampleSpec(events=10)), 0, lambda url: print(url, flush=True))
print("ended", flush=True)
"""


def test_a_written_folder_serves_what_the_sample_serves(browse, small, tmp_path):
    written = write_data(small, tmp_path)
    assert json.loads((tmp_path / "answers.json").read_text("utf-8")) == written == answers(small)
    invented, served = browse(), browse(data=tmp_path)
    day = {"start": "20221121T00", "end": "20221121T23"}
    assert served.get("/api/2/export", **day).content == invented.get("/api/2/export", **day).content
    assert served.get("/api/3/cohorts").json() == invented.get("/api/3/cohorts").json()
    cohort_id = served.cohorts()["Weekly actives"]["id"]
    files = [one.get(f"/api/5/cohorts/request/{one.ready(cohort_id, props='1')}/file") for one in (invented, served)]
    assert files[0].content == files[1].content
    assert served.get("/_sandbox/answers").json() == invented.get("/_sandbox/answers").json() == written


def test_answers_of_one_stream(browse, small):
    assert browse().get("/_sandbox/answers", streams="events").json() == answers(small, members=False)


def test_a_folder_made_by_hand(browse, tmp_path):
    event = {"uuid": "1", "amplitude_id": 5, "event_type": "A", "server_upload_time": "2021-05-06 07:08:09"}
    folder = tmp_path / "export" / "9"
    folder.mkdir(parents=True)
    (folder / "9_2021-05-06_7#1.json.gz").write_bytes(gzip.compress(json.dumps(event).encode()))
    (tmp_path / "cohorts").mkdir()
    (tmp_path / "cohorts.json").write_text(json.dumps([{"id": "c", "name": "C", "lastComputed": 1620300000}]))
    (tmp_path / "cohorts" / "c.csv").write_text('"amplitude_id","user_id"\n"5","ann"\n')
    browser = browse(data=tmp_path)
    assert browser.get("/api/2/export", start="20210506T07", end="20210506T07").status_code == 200
    assert browser.get("/api/2/export", start="20210506T08", end="20210506T08").status_code == 404
    (profile,) = browser.get("/_sandbox/answers").json()["profiles"]
    assert profile["identifiers"] == {"amplitude_user_id": ["ann"], "amplitude_id": ["5"]}
    assert (profile["amplitude_events"], profile["amplitude_cohort_names"]) == ({"A": 1}, {"C": True})
    browser.post("/_sandbox/events", event | {"uuid": "2"})
    assert browser.get("/_sandbox/answers").json()["events"] == 2


def test_a_wrong_folder_is_a_configuration_error(tmp_path):
    with (
        pytest.raises(ConfigurationError, match="does not exist"),
        running_sandbox(SandboxOptions(data=tmp_path / "no")),
    ):
        pass
    (tmp_path / "export" / "9").mkdir(parents=True)
    (tmp_path / "export" / "9" / "8_2021-05-06_7#1.json.gz").touch()
    with pytest.raises(ConfigurationError, match="is not named"), running_sandbox(SandboxOptions(data=tmp_path)):
        pass


def test_a_taken_port_is_a_configuration_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="port of the sandbox is taken"), running_sandbox(port=port):
            pass


def test_it_listens_while_the_block_runs_and_leaves_nothing_behind():
    before = threading.active_count()
    with running_sandbox(SandboxOptions(sample=SampleSpec(events=5))) as running:
        url = f"{running.url}/api/3/cohorts"
        assert running.url == f"http://127.0.0.1:{running.port}"
        assert requests.get(url, auth=("key", "secret"), timeout=20).status_code == 200
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url, timeout=20)
    assert threading.active_count() <= before + 1


def test_the_secret_is_in_no_text():
    assert "hidden-secret" not in repr(SandboxOptions(secret="hidden-secret"))


def test_serving_in_the_foreground_ends_cleanly_on_interrupt():
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert requests.get(f"{url}/api/3/cohorts", auth=("key", "secret"), timeout=20).status_code == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "ended\n", "")
