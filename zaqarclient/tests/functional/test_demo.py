"""``make demo`` tells its story, and never leaves a server behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[3] / "demo"


def url_of(output: str) -> str:
    """Return the address that the demonstration names in its first line."""
    found = re.search(r"http://127\.0\.0\.1:\d+", output)
    assert found is not None, output
    return found[0]


def assert_nothing_listens(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_the_story_runs_to_its_end_and_shows_what_it_did():
    done = subprocess.run(
        [sys.executable, DEMO / "demo.py"],
        cwd=Path(sys.prefix).parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for command in ("zaqar message post", "zaqar claim create", "python worker.py"):
        assert f"$ {command}" in done.stdout
    assert "done: {'item': 'scone', 'number': 3}" in done.stdout
    assert "to: nobody" in done.stdout.split("zaqar message list mail.failed")[1]
    for received in (
        "listener.py: received {'headline': 'Tea is ready'}",
        "receiver.py: received {'headline': 'No tea', 'urgent': True}",
        'mail: {"ttl": 3600, "body": {"headline": "No tea", ',
    ):
        assert received in done.stdout
    lines = done.stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    end = lines.index("Now you, in two terminals:")
    assert "\033" not in done.stdout, "a file has no colours"
    assert [line.split("/")[-1] for line in lines[end + 2 : end + 5]] == [
        "zaqarserver",
        "zaqar message post orders 'Tea for two'",
        "zaqar message list orders",
    ]
    for url in (url_of(done.stdout), url_of(done.stdout.split("receiving on")[1])):
        assert_nothing_listens(url)


def test_a_step_that_fails_ends_the_story_with_an_error_and_stops_the_server(tmp_path):
    for name in ("demo.py", "postbox.py", "stage.py"):
        (tmp_path / name).write_text((DEMO / name).read_text())
    (tmp_path / "worker.py").write_text("raise SystemExit('no work today')\n")
    done = subprocess.run(
        [sys.executable, tmp_path / "demo.py"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "no work today" in done.stdout
    assert done.stderr.strip() == "demo: 'python worker.py' ended with status 1"
    assert_nothing_listens(url_of(done.stdout))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_the_server_too(number):
    with subprocess.Popen(
        [sys.executable, DEMO / "demo.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        url = url_of(process.stdout.readline())
        process.send_signal(number)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.strip() == "demo: interrupted; the server is stopped"
    assert_nothing_listens(url)
