"""Signed URLs: made by one who has credentials, used by one who has nothing else."""

from __future__ import annotations

import hashlib
import hmac
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.auth.signed_url import SignedURL, format_signed_url, parse_signed_url
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.functional.cli.conftest import Run

SECRET = "s3cret"

#: What the machine of a CI job may have lying about; none of it counts.
STRAY = {
    "OS_AUTH_URL": "http://127.0.0.1:1/v3",
    "OS_USERNAME": "somebody",
    "OS_PASSWORD": "wrong",
    "OS_PROJECT_NAME": "elsewhere",
    "OS_QUEUES_ENDPOINT": "http://127.0.0.1:1",
    "OS_QUEUES_PROJECT_ID": "elsewhere",
}

LINK = ["queue", "signed", "url", "orders", "--methods", "POST", "--output", "https"]


@pytest.fixture(scope="session")
def server(server_factory: Callable[..., Any]) -> Any:
    """A server that signs, and asks for no authentication besides."""
    return server_factory(options=f"[signed_url]\nsecret_key = {SECRET}")


@pytest.fixture
def sign(zaqar: Run) -> Callable[..., str]:
    """Have a URL of the queue ``orders`` signed: ``sign("--methods", "POST")``."""

    def run(*words: str) -> str:
        done = zaqar("queue", "signed", "url", "orders", "--output", "url", *words)
        assert (done.status, done.err) == (0, "")
        return done.out.strip()

    return run


def signed_until(expires: str, url: str, project: str) -> str:
    """Return a URL that was signed for another time, as the service signs."""
    path = "/v2/queues/orders/messages"
    # Two characters, a backslash and an n, stand between the parts.
    text = rf"{path}\nGET\n{project}\n{expires}"
    signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    signed = SignedURL(url, project, "orders", (path,), ("GET",), expires, signature)
    return format_signed_url(signed)


@pytest.mark.parametrize("program", ["zaqar", "openstack"])
def test_a_signed_url_is_all_that_a_program_needs(
    zaqar: Run, process: Run, sign: Callable[..., str], program: str
) -> None:
    variables = STRAY | {"ZAQAR_SIGNED_URL": sign("--methods", "POST")}
    posted = process(
        program, "message", "post", "orders", '{"body": 7}', "-f", "value", **variables
    )
    assert (posted.status, posted.err) == (0, "")
    shown = zaqar("message", "show", "orders", posted.out.strip(), "-f", "json")
    assert shown.data["Body"] == 7


def test_the_url_comes_from_option_file_or_the_first_line_of_the_input(
    zaqar: Run, process: Run, sign: Callable[..., str], tmp_path: Path
) -> None:
    url = sign("--methods", "POST")
    file = tmp_path / "url"
    file.write_text(f"{url}\n")
    post = ["message", "post", "orders", "-f", "value"]
    ways: tuple[tuple[list[str], str], ...] = (
        (["--signed-url", url, *post, "1"], ""),
        (["--signed-url", f"@{file}", *post, "2"], ""),
        (["--signed-url", "-", *post, "--lines", "-"], f"{url}\nthree\nfour\n"),
    )
    for words, stdin in ways:
        done = process("zaqar", *words, stdin=stdin.encode(), **STRAY)
        assert (done.status, done.err) == (0, "")
    listed = zaqar("message", "list", "orders", "--echo", "-f", "value", "-c", "Body")
    assert listed.out.split() == ["1", "2", "three", "four"]


def test_the_printed_curl_command_posts_a_message(
    zaqar: Run, environment: dict[str, str]
) -> None:
    words = ["queue", "signed", "url", "orders", "--methods", "POST"]
    line = zaqar(*words, "--output", "curl").out
    assert shlex.split(line)[0] == "curl"
    done = subprocess.run(line, shell=True, capture_output=True, check=True)  # noqa: S602 - it is to be typed into a shell
    assert b'"resources"' in done.stdout
    bodies = zaqar("message", "list", "orders", "--echo", "-f", "value", "-c", "Body")
    assert bodies.out == "hello\n"
    assert environment["OS_QUEUES_PROJECT_ID"] in line


@pytest.mark.parametrize("body", ["build 12 is green", '{"build": 12}', "a=1&b=2"])
def test_plain_curl_posts_whatever_it_is_given(zaqar: Run, body: str) -> None:
    link = zaqar(*LINK).out
    done = subprocess.run(
        ["curl", "-sS", link.strip(), "-d", body], capture_output=True, check=True
    )
    assert b'"resources"' in done.stdout
    (row,) = zaqar("message", "list", "orders", "--echo", "-f", "json").data
    assert row["Body"] == ({"build": 12} if body.startswith("{") else body)


