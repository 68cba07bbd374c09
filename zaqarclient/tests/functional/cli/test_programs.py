"""The two programs as processes: statuses, streams, signals, credentials."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import needs
import pytest

from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, PROGRAMS, Run

ZAQAR = str(PROGRAMS / "zaqar")

NOBODY = "http://127.0.0.1:1"


class Answering(http.server.BaseHTTPRequestHandler):
    """A service that answers in JSON."""

    def answer(
        self, status: int, document: Any, headers: dict[str, str] | None = None
    ) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Say nothing."""


@contextlib.contextmanager
def serving(handler: type[Answering]) -> Iterator[str]:
    """Serve on loopback and yield the URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{service.server_port}"
        service.shutdown()
        thread.join()


def test_the_program_runs_by_itself_and_by_its_module(
    process: Run, environment: dict[str, str]
) -> None:
    assert process("zaqar", "queue", "list", "-f", "json") == (0, "[]\n", "")
    command = [sys.executable, "-m", "zaqarclient.shell", "ping", "-f", "value"]
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert done.stdout == b"True\n"


@pytest.mark.parametrize("program", ["zaqar", "openstack"])
def test_a_service_that_is_down_is_named_with_the_reason(
    process: Run, program: str
) -> None:
    done = process(program, "queue", "list", OS_QUEUES_ENDPOINT=NOBODY)
    reason = f"cannot reach Zaqar at {NOBODY}: Connection refused\n"
    assert done == (69 if program == "zaqar" else 1, "", reason)


@pytest.mark.parametrize("program", ["zaqar", "openstack"])
def test_a_password_in_a_url_is_not_repeated(process: Run, program: str) -> None:
    endpoint = NOBODY.replace("//", "//me:hidden@")
    done = process(program, "queue", "list", OS_QUEUES_ENDPOINT=endpoint)
    reason = f"cannot reach Zaqar at {NOBODY}: Connection refused\n"
    assert done == (69 if program == "zaqar" else 1, "", reason)


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["--debug", "--timing", "queue", "list"], "http://me:hidden@"),
        (["queue", "list"], "//me:hidden@"),
        (["ping"], "http://me:hidden@"),
    ],
)
def test_a_password_in_a_url_stays_out_of_what_is_told_beside_the_data(
    zaqar: Run, server: Any, words: list[str], start: str
) -> None:
    endpoint = server.url.replace("http://", start)
    done = zaqar("--os-queues-endpoint", endpoint, *words)
    assert "hidden" not in done.out + done.err


def test_a_ping_says_by_its_status_that_the_service_is_down(zaqar: Run) -> None:
    assert zaqar("ping", "-f", "json") == (0, '{\n  "Pingable": true\n}\n', "")
    done = zaqar("--os-queues-endpoint", NOBODY, "ping", "-f", "json")
    assert (done.status, done.data) == (69, {"Pingable": False})
    assert done.err == f"cannot reach Zaqar at {NOBODY}: Connection refused\n"


def test_without_any_configuration_the_error_says_how_to_give_one(
    process: Run,
) -> None:
    # Nothing may listen at the usual place; where something does, it answers.
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 8888)) == 0:
            needs.lacking("a server listens at the usual place")
    done = process("zaqar", "queue", "list", OS_QUEUES_ENDPOINT="")
    assert done.status == 69
    first, second = done.err.splitlines()
    assert first == "cannot reach Zaqar at http://127.0.0.1:8888: Connection refused"
    assert "--os-queues-endpoint" in second


def test_the_home_document_is_sorted_json(zaqar: Run) -> None:
    done = zaqar("homedoc")
    assert done.status == 0
    assert "rel/queues" in done.data["resources"]
    assert done.out == json.dumps(done.data, indent=2, sort_keys=True) + "\n"


@BOTH_WIRES
def test_health_is_for_administrators(zaqar: Run) -> None:
    done = zaqar("health")
    assert (done.status, done.out) == (4, "")
    assert "The policy rule health:get does not allow this" in done.err
    done = zaqar("--os-queues-roles", "admin", "health")
    assert (done.status, done.err) == (0, "")
    assert done.data["storage_reachable"] is True


def test_roles_are_named_only_where_nothing_is_authenticated(
    zaqar: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_QUEUES_ROLES", "admin")
    seen: list[str | None] = []

    class Service(Answering):
        def do_GET(self) -> None:
            seen.append(self.headers["X-Roles"])
            self.answer(200, {})

    with serving(Service) as url:
        zaqar("--os-queues-endpoint", url, "health")
        zaqar("--os-queues-endpoint", url, "--os-token", "t", "health")
    assert seen == ["admin", None]


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"storage_reachable": True, "operation_status": {}}, 0),
        ({"operation_status": {"b": {"succeeded": False, "ref": "r"}}, "a": 1}, 1),
    ],
)
def test_the_status_of_health_is_that_of_the_service(
    zaqar: Run, document: dict[str, Any], status: int
) -> None:
    class Service(Answering):
        def do_GET(self) -> None:
            self.answer(200, document)

    with serving(Service) as url:
        done = zaqar("--os-queues-endpoint", url, "health")
        cells = zaqar("--os-queues-endpoint", url, "health", "-f", "value")
    assert done.status == cells.status == status
    assert done.out == json.dumps(document, indent=2, sort_keys=True) + "\n"
    first = document[min(document)]
    assert cells.out.splitlines()[0] == (
        str(first) if isinstance(first, bool | int) else json.dumps(first)
    )


def test_a_cloud_of_clouds_yaml_is_not_mistaken_for_the_server_nearby(
    process: Run,
) -> None:
    done = process("zaqar", "queue", "list", OS_QUEUES_ENDPOINT="", OS_CLOUD="prod")
    assert (done.status, done.out) == (4, "")
    assert done.err == "cloud prod: Cloud prod was not found.\n"


def test_what_the_encoding_of_the_output_lacks_is_written_out(
    zaqar: Run, process: Run
) -> None:
    zaqar("message", "post", "q", "--text", "é日")
    words = ["message", "list", "q", "--echo", "-f", "value", "-c", "Body"]
    done = process("zaqar", *words, PYTHONIOENCODING="ascii")
    assert done == (0, "\\xe9\\u65e5\n", "")


def test_a_closed_standard_input_is_no_terminal(
    zaqar: Run, environment: dict[str, str]
) -> None:
    zaqar("queue", "create", "q")
    script = '"$0" queue delete q <&- && "$0" message post q <&-'
    done = subprocess.run(
        ["sh", "-c", script, ZAQAR], capture_output=True, env=environment, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"there is no standard input to read\n"
    assert zaqar("queue", "exists", "q").status == 3


def test_the_client_id_stays_the_same(process: Run) -> None:
    process("zaqar", "message", "post", "q", "1")
    words = ["zaqar", "message", "list", "q", "--no-echo", "-f", "json"]
    assert process(*words).data == []
    other = process(*words, OS_MESSAGE_CLIENT_ID="0" * 32)
    assert [row["Body"] for row in other.data] == [1]


def test_a_post_reads_the_input_only_if_it_has_to(
    environment: dict[str, str],
) -> None:
    with subprocess.Popen(
        [ZAQAR, "message", "post", "q", "--text", "x", "-f", "value"],
        stdin=subprocess.PIPE,  # and never closed by us before it ends
        stdout=subprocess.PIPE,
        env=environment,
    ) as posting:
        assert posting.stdout is not None
        assert len(posting.stdout.read().split()) == 1
        assert posting.wait(60) == 0


def test_lines_are_posted_as_they_come(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [ZAQAR, "message", "post", "q", "--lines", "-f", "value"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment | {"PYTHONUNBUFFERED": "1"},
    ) as posting:
        assert posting.stdin is not None
        assert posting.stdout is not None
        for _ in range(2):
            posting.stdin.write(b"a line\n")
            posting.stdin.flush()
            # The id comes while the input is still open.
            assert posting.stdout.readline().strip()
        posting.stdin.close()
        assert posting.wait(60) == 0


def test_a_reader_that_goes_away_is_no_reason_to_complain(
    zaqar: Run, environment: dict[str, str]
) -> None:
    zaqar("queue", "create", "q")
    for words in (["queue", "list"], ["--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [ZAQAR, *words],
            stdout=writer,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b"")


def test_an_interrupt_gives_the_message_back_and_ends_with_130(
    zaqar: Run, environment: dict[str, str]
) -> None:
    zaqar("message", "post", "q", "1")
    with subprocess.Popen(
        [ZAQAR, "claim", "run", "q", "--", "sh", "-c", "echo started; cat; sleep 60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stderr is not None
        assert worker.stdout.readline() == b"started\n"
        # A terminal sends the signal to the whole group.
        os.killpg(worker.pid, signal.SIGINT)
        assert worker.wait(60) == 130
        assert b"Traceback" not in worker.stderr.read()
    assert zaqar("queue", "stats", "q", "-f", "value", "-c", "Free").out == "1\n"


def everything_on(terminal: int) -> bytes:
    """Read what a terminal shows, to the end: one read may give a part of it."""
    shown = b""
    with contextlib.suppress(OSError):  # raised at the end
        while part := os.read(terminal, 65536):
            shown += part
    return shown


def test_progress_is_shown_on_a_terminal_and_nowhere_else(
    environment: dict[str, str], tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("line\n" * 100000)
    main, terminal = pty.openpty()
    done = subprocess.run(
        [ZAQAR, "message", "post", "q", f"@{lines}", "--lines", "-f", "json"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=environment | {"TERM": "xterm"},
        check=True,
    )
    os.close(terminal)
    shown = everything_on(main).decode()
    os.close(main)
    assert re.search(r"\d%.* [0-9]+,000 messages, [0-9,]+/s .*\d:\d\d", shown), shown
    assert len(json.loads(done.stdout)) == 100000


def test_a_delete_on_a_terminal_is_asked_for_first(
    zaqar: Run, environment: dict[str, str]
) -> None:
    zaqar("queue", "create", "q")
    main, terminal = pty.openpty()
    os.write(main, b"n\n")
    done = subprocess.run(
        [ZAQAR, "queue", "delete", "q"],
        stdin=terminal,
        stderr=terminal,
        env=environment,
        check=False,
    )
    os.close(terminal)
    asked = os.read(main, 65536).decode()
    os.close(main)
    assert done.returncode == 1
    assert "Delete q with its 0 messages? [y/N]" in asked
    assert zaqar("queue", "exists", "q").status == 0


@pytest.mark.parametrize("words", [["--timing", "queue", "list"]])
def test_timing_tells_each_request_beside_the_data(
    zaqar: Run, server: Any, words: list[str]
) -> None:
    done = zaqar(*words, "-f", "json")
    assert done.data == []
    seconds, unit, method, url = done.err.split()
    assert float(seconds) < 60
    assert (unit, method, url) == ("s", "GET", f"{server.url}/v2/queues")


def test_debug_tells_requests_with_their_ids(zaqar: Run) -> None:
    done = zaqar("--debug", "queue", "list")
    assert "curl -g -i -X GET" in done.err
    assert "x-openstack-request-id: req-" in done.err


class Identity(Answering):
    """As much of an identity service as a token and a catalog need."""

    zaqar_url: ClassVar[str]
    asked: ClassVar[list[dict[str, Any]]]

    def do_GET(self) -> None:
        url = f"http://127.0.0.1:{self.server.server_port}/v3"  # type: ignore[attr-defined]
        links = [{"rel": "self", "href": url}]
        version = {"id": "v3.14", "status": "stable", "links": links}
        self.answer(200, {"version": version})

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.asked.append(json.loads(self.rfile.read(length))["auth"])
        endpoint = {"interface": "public", "url": self.zaqar_url, "region": "north"}
        endpoint |= {"region_id": "north", "id": "e"}
        catalog = [{"type": "messaging", "id": "s", "endpoints": [endpoint]}]
        domain = {"id": "default", "name": "Default"}
        token = {
            "catalog": catalog,
            "methods": ["password"],
            "expires_at": "2999-01-01T00:00:00.000000Z",
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "project": {"id": "p1", "name": "demo", "domain": domain},
            "user": {"id": "u1", "name": "me", "domain": domain},
            "roles": [{"id": "r", "name": "member"}],
        }
        self.answer(201, {"token": token}, {"X-Subject-Token": "secret"})


@pytest.fixture
def identity(server: Any) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The URL of an identity service, and what it is asked."""
    asked: list[dict[str, Any]] = []
    handler = type("Here", (Identity,), {"zaqar_url": server.url, "asked": asked})
    with serving(handler) as url:
        yield f"{url}/v3", asked


