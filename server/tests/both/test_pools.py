"""Pools and flavors over the WebSocket, and what the log says of their stores."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from zaqarserver.storage.pooled.pools import masked

from .bench import Bench
from .service import CLIENT

OPTIONS = "[DEFAULT]\nadmin_mode = true\npooling = true\n"


class Talk:
    """Asks over one connection."""

    def __init__(self, bench: Bench) -> None:
        self._dialog = bench.dial()

    def __call__(self, action: str, roles: str = "admin", **body: Any) -> Any:
        headers = {"Client-ID": CLIENT, "X-Project-ID": "p", "X-Roles": roles}
        frame = {"action": action, "headers": headers, "body": body}
        self._dialog.send(json.dumps(frame).encode(), binary=False)
        answer = json.loads(self._dialog.receive()["text"])
        return answer["headers"]["status"], answer["body"]

    def close(self) -> None:
        self._dialog.close()


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Talk]:
    first = f"sqlite://{tmp_path}/first.db"
    bench = Bench(tmp_path, f"sqlite://{tmp_path}/home.db", OPTIONS, pools=[first])
    talk = Talk(bench)
    yield talk
    talk.close()
    bench.close()


def test_pools_and_flavors_are_told_without_links(ask: Talk, tmp_path: Path) -> None:
    uri = f"sqlite://{tmp_path}/ssd.db"
    status, _ = ask("pool_create", pool_name="ssd", uri=uri, weight=5)
    assert status == 201
    status, body = ask("pool_get", pool_name="ssd", detailed=True)
    assert (status, body) == (
        200,
        {"name": "ssd", "uri": uri, "weight": 5, "flavor": None, "options": {}},
    )
    assert ask("flavor_create", flavor_name="fast", pool_list=["ssd"])[0] == 201
    status, body = ask("flavor_list", roles="")
    assert (status, body) == (
        200,
        {"flavors": [{"name": "fast", "pool_list": ["ssd"]}]},
    )
    status, body = ask("pool_update", pool_name="ssd", weight=0)
    assert (status, body["weight"], body["flavor"]) == (200, 0, "fast")
    status, body = ask("pool_list")
    assert [pool["name"] for pool in body["pools"]] == ["pool0", "ssd"]
    assert ask("flavor_delete", flavor_name="fast")[0] == 204
    assert ask("pool_delete", pool_name="ssd")[0] == 204
    assert ask("pool_get", pool_name="ssd")[0] == 404


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("pool_list", {}),
        ("pool_get", {"pool_name": "pool0"}),
        ("pool_create", {"pool_name": "x", "uri": "sqlite://:memory:", "weight": 1}),
        ("pool_update", {"pool_name": "pool0", "weight": 0}),
        ("pool_delete", {"pool_name": "pool0"}),
        ("pool_drain", {"pool_name": "pool0"}),
        ("flavor_create", {"flavor_name": "f", "pool_list": ["pool0"]}),
        ("flavor_update", {"flavor_name": "f", "pool_list": ["pool0"]}),
        ("flavor_delete", {"flavor_name": "f"}),
    ],
)
def test_frames_of_others_than_administrators_are_refused(
    ask: Talk, action: str, body: dict[str, Any]
) -> None:
    assert ask(action, roles="member", **body)[0] == 403
    assert ask("pool_get", pool_name="pool0")[1]["weight"] == 1


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("redis://u:secret@host:1/0", "redis://***@host:1/0"),
        ("redis://:secret@host", "redis://***@host"),
        ("rediss://host/0", "rediss://host/0"),
        ("sqlite:////var/a@b.db", "sqlite:////var/a@b.db"),
    ],
)
def test_the_log_shows_no_password_of_a_pool(uri: str, shown: str) -> None:
    assert masked(uri) == shown


def test_a_pool_that_is_refused_leaves_no_password_in_the_log(
    ask: Talk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    uri = "redis://u:hunter2@127.0.0.1:1/0"
    assert ask("pool_create", pool_name="x", uri=uri, weight=1)[0] == 400
    assert "hunter2" not in caplog.text


def test_pools_and_flavors_have_the_limit_of_metadata(ask: Talk) -> None:
    large = {"note": "x" * 70_000}
    pool = {"uri": "sqlite://:memory:", "weight": 1, "options": large}
    status, body = ask("pool_create", pool_name="two", **pool)
    assert status == 400
    assert "65536" in body["error"]
    assert ask("pool_update", pool_name="pool0", options=large)[0] == 400
    names = [f"p{number:060}" for number in range(1200)]
    status, body = ask("flavor_create", flavor_name="f", pool_list=names)
    assert status == 400
    assert "65536" in body["error"]
