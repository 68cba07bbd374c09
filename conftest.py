"""Fixtures that both distributions' tests use: real servers in real processes."""

from __future__ import annotations

import contextlib
import http.client
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keystone_template
import needs
import pytest
from keystone_service import Keystone
from ports import free_port
from warm import Process, start_cold, start_server

START_SECONDS = 30.0

#: Files that take long for their number of tests. They are begun first, so that no
#: worker is busy with one of them when the others have nothing left to do.
LONG = {
    *("packaging/test_alone.py", "torture/test_program.py", "torture/test_moves.py"),
    "torture/test_consumers.py",
    *("several/test_balancer.py", "several/test_workers.py", "limits/test_limits.py"),
    *("promises/test_promises.py", "both/test_machine.py", "pools/test_drain.py"),
    *("functional/test_benchmarks.py", "functional/test_benchmarks_matrix.py"),
    *("functional/test_connections.py", "functional/test_process.py"),
    *("functional/test_clock_steps.py", "functional/test_store_faults.py"),
    *("functional/test_operation_page.py", "functional/test_demo.py"),
    *("cli/test_programs.py", "cli/test_openstack.py", "cli/test_tail.py"),
    "cli/test_screens.py",
    *("redis/test_outcomes.py", "redis/test_refused.py", "redis/test_model.py"),
    *("keystone/test_outage.py", "keystone/test_trusts.py", "keystone/test_tokens.py"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough",
        action="store_true",
        help="run also what combines or repeats what other tests have (make test-all)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let ``hypothesis`` try ten times as many examples if that is asked for."""
    if config.getoption("thorough"):
        from hypothesis import settings  # noqa: PLC0415 - half a second

        settings.register_profile("thorough", max_examples=1000, deadline=None)
        settings.load_profile("thorough")


@pytest.hookimpl(trylast=True)  # others shuffle them first
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what is ``thorough``, unless it is asked for; begin with long files."""
    if not config.getoption("thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    if "hypothesis" in sys.modules:
        from hypothesis import settings  # noqa: PLC0415 - half a second

        # A shared machine is slow at times: no example has a time limit.
        settings.register_profile("patient", settings.default, deadline=None)
        settings.load_profile("patient")
    counts = Counter(item.path for item in items)

    def rank(item: pytest.Item) -> tuple[bool, int]:
        path = item.path
        return f"{path.parent.name}/{path.name}" not in LONG, -counts[path]

    if hasattr(config, "workerinput"):  # of a worker of pytest-xdist
        items.sort(key=rank)


class ServerProcess:
    """A ``zaqarserver`` process on loopback.

    Attributes:
        url: Its REST endpoint.
        websocket_url: Its WebSocket endpoint.
        store: Its storage file, kept over restarts.
        log: The file that its log goes to.
    """

    def __init__(
        self,
        directory: Path,
        store: Path | None,
        options: str,
        uri: str = "",
        *,
        is_cold: bool = False,
    ) -> None:
        self._is_cold = is_cold
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.websocket_port = free_port()
        self.websocket_url = f"ws://127.0.0.1:{self.websocket_port}"
        self.store = store or directory / "zaqar.db"
        self.log = directory / "server.log"
        self._config = directory / "zaqarserver.conf"
        self._config.write_text(
            f"{options}\n"
            f"[server]\nhost = 127.0.0.1\nport = {self.port}\n"
            f"[websocket]\nport = {self.websocket_port}\n"
            f"[storage]\nuri = {uri or f'sqlite:///{self.store}'}\n"
        )
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers."""
        start = start_cold if self._is_cold else start_server
        self._process = start(self._config, self.log)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended:\n{self.log.read_text()}")
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, 5)
                connection.request("GET", "/")
                status = connection.getresponse().status
                connection.close()
                if status == 300:
                    return
            # Polling a process that starts, not waiting for a guess to pass.
            time.sleep(0.05)
        raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")

    def _signal(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout=START_SECONDS)

    def kill(self) -> None:
        """End the server as a crash would."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """End the server in good order; return its exit status."""
        return self._signal(signal.SIGTERM)


@pytest.fixture(scope="session")
def server_factory(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., ServerProcess]]:
    """Make servers: ``server_factory(store=PATH, options="admin_mode = true")``.

    ``uri`` names another store than a SQLite file. ``is_cold`` is for what is about
    the start of the interpreter (see ``testing/warm.py``).

    ``options`` are lines that come first in the configuration file: options of
    the group ``[DEFAULT]``, then other groups. The servers are started, and
    stopped at the end of the session.
    """
    made: list[ServerProcess] = []

    def make(
        store: Path | None = None, options: str = "", uri: str = "", **how: bool
    ) -> ServerProcess:
        directory = tmp_path_factory.mktemp("server")
        process = ServerProcess(directory, store, f"[DEFAULT]\n{options}", uri, **how)
        made.append(process)
        process.start()
        return process

    yield make
    for process in made:
        process.stop()


@pytest.fixture(scope="session")
def server(server_factory: Callable[..., Any]) -> ServerProcess:
    """A running server without authentication, shared by the session."""
    process: ServerProcess = server_factory(options="admin_mode = true")
    return process


@pytest.fixture(scope="session")
def keystone(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Keystone]:
    """A running Keystone with two projects, ``alpha`` and ``beta``.

    Its first use on a machine installs it from the package registry, into an
    environment of its own that later sessions find.
    """
    directory = tmp_path_factory.mktemp("keystone")
    try:
        service = keystone_template.from_template(directory)
    except keystone_template.NoKeystone as error:
        needs.lacking(error)
    try:
        service.start()
        service.publish(identity=service.url)
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="session")
def keystone_server(
    keystone: Keystone, server_factory: Callable[..., ServerProcess]
) -> ServerProcess:
    """A server that asks ``keystone``, and is in its catalog; shared."""
    server = server_factory(
        options=keystone.server_options(
            "admin_mode = true\n"
            "[notification]\nallowed_networks = 127.0.0.0/8\n"
            "[storage]\nmessage_pipeline = zaqar.notification.notifier\n"
            "[signed_url]\nsecret_key = one-that-only-tests-know\n"
        )
    )
    keystone.publish(messaging=server.url, messaging_websocket=server.websocket_url)
    return server
