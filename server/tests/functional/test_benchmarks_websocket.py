"""The programs in ``benchmarks/`` about WebSockets measure what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def run(program, *arguments, status=0):
    done = subprocess.run(
        [sys.executable, BENCHMARKS / program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def test_posts_over_both_transports_are_measured_on_a_server_that_is_given(server):
    done = run(
        "frames.py",
        *("--url", server.url, "--server-pid", server.pid, "--connections", 1, 3),
        *("--depth", 4, "--seconds", 0.1, "--rounds", 1, "--json"),
    )
    ways = json.loads(done.stdout)["ways"]
    kinds = ("rest", "frames", "pipelined")
    assert list(ways) == [f"{kind}-{size}" for size in (1, 3) for kind in kinds]
    for name, row in ways.items():
        assert row["posts_per_second"] > 0, name
        assert row["server_cpu_us"] > 0, name
        assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p99"]
    assert ways["rest-1"]["cpu_ratio"] == ways["rest-3"]["cpu_ratio"] == 1


def test_posts_are_compared_on_a_server_of_its_own_and_printed_as_a_table():
    done = run("frames.py", "--connections", 2, "--seconds", 0.1, "--rounds", 1)
    words = [line.split()[0] for line in done.stdout.splitlines()[1:5]]
    assert words == ["way", "rest-2", "frames-2", "pipelined-2"]


def test_every_socket_gets_every_push_that_is_measured(server):
    done = run(
        "push.py",
        *("--url", server.url, "--websocket-url", server.websocket_url),
        *("--server-pid", server.pid, "--sockets", 20, "--posts", 5, "--json"),
    )
    report = json.loads(done.stdout)
    assert report["pushes"] == 20 * 5
    assert report["server_cpu_us_per_push"] > 0
    latency = report["latency_ms"]
    assert 0 < latency["first p50"] <= latency["last p50"]
    assert 0 < latency["p50"] <= latency["p99"]


def test_the_push_program_starts_a_server_of_its_own_and_says_what_it_saw():
    done = run("push.py", "--sockets", 3, "--posts", 2)
    assert done.stdout.startswith("3 sockets, 6 pushes, ")


def test_notifications_are_counted_while_messages_are_posted_and_afterwards():
    options = ("--connections", 4, "--seconds", 0.3, "--rounds", 1, "--webhooks", 2)
    report = json.loads(run("outbox.py", *options, "--json").stdout)
    assert report["without"]["delivered_meanwhile_per_second"] == 0
    assert report["without"]["posts_per_second"] > 0
    assert report["with"]["delivered_then_per_second"] > 0


def test_posts_are_measured_aside_of_an_outbox_that_drains():
    options = ("--aside", 2, "--seconds", 0.05, "--rounds", 1, "--json")
    report = json.loads(run("outbox.py", *options).stdout)
    assert report["without"]["delivered_meanwhile_per_second"] == 0
    assert report["with"]["delivered_meanwhile_per_second"] > 0
    assert report["with"]["post_p99_ms"] >= report["with"]["post_p50_ms"] > 0


def test_a_server_that_cannot_be_reached_is_named_in_one_line():
    for program in ("frames.py", "push.py"):
        done = run(program, "--url", "http://127.0.0.1:1", status=1)
        assert done.stdout == ""
        assert "cannot connect to http://127.0.0.1:1: " in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_post_that_is_refused_ends_the_measurement(server):
    options = ("--seconds", 0.1, "--rounds", 1, "--body-bytes", 300_000)
    done = run("frames.py", "--url", server.url, *options, status=1)
    assert "expected 201, got 400" in done.stderr
