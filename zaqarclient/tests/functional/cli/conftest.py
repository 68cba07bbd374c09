"""Commands against a real server, in this process and in processes of their own."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from zaqarclient import shell

PROGRAMS = Path(sysconfig.get_path("scripts"))

_NUMBERS = itertools.count()

#: Mark of the modules whose tests hold over HTTP and over WebSocket.
BOTH_WIRES = pytest.mark.parametrize("endpoint", ["http", "ws"], indirect=True)


def is_websocket(endpoint: str) -> bool:
    """Say which wire an endpoint is of, where the two answer differently."""
    return endpoint.startswith("ws")


class Done(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The output, read as JSON."""
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def endpoint(request: pytest.FixtureRequest, server: Any) -> str:
    """The URL of the server; a module of tests for both wires asks for ``ws``."""
    wire = getattr(request, "param", "http")
    url: str = server.url if wire == "http" else server.websocket_url
    return url


@pytest.fixture
def environment(endpoint: str, tmp_path: Path) -> dict[str, str]:
    """The variables of a user of the server, in a project of the test's own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OS_", "XDG_", "ZAQAR_"))
    }
    return kept | {
        "OS_QUEUES_ENDPOINT": endpoint,
        "OS_QUEUES_PROJECT_ID": f"cli-{os.getpid()}-{next(_NUMBERS)}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        # openstack reads clouds.yaml from there, and only from there.
        "HOME": str(tmp_path),
    }


@pytest.fixture
def zaqar(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``zaqar`` in this process: ``zaqar("queue", "list", stdin=b"...")``."""
    for name in os.environ:
        if name not in environment:
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(*words: str, stdin: bytes = b"") -> Done:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = shell.main(list(words))
            except SystemExit as ended:
                status = int(ended.code or 0)
        return Done(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Take away the log handlers that a run of the program leaves."""
    loggers = (logging.getLogger(), logging.getLogger("zaqarclient"))
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    yield
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)


@pytest.fixture
def process(environment: dict[str, str]) -> Run:
    """Run a program by itself: ``process("zaqar", "queue", "list")``."""

    def run(program: str, *words: str, stdin: bytes = b"", **extra: str) -> Done:
        done = subprocess.run(
            [str(PROGRAMS / program), *words],
            check=False,
            input=stdin,
            capture_output=True,
            env=environment | extra,
            timeout=60,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def running(
    environment: dict[str, str],
) -> Callable[..., contextlib.AbstractContextManager[subprocess.Popen[str]]]:
    """Start a program: ``with running("zaqar", "message", "tail", "q") as it:``."""

    @contextlib.contextmanager
    def start(
        program: str, *words: str, **extra: str
    ) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [str(PROGRAMS / program), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | extra,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    return start


@pytest.fixture(params=["http", "ws"])
def wire(request: pytest.FixtureRequest, server: Any) -> dict[str, str]:
    """The variable that leads a program to the server, over each wire."""
    url = server.url if request.param == "http" else server.websocket_url
    return {"OS_QUEUES_ENDPOINT": url}
