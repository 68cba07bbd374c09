"""The service: REST, JSON frames and MessagePack frames, on three stores."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .bench import Bench
from .over_frames import OverFrames
from .over_rest import OverRest
from .service import Service

KEYS = """
[transport]
message_encryption_key = 0123456789abcdef0123456789abcdef
[signed_url]
secret_key = s3cret
"""

TRANSPORTS: dict[str, Callable[[Bench, str], Service]] = {
    "rest": OverRest,
    "json": lambda bench, project: OverFrames(bench, project, binary=False),
    "msgpack": lambda bench, project: OverFrames(bench, project, binary=True),
}


#: Where each case is tried: over each transport, and on each store. A store does not
#: know who asks, so the other pairs, but one, are only with ``--thorough``.
PAIRS = {("memory", "msgpack"), ("pools", "json"), ("redis", "rest")}
NEVER = {("redis", "msgpack")}


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out pairs of a store and a transport."""
    left_out: list[pytest.Item] = []
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        pair = params.get("bench"), params.get("transport")
        thorough = config.getoption("thorough")
        if pair in NEVER or (None not in pair and pair not in PAIRS and not thorough):
            left_out.append(item)
    config.hook.pytest_deselected(items=left_out)
    chosen = set(left_out)
    items[:] = [item for item in items if item not in chosen]


@pytest.fixture(scope="session", params=["memory", "pools", "redis"])
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """A server on each kind of store; each test acts in projects of its own.

    With pools, the catalogue and the pools are files.
    """
    directory = tmp_path_factory.mktemp("bench")
    if request.param == "redis":
        uri = request.getfixturevalue("redis_server").uri + "?prefix=both"
    else:
        place = ":memory:" if request.param == "memory" else f"/{directory}/zaqar.db"
        uri = f"sqlite://{place}"
    pools = [f"sqlite:///{directory}/{name}.db" for name in ("a", "b", "c")]
    made = Bench(directory, uri, KEYS, pools=pools if request.param == "pools" else ())
    yield made
    made.close()


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> Callable[[Bench, str], Service]:
    """What makes a service over one transport."""
    return TRANSPORTS[request.param]


@pytest.fixture
def service(
    bench: Bench, transport: Callable[[Bench, str], Service]
) -> Iterator[Service]:
    """The service over each transport, on each store, in a new project."""
    project = uuid.uuid4().hex
    bench.flavor(project)
    made = transport(bench, project)
    yield made
    made.close()


@pytest.fixture
def make_service(
    transport: Callable[[Bench, str], Service], tmp_path: Path
) -> Iterator[Callable[..., Service]]:
    """Make services of their own with lines of configuration, in memory."""
    made: list[Any] = []

    def make(options: str = "") -> Service:
        bench = Bench(tmp_path, "sqlite://:memory:", options)
        made.insert(0, bench)
        service = transport(bench, uuid.uuid4().hex)
        made.insert(0, service)
        return service

    yield make
    for one in made:
        one.close()
