"""Each distribution and each extra runs in an environment that has nothing else.

Every other test runs where both distributions and all extras are installed, so it
cannot see a dependency that is not declared, nor a lower bound that does not work.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import needs
import pytest
from ports import free_port
from redis_service import RedisServer

ROOT = Path(__file__).parents[3]
VERSIONS = ("highest", "lowest-direct")
#: The extra `email` has no requirements of its own: one case below.
EXTRAS = ("", "redis", "keystone")
#: Modules that are imported only where an extra brings them, and by the shipped
#: conformance suite and fixtures.
OPTIONAL = {
    "redis": {"hiredis"},
    "keystone": {"keystoneauth1", "keystonemiddleware", "webob"},
    "suite": {"pytest", "hypothesis"},
    "testing": {"pytest", "standardwebhooks"},
}
IMPORT_ALL = """
import importlib, json, pkgutil, sys
missing = set()
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    is_program = module.name.endswith("__main__")
    if not (is_program or module.name.startswith("zaqarclient.tests.")):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            missing.add(error.name)
print(json.dumps(sorted(missing)))
"""


class Case(NamedTuple):
    """An environment: which Python, which extra, which versions."""

    newest_python: bool
    extra: str
    versions: str

    def __str__(self) -> str:
        python = "newest" if self.newest_python else "this"
        return f"{self.extra or 'plain'}-{self.versions}-{python}-python"


SERVERS = [
    *(Case(False, extra, kind) for extra in EXTRAS for kind in VERSIONS),
    Case(True, "", "highest"),
    Case(True, "", "lowest-direct"),
    Case(True, "redis,keystone,email", "lowest-direct"),
]
CLIENTS = [Case(newest, "", kind) for newest in (False, True) for kind in VERSIONS]
#: Enough for ``make test``: each Python, extra and kind of versions once. The newest
#: Python has the lowest versions, which it is the first to break.
ALWAYS = {
    Case(False, "", "highest"),
    Case(False, "redis", "lowest-direct"),
    Case(False, "keystone", "highest"),
    Case(True, "redis,keystone,email", "lowest-direct"),
    Case(True, "", "lowest-direct"),
}


def cases(all_: list[Case]) -> list[Any]:
    """Leave all others to ``--thorough``."""
    marks = {False: pytest.mark.thorough, True: ()}
    return [pytest.param(one, marks=marks[one in ALWAYS]) for one in all_]


def _newest_python() -> str:
    """Return the newest Python at hand that is newer than this one, or this one."""
    for minor in range(20, sys.version_info.minor, -1):
        places = [shutil.which(f"python3.{minor}")]
        places += Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")
        for place in filter(None, places):
            # A version manager's placeholder is found but does not run.
            probe = [place, "-c", "import sys; print(sys.version_info.minor)"]
            done = subprocess.run(probe, capture_output=True, text=True, check=False)
            if done.stdout.strip() == str(minor):
                return str(place)
    return sys.executable


def _run(*command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("OS_", "PYTHON"))}
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**keep, "UV_PYTHON_DOWNLOADS": "never", **variables},
    )


def _uv(*arguments: object) -> None:
    done = _run(sys.executable, "-m", "uv", *arguments)
    if "error sending request" in done.stderr:
        needs.lacking("no package registry can be reached")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both distributions, built from what their metadata names and nothing else."""
    tree = tmp_path_factory.mktemp("tree")
    found = {}
    for name, place, files in (
        ("zaqarclient", ROOT, ("pyproject.toml", "setup.cfg", "README.rst", "LICENSE")),
        ("zaqarserver", ROOT / "server", ("pyproject.toml", "setup.cfg", "LICENSE")),
    ):
        (tree / name).mkdir()
        for file in files:
            shutil.copy(place / file, tree / name)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(place / name, tree / name / name, ignore=ignored)
        if (place / "deploy").is_dir():
            shutil.copytree(place / "deploy", tree / name / "deploy")
        _uv("build", "-q", "--wheel", "-o", tree / f"{name}.dist", tree / name)
        (found[name],) = (tree / f"{name}.dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(
    wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Case], Path]:
    """Make an environment with one distribution; return its ``bin``."""
    newest = _newest_python()

    @functools.cache
    def make(name: str, case: Case) -> Path:
        place = tmp_path_factory.mktemp("environment")
        python = newest if case.newest_python else sys.executable
        extra = f"[{case.extra}]" if case.extra else ""
        _uv("venv", "-q", "--clear", "-p", python, place)
        _uv("pip", "install", "-q", "-p", place, "--resolution", case.versions,
            f"{wheels[name]}{extra}")  # fmt: skip
        return place / "bin"

    return make


