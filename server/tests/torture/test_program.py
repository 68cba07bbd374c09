"""``zaqar-torture`` against real servers that it breaks itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ports import free_port
from redis_service import RedisServer

PROGRAM = [sys.executable, "-m", "zaqarserver.torture"]
SECONDS = 120


@pytest.fixture
def port() -> int:
    """A loopback port that nothing listens on now."""
    return free_port()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def command_of_a_server(directory: Path, port: int, store: str) -> str:
    config = directory / "zaqarserver.conf"
    config.write_text(
        f"[server]\nport = {port}\n[websocket]\nport = 0\n[storage]\nuri = {store}\n"
    )
    return f"'{sys.executable}' -m zaqarserver --config-file '{config}'"


def torture(directory: Path, port: int, store: str, *more: str) -> tuple[int, dict]:
    done = run(
        f"http://127.0.0.1:{port}",
        "--run",
        f"server={command_of_a_server(directory, port, store)}",
        "-f",
        "json",
        *more,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_server_on_a_file_that_is_killed_and_stopped_keeps_every_promise(
    tmp_path: Path, port: int
) -> None:
    status, report = torture(
        tmp_path,
        port,
        f"sqlite:///{tmp_path}/zaqar.db",
        *("--kill", "server", "--every", "1", "--seconds", "5"),
    )
    assert report["findings"] == []
    assert status == 0
    assert report["accepted"] > 0
    assert report["deleted"] > 0
    assert report["faults"] >= 2


def test_a_store_that_forgets_is_found_out(tmp_path: Path, port: int) -> None:
    status, report = torture(
        tmp_path,
        port,
        "sqlite://:memory:",
        *("--kill", "server", "--every", "1", "--seconds", "3"),
    )
    assert status == 1
    assert report["lost"] > 0
    assert report["loss_window"] > 0


def test_a_fault_on_what_is_not_run_is_refused(port: int) -> None:
    done = run(f"http://127.0.0.1:{port}", "--kill", "server")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "zaqar-torture: --kill server: there is no --run server=..."
    )


def test_a_process_that_ends_by_itself_ends_the_run(port: int) -> None:
    done = run(f"http://127.0.0.1:{port}", "--run", "server=false")
    assert done.returncode == 2
    assert "zaqar-torture: server ended with 1" in done.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--run", "server"], "NAME=VALUE is expected"),
        (["--proxy", "a=b"], "NAME=PORT:HOST:PORT is expected"),
        (["--freeze", "redis"], "PID or NAME=PID is expected"),
        (["--freeze", "all=0"], "PID or NAME=PID is expected"),
        (["--header", "nothing"], "'Name: value' is expected"),
    ],
)
def test_options_that_cannot_be_read_are_named(given: list[str], expected: str) -> None:
    done = run("http://127.0.0.1:1", *given)
    assert done.returncode == 2
    assert expected in done.stderr


def test_a_partition_is_survived_and_ends(
    server_factory, tmp_path: Path, port: int
) -> None:
    server = server_factory()
    done = run(
        f"http://127.0.0.1:{port}",
        *("--proxy", f"front={port}:127.0.0.1:{server.port}"),
        *("--partition", "front", "--every", "1", "--seconds", "2", "-f", "json"),
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["findings"]) == (0, [])
    assert report["faults"] >= 1


def test_a_process_that_runs_already_stands_still_and_goes_on(server_factory) -> None:
    server = server_factory()
    done = run(
        server.url,
        *("--freeze", f"server={server.pid}", "--freeze-seconds", "0.5"),
        *("--every", "1", "--seconds", "3", "-f", "json"),
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["findings"]) == (0, [])
    assert report["faults"] >= 1
    state = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0]
    assert state != "T"


def test_a_process_that_does_not_exist_cannot_be_frozen(port: int) -> None:
    done = run(f"http://127.0.0.1:{port}", "--freeze", "redis=99999999")
    assert done.returncode == 2
    assert "redis: process 99999999" in done.stderr


def test_webhooks_hear_all_though_answers_of_the_store_get_lost(
    redis_server: RedisServer, tmp_path: Path, port: int
) -> None:
    front = free_port()
    status, report = torture(
        tmp_path,
        port,
        f"redis://127.0.0.1:{front}?prefix={tmp_path.name}",
        *("--proxy", f"redis={front}:127.0.0.1:{redis_server.port}"),
        *("--lose-answers", "redis", "--every", "1", "--seconds", "4"),
        *("--webhooks", "2", "--queues", "2", "--rate", "10"),
    )
    assert (status, report["findings"]) == (0, [])
    assert report["faults"] >= 2
    assert report["notified"] >= 2 * report["accepted"] > 0


def test_a_webhook_that_is_refused_ends_the_run(server_factory) -> None:
    server = server_factory()
    done = run(server.url, "--webhooks", "1", "--header", "Client-ID: nobody")
    assert done.returncode == 2
    assert "no webhook can be subscribed" in done.stderr
