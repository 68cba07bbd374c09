"""The fixtures for tests of programs that use the service (``extensions`` 8)."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from zaqarserver.errors import SettingsError
from zaqarserver.testing import MovableClock, Server

DAY = 86_400
GUIDE = Path(__file__).parents[3] / "doc/source/user/testing.rst"


def bodies(queue):
    return [message.body for message in queue.messages(echo=True)]


def test_a_message_expires_when_the_clock_is_moved(zaqar_queue, zaqar_clock):
    zaqar_queue.post({"body": "tea", "ttl": DAY})
    assert bodies(zaqar_queue) == ["tea"]
    zaqar_clock.advance(DAY)
    assert bodies(zaqar_queue) == []


def test_a_claim_ends_and_a_delay_is_over_when_the_clock_is_moved(zaqar, zaqar_clock):
    queue = zaqar.queue("later")
    queue.metadata({"_default_message_delay": 600})
    queue.post({"body": "tea", "ttl": DAY})
    assert not list(queue.claim(ttl=300, grace=60))
    zaqar_clock.advance(600)
    assert [message.body for message in queue.claim(ttl=300, grace=60)] == ["tea"]
    assert not list(queue.claim(ttl=300, grace=60))
    zaqar_clock.advance(300)
    assert [message.body for message in queue.claim(ttl=300, grace=60)] == ["tea"]


def test_each_test_has_a_project_of_its_own(zaqar, zaqar_queue, zaqar_server):
    zaqar_queue.post({"body": "mine"})
    assert [queue.name for queue in zaqar.iter_queues()] == [zaqar_queue.name]
    assert zaqar_server.url.startswith("http://127.0.0.1:")
    assert zaqar_server.ws_url.startswith("ws://127.0.0.1:")


def test_the_receiver_gets_signed_notifications(zaqar, zaqar_queue, zaqar_receiver):
    zaqar.subscription(zaqar_queue.name, subscriber=zaqar_receiver.url, ttl=DAY)
    zaqar_queue.post([{"body": "one"}, {"body": "two"}])
    came = zaqar_receiver.wait(2)
    assert [notification.body["body"] for notification in came] == ["one", "two"]
    assert all(notification.verified for notification in came)
    assert came[0].headers["content-type"].startswith("application/json")


def test_a_retry_comes_when_the_clock_is_moved(
    zaqar, zaqar_queue, zaqar_receiver, zaqar_clock
):
    zaqar_receiver.status = 503
    policy = {"retries_with_no_delay": 0, "minimum_delay": 3590, "maximum_delay": 3600}
    options = {"_retry_policy": policy}
    zaqar.subscription(
        zaqar_queue.name, subscriber=zaqar_receiver.url, ttl=DAY, options=options
    )
    zaqar_queue.post({"body": "tea", "ttl": DAY})
    zaqar_receiver.wait(1)
    zaqar_receiver.status = 204
    # The answer of the first attempt may still be on its way to the outbox.
    deadline = time.monotonic() + 20
    while len(zaqar_receiver.received) < 2 and time.monotonic() < deadline:
        zaqar_clock.advance(3600)
        time.sleep(0.05)
    assert [one.body["body"] for one in zaqar_receiver.received[:2]] == ["tea", "tea"]


def test_a_server_starts_and_ends_without_pytest():
    with Server({"transport": {"min_claim_ttl": 1}}) as server:
        assert server.url != ""
    assert "zaqarserver" not in {thread.name for thread in threading.enumerate()} or (
        not server._thread.is_alive()
    )


def test_a_server_starts_in_a_program_on_asyncio():
    async def start():
        async with Server() as server:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(server.url.rsplit(":", 1)[1])
            )
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

    assert asyncio.run(start()).startswith(b"HTTP/1.1 300")


def test_a_wrong_setting_is_said_before_anything_starts():
    with pytest.raises(SettingsError, match="min_claim_ttl"):
        Server({"transport": {"min_claim_ttl": "soon"}})


def test_a_clock_goes_forward_only():
    with pytest.raises(ValueError, match="forward"):
        MovableClock().advance(-1)


def test_starting_a_server_takes_no_time():
    began = time.process_time()
    with Server():
        pass
    assert time.process_time() - began < 1.0  # 0.3 s on a quiet machine


def test_the_ten_lines_of_the_guide_pass(tmp_path):
    (tmp_path / "test_orders.py").write_text(the_example())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "--durations=0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def the_example():
    """Return the test file that the guide shows."""
    text = GUIDE.read_text()
    (block,) = re.findall(
        r"^\.\. code-block:: python\n   :caption: test_orders\.py\n\n((?:   .*\n|\n)+)",
        text,
        re.MULTILINE,
    )
    assert len(block.split("\n")) < 24
    return textwrap.dedent(block)