@pytest.mark.parametrize("program", ["zaqar", "openstack"])
def test_a_link_is_all_that_a_program_needs(
    zaqar: Run, process: Run, program: str
) -> None:
    link = zaqar(*LINK).out
    variables = STRAY | {"ZAQAR_SIGNED_URL": link}
    posted = process(program, "message", "post", "orders", "7", **variables)
    assert (posted.status, posted.err) == (0, "")


def test_a_service_without_links_is_given_the_signature_in_headers(
    zaqar: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "limits", lambda _: {"features": []})
    words = ["queue", "signed", "url", "orders", "--methods", "POST", "--output"]
    line = zaqar(*words, "curl").out
    assert "URL-Signature: " in line
    done = subprocess.run(line, shell=True, capture_output=True, check=True)  # noqa: S602 - it is to be typed into a shell
    assert b'"resources"' in done.stdout
    refused = zaqar(*words, "https")
    assert (refused.status, refused.out) == (1, "")
    assert "signed_https" in refused.err


def test_the_printed_curl_command_reads_where_it_may_not_post(zaqar: Run) -> None:
    zaqar("message", "post", "orders", "--text", "seen")
    line = zaqar("queue", "signed", "url", "orders", "--output", "curl").out
    words = [*shlex.split(line), "-G", "--data", "echo=true"]
    done = subprocess.run(words, capture_output=True, check=True)
    assert b'"seen"' in done.stdout


def test_the_printed_variable_can_be_taken_over_by_a_shell(zaqar: Run) -> None:
    line = zaqar("queue", "signed", "url", "orders", "--output", "env").out
    script = f'{line}printf %s "$ZAQAR_SIGNED_URL"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    signed = parse_signed_url(done.stdout.decode())
    assert (signed.queue, signed.methods) == ("orders", ("GET",))


def test_the_parts_are_printed_where_no_output_is_chosen(zaqar: Run) -> None:
    words = ["queue", "signed", "url", "orders", "--paths", "messages,claims"]
    parts = zaqar(*words, "--methods", "GET,POST", "-f", "json").data
    assert list(parts) == ["Paths", "Methods", "Expires", "Signature", "Project ID"]
    assert parts["Paths"] == "/v2/queues/orders/claims,/v2/queues/orders/messages"
    assert parts["Methods"] == "GET,POST"


def test_a_signed_url_tells_its_id_where_it_is_asked_for(zaqar: Run) -> None:
    words = ["queue", "signed", "url", "orders", "-c", "ID", "-f", "value"]
    done = zaqar(*words)
    assert (done.status, done.err) == (0, "")
    listed = zaqar("queue", "signed", "url", "list", "orders", "-f", "json").data
    assert done.out.strip() in [row["ID"] for row in listed]


@pytest.mark.parametrize("program", ["zaqar", "openstack"])
@pytest.mark.parametrize("queue", ["list", "revoke"])
def test_a_queue_named_as_a_command_is_written_behind_two_dashes(
    process: Run, program: str, queue: str
) -> None:
    words = ["queue", "signed", "url", "-c", "Paths", "-f", "value", "--", queue]
    done = process(program, *words)
    assert (done.status, done.out) == (0, f"/v2/queues/{queue}/messages\n")


def test_what_is_not_covered_is_said_with_what_is(
    zaqar: Run, sign: Callable[..., str]
) -> None:
    url = sign("--methods", "GET")
    done = zaqar("--signed-url", url, "message", "post", "orders", "1")
    assert (done.status, done.out) == (4, "")
    assert (
        "this needs POST /v2/queues/orders/messages, and the signed URL allows GET "
        "on /v2/queues/orders/messages: ask for one that does"
    ) in done.err
    other = zaqar("--signed-url", url, "message", "list", "bills")
    assert "this needs GET /v2/queues/bills/messages" in other.err
    beside = zaqar("--signed-url", url, "queue", "exists", "orders")
    assert (beside.status, beside.out) == (4, "")


def test_an_expired_url_says_since_when(zaqar: Run, server: Any) -> None:
    url = signed_until("2020-01-01T00:00:00", server.url, "p")
    done = zaqar("--signed-url", url, "message", "list", "orders")
    assert (done.status, done.out) == (4, "")
    assert "the signed URL expired at 2020-01-01T00:00:00 UTC, " in done.err
    assert "ask for a new one" in done.err