@pytest.fixture(scope="module")
def zaqar(environment: Callable[[str, Case], Path]) -> Path:
    return environment("zaqarclient", Case(False, "", "highest")) / "zaqar"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


class Server:
    """A server of an environment of its own, until the end of the block."""

    def __init__(self, bin_: Path, directory: Path, **variables: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        environment = {
            "PATH": os.environ["PATH"],
            "OS_SERVER__PORT": str(port),
            "OS_WEBSOCKET__PORT": str(free_port()),
            "OS_STORAGE__URI": f"sqlite:///{directory}/zaqar.db",
            **variables,
        }
        self.log = directory / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [bin_ / "zaqarserver"], stdout=log, stderr=log, env=environment
            )

    def __enter__(self) -> Self:
        while " ready on " not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)  # between two looks at a process that starts
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log.read_text()


def _missing(bin_: Path, package: str) -> set[str]:
    done = _run(bin_ / "python", "-c", IMPORT_ALL, package)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def _post_and_read(zaqar: Path, url: str) -> None:
    def run(*arguments: str) -> str:
        done = _run(zaqar, "--os-queues-endpoint", url, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    queue = uuid.uuid4().hex
    run("message", "post", queue, '{"body": "hello"}')
    listed = json.loads(run("message", "list", queue, "--echo", "-f", "json"))
    assert [row["Body"] for row in listed] == ["hello"]


@pytest.mark.parametrize("case", cases(SERVERS), ids=str)
def test_the_server_starts_and_serves_with_nothing_but_what_it_declares(
    case: Case,
    environment: Callable[[str, Case], Path],
    zaqar: Path,
    redis: RedisServer,
    tmp_path: Path,
) -> None:
    bin_ = environment("zaqarserver", case)
    brought = set().union(*(OPTIONAL.get(one, ()) for one in case.extra.split(",")))
    assert _missing(bin_, "zaqarserver") <= set().union(*OPTIONAL.values()) - brought
    variables = {"OS_STORAGE__URI": redis.uri} if "redis" in case.extra else {}
    with Server(bin_, tmp_path, **variables) as server:
        _post_and_read(zaqar, server.url)


@pytest.mark.parametrize("case", cases(CLIENTS), ids=str)
def test_the_client_works_with_nothing_but_what_it_declares(
    case: Case, environment: Callable[[str, Case], Path], server: object
) -> None:
    bin_ = environment("zaqarclient", case)
    assert _missing(bin_, "zaqarclient") <= {"pytest"}
    _post_and_read(bin_ / "zaqar", server.url)  # type: ignore[attr-defined]


def test_a_setting_that_needs_an_extra_says_in_one_line_what_to_install(
    environment: Callable[[str, Case], Path], tmp_path: Path
) -> None:
    bin_ = environment("zaqarserver", Case(False, "", "highest"))
    for name, value, expected in (
        ("OS_STORAGE__URI", "redis://127.0.0.1", "zaqarserver[redis]"),
        ("OS_STORAGE__URI", "redis+cluster://127.0.0.1:1", "zaqarserver[redis]"),
        ("OS_DEFAULT__AUTH_STRATEGY", "keystone", "zaqarserver[keystone]"),
    ):
        port = str(free_port())
        done = _run(bin_ / "zaqarserver", OS_SERVER__PORT=port, **{name: value})
        (line,) = done.stderr.splitlines()
        assert (done.returncode, f"pip install '{expected}'" in line) == (1, True), line