def credentials(url: str) -> dict[str, str]:
    return {
        "OS_QUEUES_ENDPOINT": "",
        "OS_AUTH_URL": url,
        "OS_USERNAME": "me",
        "OS_PASSWORD": "pw",
        "OS_PROJECT_NAME": "demo",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": "north",
    }


@pytest.mark.parametrize("program", ["zaqar", "openstack"])
def test_a_password_gets_one_token_and_the_endpoint_from_the_catalog(
    process: Run, identity: Any, program: str
) -> None:
    url, asked = identity
    done = process(program, "queue", "create", "q", "-f", "json", **credentials(url))
    assert (done.status, done.err) == (0, "")
    assert done.data == {"Name": "q"}
    assert len(asked) == 1
    assert asked[0]["identity"]["methods"] == ["password"]
    assert asked[0]["scope"]["project"]["name"] == "demo"


def test_a_region_that_the_catalog_lacks_is_an_error(
    process: Run, identity: Any
) -> None:
    variables = credentials(identity[0]) | {"OS_REGION_NAME": "south"}
    done = process("zaqar", "queue", "list", **variables)
    assert (done.status, done.out) == (69, "")
    assert "south" in done.err


def test_a_token_with_an_endpoint_needs_no_identity_service(
    zaqar: Run, server: Any
) -> None:
    words = ["--os-token", "t", "--os-endpoint", server.url, "queue", "list"]
    assert zaqar(*words, "-f", "json") == (0, "[]\n", "")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--os-auth-type", "no-such-plugin"], "no-such-plugin could not be found"),
        (["--os-auth-type", "v3token", "--os-token", "t"], "auth-url"),
    ],
)
def test_credentials_that_do_not_fit_together_are_explained(
    zaqar: Run, words: list[str], text: str
) -> None:
    done = zaqar(*words, "queue", "list")
    assert (done.status, done.out) == (4, "")
    assert text in done.err.replace("_", "-")
    assert len(done.err.splitlines()) == 1
