"""Signals, and a stderr that cannot be written: the table of ``admin/running``."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ports import free_port
from warm import start_server

SECONDS = 30


class Server:
    """A server whose stderr the test chooses."""

    def __init__(self, directory):
        self.port = free_port()
        self.config = directory / "zaqarserver.conf"
        self.log = directory / "server.log"
        self.text = (
            "[DEFAULT]\n{debug}\n"
            f"[server]\nport = {self.port}\n"
            f"[websocket]\nport = {free_port()}\n"
            f"[storage]\nuri = sqlite:///{directory}/zaqar.db\n"
            f"[oslo_policy]\npolicy_file = {directory}/policy.yaml\n"
        )
        self.configure("")
        self.policy = directory / "policy.yaml"
        self.policy.write_text("{}")
        self.process = None

    def configure(self, debug, more=""):
        self.config.write_text(self.text.format(debug=debug) + more)

    def start(self, stderr=None, **options):
        command = [sys.executable, "-m", "zaqarserver", "--config-file", self.config]
        self.process = (
            start_server(self.config, self.log)
            if stderr is None
            else subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stderr=stderr, **options
            )
        )
        self.wait_for(lambda: self.status("GET", "/") == 300)

    def wait_for(self, true):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            assert self.process.poll() is None
            with contextlib.suppress(OSError):
                if true():
                    return
            time.sleep(0.02)  # polling a process
        raise AssertionError(self.log.read_text())

    def wait_for_log(self, text):
        self.wait_for(lambda: text in self.log.read_text())

    def status(self, method, path, document=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Client-ID": "3381af92-2b9e-11e3-b191-71861300734c"}
        headers["X-Project-ID"] = "p"
        with contextlib.closing(connection):
            connection.request(
                method,
                path,
                None if document is None else json.dumps(document),
                headers,
            )
            return connection.getresponse().status

    def post(self):
        messages = {"messages": [{"body": 1}]}
        return self.status("POST", "/v2/queues/q/messages", messages)

    def send(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        """End it; return its exit status."""
        self.send(number)
        return self.process.wait(SECONDS)


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait(SECONDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_is_logged_and_ends_with_zero(server, number):
    server.start()
    assert server.end(number) == 0
    log = server.log.read_text()
    assert f"{number.name}: draining" in log
    assert log.rstrip().endswith("stopped")


def test_a_hangup_applies_the_log_level_and_the_policy_and_ends_nothing(server):
    server.start()
    server.policy.write_text('"queues:create": "!"')
    server.configure("debug = true", "[quota]\nqueues = 7\n")
    server.send(signal.SIGHUP)
    server.wait_for_log("SIGHUP: done")
    log = server.log.read_text()
    assert "debug = True" in log
    assert "the policy file was read again" in log
    assert "needs a restart: [quota] queues" in log
    assert server.status("PUT", "/v2/queues/q", {}) == 403
    for _ in range(20):
        server.send(signal.SIGHUP)
    assert server.post() == 201
    assert server.end() == 0


@pytest.mark.parametrize("text", ["debug = perhaps", "no settings at all"])
def test_a_hangup_with_files_that_cannot_be_used_changes_nothing(server, text):
    server.start()
    server.policy.write_text("][")
    server.configure(text)
    server.send(signal.SIGHUP)
    server.wait_for_log("the settings stay as they were")
    server.wait_for_log("rules stay as they were")
    assert server.post() == 201
    assert server.end() == 0


def test_a_hangup_of_a_server_that_drains_does_not_end_it_otherwise(server):
    server.start()
    server.send(signal.SIGTERM)
    for _ in range(10):
        server.send(signal.SIGHUP)
    assert server.process.wait(SECONDS) == 0


def test_a_full_disk_below_the_log_stops_nothing(server):
    with Path("/dev/full").open("wb") as full:
        server.start(stderr=full, stdout=full)
    assert server.post() == 201
    server.send(signal.SIGHUP)
    assert server.post() == 201
    assert server.end() == 0


def test_streams_that_are_closed_stop_nothing_and_get_into_no_file(server, tmp_path):
    def close():
        for number in range(3):
            os.close(number)

    server.start(stderr=subprocess.DEVNULL, preexec_fn=close)
    assert server.post() == 201
    opened = Path(f"/proc/{server.process.pid}/fd")
    assert {str((opened / str(number)).readlink()) for number in range(3)} == {
        "/dev/null"
    }
    assert server.end() == 0


def fill(pipe):
    """Fill a pipe so that whoever writes to it would wait."""
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4096)
    os.set_blocking(pipe, True)


def test_a_reader_of_the_log_that_ends_stops_nothing(server):
    reader, writer = os.pipe()
    server.start(stderr=writer)
    os.close(writer)
    os.close(reader)
    for _ in range(3):
        server.send(signal.SIGHUP)
        assert server.post() == 201
    assert server.end() == 0


def test_a_reader_of_the_log_that_stands_still_stops_nothing_and_hears_what_it_missed(
    server,
):
    reader, writer = os.pipe()
    server.start(stderr=writer)
    fill(writer)
    os.close(writer)
    for _ in range(3):
        server.send(signal.SIGHUP)
        assert server.post() == 201
    os.set_blocking(reader, False)
    with os.fdopen(reader, "rb") as log:
        text = b""

        def told():
            nonlocal text
            text += log.read() or b""
            server.send(signal.SIGHUP)
            return b"lines of the log could not be written" in text

        server.wait_for(told)
    assert server.end() == 0


def test_a_start_that_fails_says_why_even_where_nobody_reads(server):
    server.configure("", "[server]\nport = 70000\n")
    with Path("/dev/full").open("wb") as full:
        found = subprocess.run(
            [sys.executable, "-m", "zaqarserver", "--config-file", server.config],
            stderr=full,
            stdout=full,
            timeout=SECONDS,
            check=False,
        )
    assert found.returncode == 1
