"""Message commands."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, Run, is_websocket

pytestmark = BOTH_WIRES


def listed(run: Run, *words: str, queue: str = "q") -> list[dict[str, object]]:
    done = run("message", "list", queue, "--echo", "--all", "-f", "json", *words)
    assert done.status == 0, done.err
    rows: list[dict[str, object]] = done.data
    return rows


def bodies(run: Run, queue: str = "q") -> list[object]:
    return [row["Body"] for row in listed(run, queue=queue)]


@pytest.mark.parametrize(
    ("words", "stdin", "posted"),
    [
        (['{"body": {"a": 1}}'], b"", [{"a": 1}]),
        (['[{"body": 1}, {"body": null, "ttl": 60}]'], b"", [1, None]),
        (['"text"'], b"", ["text"]),
        (["-"], b'[{"body": "from stdin"}]', ["from stdin"]),
        ([], b'{"body": "not even asked"}', ["not even asked"]),
        (["--body", '{"é": [1]}'], b"never read", [{"é": [1]}]),
        (["--body", "plain words"], b"", ["plain words"]),
        (["--text", '{"a": 1}'], b"", ['{"a": 1}']),
        (["--lines"], b"one\n2\n\nthree", ["one", "2", "three"]),
        (["-", "--lines"], b"one\r\n", ["one"]),
        (["--json-lines"], b'{"a": 1}\n[2]\n"x"\n', [{"a": 1}, [2], "x"]),
        (["--lines"], b"", []),
    ],
)
def test_messages_are_posted_from_where_they_are(
    zaqar: Run, words: list[str], stdin: bytes, posted: list[object]
) -> None:
    done = zaqar("message", "post", "q", *words, "-f", "json", stdin=stdin)
    assert (done.status, done.err) == (0, "")
    rows = listed(zaqar)
    assert [row["Body"] for row in rows] == posted
    assert done.data == [{"ID": row["ID"]} for row in rows]


def test_messages_are_posted_from_a_file(zaqar: Run, tmp_path: Path) -> None:
    document, lines = tmp_path / "m.json", tmp_path / "lines"
    document.write_text('[{"body": "one"}]')
    lines.write_text("two\nthree\n")
    assert zaqar("message", "post", "q", f"@{document}").status == 0
    assert zaqar("message", "post", "q", f"@{lines}", "--lines").status == 0
    assert bodies(zaqar) == ["one", "two", "three"]


def test_ttl_holds_for_messages_that_name_none(zaqar: Run) -> None:
    zaqar(
        "message", "post", "q", '[{"body": 1}, {"body": 2, "ttl": 90}]', "--ttl", "80"
    )
    assert [row["TTL"] for row in listed(zaqar)] == [80, 90]


def test_a_delay_hides_a_message(zaqar: Run) -> None:
    zaqar("queue", "create", "q", "--delay", "1")
    zaqar("message", "post", "q", "--text", "late", "--delay", "900")
    assert bodies(zaqar) == []
    assert [row["Body"] for row in listed(zaqar, "--include-delayed")] == ["late"]


def test_more_than_fits_one_request_goes_in_several_and_keeps_its_order(
    zaqar: Run,
) -> None:
    zaqar("queue", "create", "q", "--max-size", "2000")
    lines = [f"{number:03} " + "x" * (number % 40) for number in range(120)]
    done = zaqar(
        "message",
        "post",
        "q",
        "--lines",
        "-f",
        "value",
        stdin="\n".join(lines).encode(),
    )
    assert done.status == 0
    assert len(done.out.split()) == 120
    assert bodies(zaqar) == lines


def test_a_long_list_is_cut_too(zaqar: Run) -> None:
    zaqar("queue", "create", "q", "--max-size", "500")
    messages = json.dumps([{"body": "x" * 100} for _ in range(10)])
    assert zaqar("message", "post", "q", messages).status == 0
    assert bodies(zaqar) == ["x" * 100] * 10


def test_a_line_too_long_for_the_queue_is_named_and_the_rest_is_accounted_for(
    zaqar: Run,
) -> None:
    zaqar("queue", "create", "q", "--max-size", "300")
    done = zaqar("message", "post", "q", "--lines", stdin=b"short\n" + b"x" * 400)
    assert done.status == 1
    assert done.err.splitlines() == [
        "1 messages were posted",
        "message 2 has 414 bytes, more than the 284 that the queue accepts",
    ]
    assert bodies(zaqar) == ["short"]


@pytest.mark.parametrize(
    ("words", "stdin", "status", "text"),
    [
        (['[{"body": 1}, 2]'], b"", 2, "message 2 is not an object with a body"),
        (["[]"], b"", 2, "the list holds no message"),
        (["-"], b"", 1, "the input is empty"),
        ([], b'{"a"', 1, "the input is not valid JSON"),
        (["-"], b"\xff", 1, "the input is not UTF-8 text"),
        (["--json-lines"], b"{}\nx", 1, "line 2 is not valid JSON"),
        (["@/nowhere/at/all"], b"", 1, "cannot read /nowhere/at/all: No such file"),
        (["1", "--lines"], b"", 2, 'lines are read from "-" or from "@FILE"'),
        (["1", "--text", "x"], b"", 2, "not two of them"),
        (["1", "--ttl", "5"], b"", 1, "TTL"),
    ],
)
def test_what_cannot_be_posted_is_explained(
    zaqar: Run, words: list[str], stdin: bytes, status: int, text: str
) -> None:
    done = zaqar("message", "post", "q", *words, stdin=stdin)
    assert (done.status, done.out) == (status, "")
    assert text.lower() in done.err.lower()
    assert "Traceback" not in done.err


def test_own_messages_are_shown_unless_they_are_not_wanted(zaqar: Run) -> None:
    zaqar("message", "post", "q", "1")
    hidden = zaqar("message", "list", "q", "--no-echo", "-f", "json")
    assert hidden.data == []
    assert "--echo" in hidden.err
    assert bodies(zaqar) == [1]
    other = zaqar("message", "list", "q", "--client-id", uuid.uuid4().hex, "-f", "json")
    assert [row["Body"] for row in other.data] == [1]


def test_a_listed_message_has_the_columns_of_the_contract(zaqar: Run) -> None:
    zaqar("message", "post", "q", '[{"body": [1], "ttl": 70}]')
    (row,) = listed(zaqar)
    assert list(row) == ["ID", "Body", "TTL", "Age", "Claim ID", "Checksum"]
    assert (row["Body"], row["TTL"], row["Claim ID"]) == ([1], 70, None)


def test_claimed_messages_are_listed_with_their_claim(
    zaqar: Run, endpoint: str
) -> None:
    zaqar("message", "post", "q", "1")
    claim = zaqar("claim", "create", "q", "-f", "json").data[0]["Claim_ID"]
    assert listed(zaqar) == []
    (row,) = listed(zaqar, "--include-claimed")
    # Over WebSocket a listed message does not tell whose it is.
    assert row["Claim ID"] == (None if is_websocket(endpoint) else claim)


def test_the_list_goes_over_pages_and_says_where_the_next_begins(zaqar: Run) -> None:
    lines = "\n".join(map(str, range(45))).encode()
    zaqar("message", "post", "q", "--json-lines", stdin=lines)
    page = zaqar("message", "list", "q", "--echo", "--limit", "25", "-f", "json")
    assert [row["Body"] for row in page.data] == list(range(25))
    marker = page.err.split()[3]
    rest = listed(zaqar, "--marker", marker)
    assert [row["Body"] for row in rest] == list(range(25, 45))


def test_messages_are_listed_by_their_ids(zaqar: Run) -> None:
    zaqar("message", "post", "q", '[{"body": 1}, {"body": 2}, {"body": 3}]')
    first, _, third = [str(row["ID"]) for row in listed(zaqar)]
    rows = listed(zaqar, "--message-ids", f"{third},{first}")
    assert [row["Body"] for row in rows] == [3, 1]
    assert zaqar("message", "list", "q", "--message-ids", "unknown").status == 3


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('"plain text"', "plain text"),
        ('{"a": [1, null]}', '{"a":[1,null]}'),
        ("null", "null"),
    ],
)
def test_a_body_alone_is_plain_text_or_json(zaqar: Run, body: str, text: str) -> None:
    posted = zaqar("message", "post", "q", f'{{"body": {body}}}', "-f", "value")
    shown = zaqar(
        "message", "show", "q", posted.out.strip(), "-f", "value", "-c", "Body"
    )
    assert shown == (0, f"{text}\n", "")


def test_a_message_that_does_not_exist_is_an_error(zaqar: Run) -> None:
    done = zaqar("message", "show", "q", "nope")
    assert (done.status, done.out) == (3, "")
    assert "Message nope does not exist in queue q. (request req-" in done.err


def test_pop_takes_the_oldest_messages_away(zaqar: Run) -> None:
    zaqar("message", "post", "q", "--json-lines", stdin=b"1\n2\n3\n")
    assert [r["Body"] for r in zaqar("message", "pop", "q", "-f", "json").data] == [1]
    rows = zaqar("message", "pop", "q", "--limit", "5", "-f", "json").data
    assert [row["Body"] for row in rows] == [2, 3]
    assert list(rows[0]) == ["ID", "Body", "TTL", "Age", "Claim Count", "Checksum"]
    assert zaqar("message", "pop", "q", "-f", "json") == (
        0,
        "[]\n",
        "The queue q is empty.\n",
    )


def test_several_messages_are_deleted_by_id(zaqar: Run) -> None:
    zaqar("message", "post", "q", "--json-lines", stdin=b"1\n2\n3\n")
    first, second, _ = [str(row["ID"]) for row in listed(zaqar)]
    done = zaqar("message", "delete", "q", first, "unknown", second)
    assert done == (0, "", "There is no message unknown.\n")
    assert bodies(zaqar) == [3]


def test_a_claimed_message_is_deleted_only_with_its_claim(zaqar: Run) -> None:
    zaqar("message", "post", "q", "--json-lines", stdin=b"1\n2\n")
    claimed = zaqar("claim", "create", "q", "--limit", "1", "-f", "json").data[0]
    free = str(listed(zaqar)[0]["ID"])
    message = claimed["Message_ID"]
    done = zaqar("message", "delete", "q", message, free)
    assert done.status == 4
    assert done.err.startswith(
        f"message {message}: the message is claimed; name its claim"
    )
    assert listed(zaqar, "--include-claimed")[0]["ID"] == message
    done = zaqar("message", "delete", "q", message, "--claim-id", claimed["Claim_ID"])
    assert done == (0, "", "")
    assert listed(zaqar, "--include-claimed") == []


@pytest.mark.parametrize(
    ("words", "stdin", "body"),
    [
        (["hello"], b"", "hello"),
        (['{"item": "tea"}'], b"", {"item": "tea"}),
        ([], b'{"a": 1}\n', {"a": 1}),
        ([], b"two words\n", "two words"),
        (["-"], b"[1, 2]", [1, 2]),
        (
            ["--field", "result=success", "--field", "seconds:=12"],
            b"",
            {"result": "success", "seconds": 12},
        ),
    ],
)
def test_a_word_is_a_message(
    zaqar: Run, words: list[str], stdin: bytes, body: Any
) -> None:
    assert zaqar("message", "post", "q", *words, "--ttl", "1h", stdin=stdin).status == 0
    (row,) = listed(zaqar)
    assert (row["Body"], row["TTL"]) == (body, 3600)


def test_a_text_for_each_time_that_it_is_given(zaqar: Run) -> None:
    assert zaqar("message", "post", "q", "--text", "a", "--text", "{").status == 0
    assert bodies(zaqar) == ["a", "{"]


def test_a_member_of_a_message_that_nobody_knows_is_refused(
    zaqar: Run, process: Run
) -> None:
    words = ["message", "post", "q", '[{"body": 1}, {"body": 2, "tll": 300}]']
    done = zaqar(*words)
    assert (done.status, done.out) == (2, "")
    assert "message 2: unknown member of a message 'tll': did you mean 'ttl'?" in (
        done.err
    )
    assert listed(zaqar) == []
    # Scripts of openstack go on as before.
    done = process("openstack", *words)
    assert done.status == 0
    assert "unknown member of a message 'tll'" in done.err
    assert bodies(zaqar) == [1, 2]


@pytest.mark.parametrize(
    "words",
    [["1", "--delay", "30"], ['{"body": 1, "delay": 30}'], ["1", "--at", "23:59:59"]],
)
def test_a_delay_that_the_queue_would_not_heed_is_refused(
    zaqar: Run, words: list[str]
) -> None:
    done = zaqar("message", "post", "q", *words)
    assert (done.status, done.out) == (2, "")
    assert "first run queue set q --delay 1" in done.err
    assert listed(zaqar) == []
    assert zaqar("queue", "create", "q", "--delay", "1").status == 0
    if "--at" in words:
        return  # the service delays for 15 minutes at most
    assert zaqar("message", "post", "q", *words).status == 0
    assert listed(zaqar) == []
    (row,) = listed(zaqar, "--include-delayed")
    assert row["Body"] == 1
