"""Queues that are carried from one service to another."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, Run

pytestmark = BOTH_WIRES


def bodies(run: Run, queue: str) -> list[Any]:
    words = ("--echo", "--include-claimed", "--all", "-f", "json")
    return [row["Body"] for row in run("message", "list", queue, *words).data]


def post(run: Run, queue: str, *found: Any) -> None:
    lines = "\n".join(json.dumps(body) for body in found)
    done = run("message", "post", queue, "-", "--json-lines", stdin=lines.encode())
    assert done.status == 0, done.err


@pytest.fixture
def orders(zaqar: Run) -> list[Any]:
    """A queue with metadata, and messages of every kind, some of them claimed."""
    found = [{"sku": n} for n in range(50)] + ["hé", "🎉", None, [1, 2.5, True]]
    zaqar("queue", "create", "orders", "--property", "team=a", "--ttl", "600")
    post(zaqar, "orders", *found)
    zaqar("claim", "create", "orders", "--limit", "3")
    return found


def test_a_queue_arrives_as_it_was(
    zaqar: Run, orders: list[Any], tmp_path: Path
) -> None:
    file = str(tmp_path / "orders.jsonl")
    exported = zaqar("queue", "export", "orders", file)
    assert exported == (0, "", f"54 messages in {file}\n")
    imported = zaqar("queue", "import", "copy", file)
    assert imported == (0, "", "54 messages posted to copy\n")
    assert bodies(zaqar, "copy") == orders
    shown = zaqar("queue", "get", "metadata", "copy", "-f", "json").data["Metadata"]
    assert (shown["team"], shown["_default_message_ttl"]) == ("a", 600)
    assert bodies(zaqar, "orders") == orders
    assert [path.name for path in tmp_path.glob("*orders*")] == ["orders.jsonl"]


def test_the_file_is_lines_of_json_without_what_is_default(
    zaqar: Run, orders: list[Any], tmp_path: Path
) -> None:
    file = tmp_path / "orders.jsonl"
    zaqar("queue", "export", "orders", str(file))
    header, *messages, end = map(json.loads, file.read_text().splitlines())
    assert header == {
        "zaqar_export": 1,
        "queue": "orders",
        "metadata": {"team": "a", "_default_message_ttl": 600},
    }
    assert [message["body"] for message in messages] == orders
    assert set(messages[0]) == {"id", "body", "ttl", "age"}
    assert end == {"end": True, "messages": 54}


def test_only_the_owner_can_read_the_file(
    zaqar: Run, orders: list[Any], tmp_path: Path
) -> None:
    assert orders
    file = tmp_path / "orders.jsonl"
    before = os.umask(0)
    try:
        zaqar("queue", "export", "orders", str(file))
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_export_passes_through_a_pipe(
    process: Run, zaqar: Run, orders: list[Any]
) -> None:
    exported = process("zaqar", "queue", "export", "orders", "-")
    assert exported.status == 0
    imported = process(
        "zaqar", "queue", "import", "copy", "-", stdin=exported.out.encode()
    )
    assert (imported.status, imported.err) == (0, "54 messages posted to copy\n")
    assert bodies(zaqar, "copy") == orders


@pytest.mark.parametrize("cut", [0, 1, 40, 2000, -1])
def test_an_export_that_was_cut_off_goes_on(
    zaqar: Run, orders: list[Any], tmp_path: Path, cut: int
) -> None:
    file = tmp_path / "orders.jsonl"
    zaqar("queue", "export", "orders", str(file))
    whole = file.read_bytes()
    end = whole.rindex(b'{"end"')
    file.write_bytes(whole[: min(cut % len(whole), end)])
    assert zaqar("queue", "export", "orders", str(file)).status == 1
    assert zaqar("queue", "export", "orders", str(file), "--resume").status == 0
    exported = [json.loads(line) for line in file.read_text().splitlines()]
    assert [message["body"] for message in exported[1:-1]] == orders
    assert exported[-1] == {"end": True, "messages": 54}


def test_a_complete_export_is_not_resumed(
    zaqar: Run, orders: list[Any], tmp_path: Path
) -> None:
    file = str(tmp_path / "orders.jsonl")
    zaqar("queue", "export", "orders", file)
    done = zaqar("queue", "export", "orders", file, "--resume")
    assert done == (1, "", f"{file} is complete: there is nothing to resume\n")


@pytest.mark.parametrize("arrived", [True, False])
def test_an_import_that_was_interrupted_goes_on_without_loss_or_doubles(
    zaqar: Run, orders: list[Any], tmp_path: Path, arrived: bool
) -> None:
    file = tmp_path / "orders.jsonl"
    zaqar("queue", "export", "orders", str(file))
    # As a crash leaves it: 20 are posted, and 10 more were on their way.
    post(zaqar, "copy", *orders[: 30 if arrived else 20])
    state = tmp_path / ".orders.jsonl.import-copy"
    state.write_text('{"posted": 20, "posting": 30}')
    refused = zaqar("queue", "import", "copy", str(file))
    assert refused.status == 1
    assert "interrupted after 20 messages: --resume goes on" in refused.err
    assert zaqar("queue", "import", "copy", str(file), "--resume").status == 0
    assert bodies(zaqar, "copy") == orders
    assert not state.exists()


def test_an_import_keeps_how_far_it_came_when_it_fails(
    zaqar: Run, orders: list[Any], tmp_path: Path
) -> None:
    file = tmp_path / "orders.jsonl"
    zaqar("queue", "export", "orders", str(file))
    lines = file.read_text().splitlines()
    lines[40] = "not JSON"
    file.write_text("\n".join(lines))
    done = zaqar("queue", "import", "copy", str(file))
    assert (done.status, done.err) == (1, "line 41 is not JSON\n")


def test_a_message_that_had_little_left_gets_a_minute(
    zaqar: Run, tmp_path: Path
) -> None:
    file = tmp_path / "old.jsonl"
    file.write_text(
        '{"zaqar_export": 1, "queue": "old", "metadata": {}}\n'
        '{"id": "a", "body": 1, "ttl": 600, "age": 590}\n'
        '{"id": "b", "body": 2, "ttl": 600, "age": 100}\n'
        '{"end": true, "messages": 2}\n'
    )
    assert zaqar("queue", "import", "new", str(file)).status == 0
    rows = zaqar("message", "list", "new", "--echo", "-f", "json").data
    assert [row["TTL"] for row in rows] == [60, 500]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "line 1 is not JSON"),
        ('{"body": 1}\n', "this is not an export"),
        (
            '{"zaqar_export": 1, "queue": "q", "metadata": []}\n',
            "line 1: metadata must be an object",
        ),
        (
            '{"zaqar_export": 1, "queue": "q", "metadata": {}}\n[1]\n',
            "line 2 is not a JSON object",
        ),
        (
            '{"zaqar_export": 1, "queue": "q", "metadata": {}}\n{"id": "x"}\n',
            "line 2 is not a message: it has no body",
        ),
        (
            '{"zaqar_export": 1, "queue": "q", "metadata": {}}\n{"body": 1}\n',
            "the export was cut off after 1 messages",
        ),
        (
            (
                '{"zaqar_export": 1, "queue": "q", "metadata": {}}\n'
                '{"end": true, "messages": 7}\n'
            ),
            "line 2 says that there are 7 messages; 0 were found",
        ),
    ],
)
def test_what_is_no_whole_export_is_said(
    zaqar: Run, tmp_path: Path, content: str, expected: str
) -> None:
    file = tmp_path / "file.jsonl"
    file.write_text(content)
    done = zaqar("queue", "import", "q", str(file))
    assert done.status == 1
    assert expected in done.err


def test_a_file_that_is_not_there_is_named(zaqar: Run, tmp_path: Path) -> None:
    done = zaqar("queue", "import", "q", str(tmp_path / "none"))
    assert done == (1, "", f"{tmp_path}/none: No such file or directory\n")
