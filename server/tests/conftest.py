"""An in-process server with a clock that tests move."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg
from page_sizes import LOOKS, small
from redis_service import RedisServer
from rest_callers import Answer, ConnectionCaller, RestCaller
from zaqarserver import config
from zaqarserver.clock import Clock
from zaqarserver.common.metrics import Metrics
from zaqarserver.http import RestEdge
from zaqarserver.identity.access import RulePolicy
from zaqarserver.identity.auth import NoAuth
from zaqarserver.operations.context import Server
from zaqarserver.operations.limits import quotas_of
from zaqarserver.operations.settings import Settings
from zaqarserver.operations.signed_urls import Signer
from zaqarserver.stages.pipeline import load_pipeline
from zaqarserver.storage.sqlite import SQLiteStorage

CLIENT = "3381af922b9e11e3b19171861300734c"
OTHER_CLIENT = "11111111-2222-3333-4444-555555555555"
PROJECT = "4f2a"


@functools.cache
def _default_conf() -> cfg.ConfigOpts:
    """Return the configuration of an empty file: tests share it, for speed."""
    return config.load([])


@functools.cache
def _default_policy() -> RulePolicy:
    return RulePolicy(_default_conf())


class Api:
    """A server in this process; ``now`` is its clock."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        settings: Settings,
        caller: type[RestCaller] = ConnectionCaller,
    ) -> None:
        stages = load_pipeline(conf.storage.message_pipeline, conf.transport)
        self.now = 1_000_000.0
        self.loop = asyncio.new_event_loop()
        self.storage = SQLiteStorage.from_uri("sqlite://:memory:", {})
        self.run(self.storage.open())
        self.server = Server(
            settings,
            self.storage,
            _default_policy() if conf is _default_conf() else RulePolicy(conf),
            stages=stages,
            signer=Signer(conf.signed_url.secret_key),
            quotas=quotas_of(conf),
            clock=Clock(*[lambda: self.now] * 2),
        )
        self._caller = caller(RestEdge(self.server, NoAuth(), Metrics()))

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    def close(self) -> None:
        self.run(self.storage.close())
        self.loop.close()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        project: str | None = PROJECT,
        client: str | None = CLIENT,
    ) -> Answer:
        """Send one request; ``body`` as JSON, ``raw`` as it is."""
        sent = {"Client-ID": client, "X-Project-ID": project, **(headers or {})}
        given = {
            name: one.encode("latin-1") for name, one in sent.items() if one is not None
        }
        data = json.dumps(body).encode() if body is not None else raw
        return self.run(self._caller.ask(method, path, given, data))

    def get(self, path: str, **kwargs: Any) -> Answer:
        return self.request("GET", path, **kwargs)

    def put(self, path: str, body: Any = None, **kwargs: Any) -> Answer:
        return self.request("PUT", path, body, **kwargs)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> Answer:
        return self.request("POST", path, body, **kwargs)

    def patch(self, path: str, body: Any = None, **kwargs: Any) -> Answer:
        return self.request("PATCH", path, body, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Answer:
        return self.request("DELETE", path, **kwargs)

    def post_bodies(self, queue: str, *bodies: Any, **kwargs: Any) -> list[str]:
        """Post messages of these bodies; return their ids."""
        ttl = kwargs.pop("ttl", 600)
        answer = self.post(
            f"/v2/queues/{queue}/messages",
            {"messages": [{"body": body, "ttl": ttl} for body in bodies]},
            **kwargs,
        )
        assert answer.status == 201, answer.content
        return [href.rsplit("/", 1)[1] for href in answer.json["resources"]]


@pytest.fixture
def small_pages() -> Iterator[None]:
    """Make all pages and steps small, and let SQLite reverse what has no order."""
    with small():
        yield


@pytest.fixture
def small_pages_of_model() -> Iterator[None]:
    """Do the same, with the full number of dead rows that a claim may read."""
    with small(*LOOKS):
        yield


@pytest.fixture(params=["", "small"])
def sizes(request: pytest.FixtureRequest) -> None:
    """Run a test twice: as it is, and with ``small_pages``."""
    if request.param:
        request.getfixturevalue("small_pages")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis or Valkey server with a log; use a prefix, or a project, of your own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "yes")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def caller() -> type[RestCaller]:
    """How requests reach the servers of ``make_api``."""
    return ConnectionCaller


@pytest.fixture
def make_api(tmp_path: Path, caller: type[RestCaller]) -> Iterator[Callable[..., Api]]:
    """Make in-process servers with these settings, or lines of a configuration."""
    made: list[Api] = []

    def make(options: str = "", **settings: Any) -> Api:
        conf = _default_conf()
        if options:
            path = tmp_path / "zaqarserver.conf"
            path.write_text(options)
            conf = config.load(["--config-file", str(path)])
        api = Api(conf, Settings(**settings), caller)
        made.append(api)
        return api

    yield make
    for api in made:
        api.close()


@pytest.fixture(scope="module")
def module_api() -> Iterator[Api]:
    """An in-process server that a module's tests share."""
    api = Api(_default_conf(), Settings())
    yield api
    api.close()


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    """An in-process server with the default settings."""
    return make_api()
