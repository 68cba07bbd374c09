"""The pytest plugin: fixtures for tests of programs that use the service.

Nothing of the server is imported before a test asks for a fixture.
"""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from zaqarserver.testing import MovableClock, Receiver, Server


@pytest.fixture(scope="session")
def zaqar_server() -> Iterator[Server]:
    """A server in this process, in memory, for all tests of the session."""
    from zaqarserver.testing import Server  # noqa: PLC0415

    with Server() as server:
        yield server


@pytest.fixture
def zaqar_clock(zaqar_server: Server) -> MovableClock:
    """The server's clock: ``zaqar_clock.advance(3600)``."""
    return zaqar_server.clock


@pytest.fixture
def zaqar(zaqar_server: Server) -> Iterator[Any]:
    """A ``zaqarclient.Client`` in a project of its own."""
    # The client is another distribution, which the server's code does not know.
    client = importlib.import_module("zaqarclient").Client
    options = {"os_project_id": uuid.uuid4().hex}
    conf = {"auth_opts": {"backend": "noauth", "options": options}}
    with client(zaqar_server.url, conf=conf) as made:
        yield made


@pytest.fixture
def zaqar_queue(zaqar: Any) -> Any:
    """A new queue of :func:`zaqar`."""
    return zaqar.queue(f"queue-{uuid.uuid4().hex}")


@pytest.fixture
def zaqar_receiver(zaqar_server: Server) -> Iterator[Receiver]:
    """A webhook that collects and verifies: ``zaqar_receiver.url``, ``.received``."""
    from zaqarserver.testing import Receiver  # noqa: PLC0415

    with Receiver(zaqar_server.signing_key) as receiver:
        yield receiver