def test_a_changed_url_is_refused_and_not_mistaken_for_a_missing_message(
    zaqar: Run, sign: Callable[..., str], server: Any
) -> None:
    url = sign("--methods", "GET,DELETE")
    missing = zaqar("--signed-url", url, "message", "show", "orders", "nope")
    assert "Message nope does not exist" in missing.err
    forged = url.replace("project=", "project=x")
    for words in (["show"], ["delete"]):
        done = zaqar("--signed-url", forged, "message", *words, "orders", "nope")
        assert (done.status, done.out) == (4, "")
        assert "was revoked, or differs from how it was made" in done.err
    forged = signed_until("2099-01-01T00:00:00", server.url, "p")[:-1] + "x"
    assert zaqar("--signed-url", forged, "message", "list", "orders").status == 4


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nonsense", "this is no signed URL: a signed URL begins with one of zaqar+"),
        ("@/no/such/file", "cannot read the signed URL: /no/such/file: No such file"),
        ("zaqar+http://h/v2/queues/q?project=p", "lacks paths, methods, expires"),
        ("-", "this is no signed URL"),
    ],
)
def test_a_text_that_is_no_signed_url_is_an_error_in_one_line(
    zaqar: Run, url: str, text: str
) -> None:
    done = zaqar("--signed-url", url, "message", "list", "orders")
    assert (done.status, done.out) == (1, "")
    assert text in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("program", ["zaqar", "openstack"])
def test_debug_does_not_tell_the_signature(
    process: Run, sign: Callable[..., str], program: str
) -> None:
    url = sign()
    done = process(
        program, "--debug", "message", "list", "orders", ZAQAR_SIGNED_URL=url
    )
    assert done.status == 0
    assert "GET" in done.err
    assert parse_signed_url(url).signature not in done.out + done.err


def test_many_messages_are_posted_where_the_queue_may_not_be_looked_at(
    zaqar: Run, sign: Callable[..., str]
) -> None:
    url = sign("--methods", "POST")
    words = ["message", "post", "orders", "--lines", "-", "-f", "value"]
    done = zaqar("--signed-url", url, *words, stdin=b"a\nb\nc\n")
    assert (done.status, len(done.out.split())) == (0, 3)


@pytest.mark.parametrize("wire", ["http", "ws"])
def test_a_signed_url_is_listed_until_it_ends_and_opens_nothing_once_revoked(
    zaqar: Run, sign: Callable[..., str], server: Any, wire: str
) -> None:
    where = ["--os-queues-endpoint", server.websocket_url] if wire == "ws" else []
    url = sign("--methods", "GET")
    listed = zaqar(*where, "queue", "signed", "url", "list", "orders", "-f", "json")
    assert listed.status == 0
    (row,) = listed.data
    assert row["ID"] == parse_signed_url(url).id
    assert list(row) == ["ID", "Paths", "Methods", "Created", "Expires", "Revoked"]
    assert row["Paths"] == "/v2/queues/orders/messages"
    assert row["Methods"] == "GET"
    assert row["Revoked"] is False
    assert parse_signed_url(url).signature not in listed.out
    assert zaqar("--signed-url", url, "message", "list", "orders").status == 0
    revoke = ["queue", "signed", "url", "revoke", "orders", row["ID"]]
    assert zaqar(*where, *revoke) == (0, "", "")
    refused = zaqar("--signed-url", url, "message", "list", "orders")
    assert (refused.status, refused.out) == (4, "")
    assert "it was revoked, or differs" in refused.err
    assert zaqar("queue", "signed", "url", "list", "orders", "-f", "json").data == [
        {**row, "Revoked": True}
    ]


def test_revoking_what_is_not_there_is_an_error_and_stops_nothing(
    zaqar: Run, sign: Callable[..., str]
) -> None:
    sign()
    words = ["queue", "signed", "url", "list", "orders", "-f", "value", "-c", "ID"]
    known = zaqar(*words).out.strip()
    done = zaqar("queue", "signed", "url", "revoke", "orders", "nope", known)
    assert (done.status, done.out) == (3, "")
    assert done.err.startswith("signed URL nope: Queue orders has no signed URL nope")
    assert "True" in zaqar("queue", "signed", "url", "list", "orders").out


def test_a_url_that_is_valid_for_years_is_worth_a_line(zaqar: Run) -> None:
    url = ["queue", "signed", "url", "orders", "--output", "url", "--ttl-seconds"]
    assert zaqar(*url, "7d").err == ""
    assert zaqar(*url, "99999999999").err == "The URL is valid for 1157407 days.\n"
