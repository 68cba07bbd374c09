"""What the tests of commands share: a program around a command, no network."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from zaqarclient import shell


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def own_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep the tester's own cloud, client id and terminal out of the tests."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    for name in ("ZAQAR_SIGNED_URL", "ZAQAR_TOKEN_CACHE"):
        monkeypatch.delenv(name, raising=False)
    own = tmp_path_factory.mktemp("home")
    for kind in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(own / kind.lower()))
    monkeypatch.setenv("COLUMNS", "80")


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
def terminal() -> type[Terminal]:
    return Terminal


@pytest.fixture
def program() -> Callable[..., shell.Program]:
    """Make a program: ``program("-q", stdin=..., stderr=...)``."""

    def make(*options: str, **streams: Any) -> shell.Program:
        parsed, rest = shell.build_parser().parse_known_args(options)
        assert not rest
        streams = {"stdin": io.StringIO(), "stdout": io.StringIO(), **streams}
        return shell.Program(parsed, **{"stderr": io.StringIO(), **streams})

    return make


class Done(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run the whole program in this process: ``run("queue", "list")``."""

    def run_words(*words: str) -> Done:
        capsys.readouterr()
        try:
            status = shell.main(list(words))
        except SystemExit as ended:
            status = int(ended.code or 0)
        return Done(status, *capsys.readouterr())

    return run_words


@pytest.fixture
def parse(program: Callable[..., shell.Program]) -> Callable[..., Any]:
    """Parse words as a command would: ``parse("queue list", "--limit", "5")``."""

    def parse_words(name: str, *words: str) -> Any:
        parser = program().command(name).get_parser(f"zaqar {name}")
        return parser.parse_args(list(words))

    return parse_words
