"""``zaqar run`` with nothing but a signed URL: as if it were not there, and told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from zaqarclient.auth import signed_url
from zaqarclient.queues.v2.client import Client
from zaqarclient.shell import ci
from zaqarclient.tests.functional.cli.conftest import PROGRAMS
from zaqarclient.tests.http_stub import HttpStub

ZAQAR = [str(PROGRAMS / "zaqar")]

#: The same for tests of what is posted, however busy the machine is.
_PROGRAM = """
import sys
from zaqarclient.shell import main, run
run._PATIENCE = 50
sys.exit(main())
"""
PATIENT = [sys.executable, "-c", _PROGRAM]

#: All bytes, no newline at the end, on both streams.
BYTES = """
import os
os.write(1, bytes(range(256)) * 3000 + b"end")
os.write(2, b"\\xff\\x00\\r\\n" * 5000)
"""


@pytest.fixture(scope="module")
def server(server_factory: Callable[..., Any]) -> Any:
    """A server that signs URLs."""
    return server_factory(options="[signed_url]\nsecret_key = s3cret")


@pytest.fixture
def queue(server: Any, make_client: Callable[..., Client]) -> Any:
    """The queue, for who may read it."""
    queue = make_client(server.url).queue("builds", auto_create=False)
    queue.delete()
    return queue


@pytest.fixture
def bare(server: Any, queue: Any) -> dict[str, str]:
    """All variables of a bare shell."""
    signed = signed_url.SignedURL.of(server.url, queue.signed_url(methods=["POST"]))
    return {
        "PATH": os.defpath,
        "ZAQAR_SIGNED_URL": signed_url.format_signed_url(signed),
    }


def words(*command: str, options: tuple[str, ...] = ()) -> list[str]:
    return ["run", "--queue", "builds", *options, "--", *command]


def run(
    bare: dict[str, str],
    *command: str,
    options: tuple[str, ...] = (),
    program: list[str] = PATIENT,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*program, *words(*command, options=options)],
        env=bare,
        capture_output=True,
        timeout=60,
        check=False,
    )


def posted(queue: Any) -> list[dict[str, Any]]:
    return [message.body for message in queue.messages(echo=True, limit=20)]


@pytest.mark.parametrize("options", [(), ("--tail", "2")])
def test_each_byte_of_both_streams_passes(
    bare: dict[str, str], options: tuple[str, ...]
) -> None:
    alone = subprocess.run(
        [sys.executable, "-c", BYTES], capture_output=True, check=True
    )
    told = run(bare, sys.executable, "-c", BYTES, options=options)
    assert (told.returncode, told.stdout, told.stderr) == (
        0,
        alone.stdout,
        alone.stderr,
    )


@pytest.mark.parametrize("options", [(), ("--tail", "2")])
@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 1", 1),
        ("exit 137", 137),
        ("kill -KILL $$", 137),
        ("kill -TERM $$", 143),
        ("kill -INT $$", 130),
        ("kill -SEGV $$", 139),
        ("kill -PIPE $$", 141),
    ],
)
def test_the_status_is_that_of_the_command(
    bare: dict[str, str],
    queue: Any,
    script: str,
    status: int,
    options: tuple[str, ...],
) -> None:
    done = run(bare, "sh", "-c", script, options=options)
    assert (done.returncode, done.stdout, done.stderr) == (status, b"", b"")
    (body,) = posted(queue)
    assert body["exit_status"] == status
    assert body["event"] == ("failure" if status else "success")


def test_the_message_says_what_was_run_and_how_it_ended(
    bare: dict[str, str], queue: Any
) -> None:
    script = "echo one; echo two; printf '\\377 three' >&2; sleep 0.1; exit 3"
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_JOB": "test",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "me/it",
        "GITHUB_RUN_ID": "7",
        "GITHUB_SHA": "0a1b",
        "GITHUB_HEAD_REF": "",
        "GITHUB_REF_NAME": "main",
    }
    options = ("--on", "start,success,failure", "--tail", "2")
    assert run(bare | github, "sh", "-c", script, options=options).returncode == 3
    start, end = posted(queue)
    same = {
        "type": "run",
        "command": ["sh", "-c", script],
        "host": socket.gethostname(),
        "ci": {
            "system": "github",
            "job": "test",
            "url": "https://github.com/me/it/actions/runs/7",
            "commit": "0a1b",
            "branch": "main",
        },
    }
    nothing = {"exit_status": None, "duration": None, "tail": None}
    assert start == {**same, "event": "start", **nothing}
    assert 0.1 <= end.pop("duration") < 60
    # The two streams are two pipes here: which comes first is not certain.
    assert {"two", "\ufffd three"} >= set(end.pop("tail").splitlines())
    assert end == {**same, "event": "failure", "exit_status": 3}


def test_only_what_is_asked_for_is_posted(bare: dict[str, str], queue: Any) -> None:
    assert run(bare, "true", options=("--on", "failure")).returncode == 0
    assert posted(queue) == []
    assert run(bare, "false", options=("--on", "failure")).returncode == 1
    assert [body["event"] for body in posted(queue)] == ["failure"]


def test_the_tail_is_bounded_and_fits_a_message(
    bare: dict[str, str], queue: Any
) -> None:
    script = "head -c 300000 /dev/zero; echo; echo last"
    assert run(bare, "sh", "-c", script, options=("--tail", "9")).stderr == b""
    (body,) = posted(queue)
    assert body["tail"].endswith("\0\nlast")
    assert len(body["tail"]) < 32 * 1024


def test_what_goes_to_one_place_keeps_its_order(
    bare: dict[str, str], queue: Any
) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; echo $i >&2; done"
    done = subprocess.run(
        [*PATIENT, *words("sh", "-c", script, options=("--tail", "18"))],
        env=bare,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "".join(f"{i}\n{i}\n" for i in range(1, 10))
    assert posted(queue)[0]["tail"] == done.stdout.removesuffix("\n")


def test_a_command_that_cannot_be_run_has_the_status_of_a_shell(
    bare: dict[str, str], queue: Any
) -> None:
    missing = run(bare, "no-such-program")
    assert missing.returncode == 127
    said = b"cannot run no-such-program: No such file or directory\n"
    assert missing.stderr == said
    assert run(bare, "/").returncode == 126
    assert [body["exit_status"] for body in posted(queue)] == [127, 126]


def test_options_of_the_command_are_its_own(bare: dict[str, str], queue: Any) -> None:
    done = run(bare, "echo", "--strict", "-q", "--", "--queue")
    assert done.stdout == b"--strict -q -- --queue\n"
    assert posted(queue)[0]["command"] == ["echo", "--strict", "-q", "--", "--queue"]


# -- streams and signals -----------------------------------------------------------


def start(
    bare: dict[str, str], *command: str, options: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PATIENT, *words(*command, options=options)],
        env=bare,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("options", [(), ("--tail", "2")])
def test_output_comes_at_once_and_input_is_that_of_the_command(
    bare: dict[str, str], options: tuple[str, ...]
) -> None:
    script = "printf ready; read answer; echo $answer"
    with start(bare, "sh", "-c", script, options=options) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == "ready"
        assert process.communicate("yes\n", timeout=60) == ("yes\n", "")


@pytest.mark.parametrize("options", [(), ("--tail", "2")])
@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2"])
def test_signals_reach_the_command(
    bare: dict[str, str], queue: Any, name: str, options: tuple[str, ...]
) -> None:
    script = f"trap 'echo got; exit 7' {name}; echo ready; while :; do sleep 0.05; done"
    with start(bare, "sh", "-c", script, options=options) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.communicate(timeout=60) == ("got\n", "")
    assert process.returncode == 7
    assert posted(queue)[0]["exit_status"] == 7


def test_a_command_whose_reader_went_away_notices(bare: dict[str, str]) -> None:
    with start(bare, "yes", options=("--tail", "1")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "y\n"
        process.stdout.close()
        assert process.wait(60) == 141


def test_what_a_command_leaves_behind_does_not_hold_the_job(
    bare: dict[str, str], queue: Any
) -> None:
    script = "sleep 300 & echo $!"
    with start(bare, "sh", "-c", script, options=("--tail", "1")) as process:
        assert process.stdout is not None
        left = int(process.stdout.readline())
        try:
            assert process.wait(60) == 0
        finally:
            os.kill(left, signal.SIGKILL)
    assert len(posted(queue)) == 1


# -- a service that cannot be told --------------------------------------------------


@pytest.mark.parametrize("status", [0, 4])
@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize("how", ["refused", "silent"])
def test_a_service_that_is_down_costs_a_warning_and_ten_seconds_at_most(
    bare: dict[str, str],
    queue: Any,
    stub: HttpStub,
    server: Any,
    how: str,
    is_strict: bool,
    status: int,
) -> None:
    stub.default = stub.hang  # type: ignore[assignment]
    down = stub.url if how == "silent" else "http://127.0.0.1:9"
    bare["ZAQAR_SIGNED_URL"] = bare["ZAQAR_SIGNED_URL"].replace(server.url, down)
    options = ("--on", "start,success,failure", *(["--strict"] if is_strict else []))
    began = time.monotonic()
    subprocess.run([*ZAQAR, "--version"], env=bare, capture_output=True, check=True)
    between = time.monotonic()
    script = f"echo out; exit {status}"
    done = run(bare, "sh", "-c", script, options=options, program=ZAQAR)
    # On a busy machine any program takes its time to begin and to end.
    assert time.monotonic() - between < 10 + 2 * (between - began)
    assert done.returncode == (status or 69 if is_strict else status)
    assert done.stdout == b"out\n"
    said = done.stderr.decode()
    assert said.startswith("queue builds was not told of the run: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"ZAQAR_SIGNED_URL": "rubbish"}, "this is no signed URL"),
        ({"OS_CLOUD": "nowhere", "ZAQAR_SIGNED_URL": ""}, "nowhere"),
    ],
)
def test_a_secret_that_is_not_there_costs_a_warning(
    bare: dict[str, str], variables: dict[str, str], text: str
) -> None:
    done = run(bare | variables, "true")
    assert done.returncode == 0
    assert text in done.stderr.decode()
    strict = run(bare | variables, "true", options=("--strict",))
    assert strict.returncode in {1, 4}


def test_a_url_for_something_else_costs_a_warning(bare: dict[str, str]) -> None:
    command = [*PATIENT, "run", "--queue", "elsewhere"]
    for option, status in ((["--strict"], 4), ([], 0)):
        done = subprocess.run(
            [*command, *option, "--", "true"],
            env=bare,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status
        assert "this needs POST /v2/queues/elsewhere/messages" in done.stderr


# -- CI systems --------------------------------------------------------------------

SYSTEMS = {
    "github": {"GITHUB_ACTIONS": "true", "GITHUB_SHA": "c", "GITHUB_HEAD_REF": "b"},
    "gitlab": {"GITLAB_CI": "true", "CI_COMMIT_SHA": "c", "CI_COMMIT_REF_NAME": "b"},
    "jenkins": {"JENKINS_URL": "http://j", "GIT_COMMIT": "c", "GIT_BRANCH": "b"},
    "zuul": {"ZUUL_BUILD": "9", "ZUUL_COMMIT": "c", "ZUUL_BRANCH": "b"},
    "buildkite": {
        "BUILDKITE": "true",
        "BUILDKITE_COMMIT": "c",
        "BUILDKITE_BRANCH": "b",
    },
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_ci_system_is_known_by_its_variables(system: str) -> None:
    found = ci.description(SYSTEMS[system])
    missing = {"job": None, "url": None}
    assert found == {"system": system, "commit": "c", "branch": "b", **missing}


def test_elsewhere_no_ci_system_is_known() -> None:
    found = ci.description({"CI": "true", "GITHUB_ACTIONS": "", "GIT_COMMIT": "c"})
    assert set(found.values()) == {None}
