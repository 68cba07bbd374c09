"""Commands on pools and flavors against a server that keeps its queues in pools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.tests.functional.cli.conftest import Run


@pytest.fixture(scope="module")
def server(server_factory: Callable[..., Any]) -> Any:
    """A server with pools; the first test finds none."""
    return server_factory(options="admin_mode = true\npooling = true")


@pytest.fixture
def admin(zaqar: Run, environment: dict[str, str], monkeypatch: Any) -> Run:
    """The program in the role of an administrator."""
    monkeypatch.setenv("OS_QUEUES_ROLES", "admin")
    assert environment
    return zaqar


def test_pools_and_flavors_from_their_making_to_their_end(
    admin: Run, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/ssd.db"
    assert admin("pool", "list", "-f", "json").data == []
    made = admin("pool", "create", "ssd", uri, "100", "-f", "json")
    pool = {"Name": "ssd", "Weight": 100, "URI": uri, "Flavor": None, "Options": {}}
    assert (made.data, made.err) == (pool, "")
    flavor = admin("flavor", "create", "fast", "--pool-list", "ssd", "-f", "json")
    assert flavor.data["Name"] == "fast"
    assert flavor.data["Pool list"] == ["ssd"]
    assert "FIFO" in flavor.data["Capabilities"]
    shown = admin("flavor", "show", "fast", "-f", "json")
    assert shown.data == flavor.data
    assert [row["Name"] for row in admin("flavor", "list", "-f", "json").data] == [
        "fast"
    ]
    words = ["pool", "update", "ssd", "--pool-weight", "0", "-f", "json"]
    changed = admin(*words)
    assert changed.data["Weight"] == 0
    assert changed.data["Options"] == {}
    assert admin("pool", "show", "ssd", "-f", "json").data == changed.data
    detailed = admin("pool", "list", "--detailed", "-f", "json").data
    assert detailed == [changed.data]
    words = ["flavor", "update", "fast", "--pool-list", "ssd", "-f", "json"]
    assert admin(*words).data["Pool_list"] == ["ssd"]
    for _ in range(2):  # the second finds nothing, which is no error
        assert admin("flavor", "delete", "fast") == (0, "", "")
        assert admin("pool", "delete", "ssd") == (0, "", "")
    assert admin("pool", "list", "-f", "json").data == []


def test_a_pool_is_drained_into_another_and_deleted(admin: Run, tmp_path: Path) -> None:
    for name in ("old", "new"):
        weight = "100" if name == "old" else "0"
        admin("pool", "create", name, f"sqlite:///{tmp_path}/{name}.db", weight)
    admin("flavor", "create", "moving", "--pool-list", "old,new")
    admin("queue", "create", "orders", "--property", "_flavor=moving")
    assert admin("message", "post", "orders", "--text", "kept").status == 0
    assert admin("pool", "update", "new", "--pool-weight", "1").status == 0
    refused = admin("pool", "delete", "old")
    assert (refused.status, refused.out) == (4, "")
    done = admin("pool", "drain", "old", "--wait", "-f", "json")
    state = {"Queues": 0, "Moved": 1, "Running": False, "Error": None}
    assert (done.status, done.data) == (0, {"Name": "old", **state})
    assert admin("pool", "delete", "old") == (0, "", "")
    words = ["message", "pop", "orders", "-f", "value", "-c", "Body"]
    assert admin(*words) == (0, "kept\n", "")
    assert admin("flavor", "delete", "moving").status == 0
    refused = admin("pool", "delete", "new")
    assert (refused.status, refused.out) == (4, "")
    assert admin("pool", "delete", "new", "--force") == (0, "", "")


def test_pools_are_for_administrators(zaqar: Run) -> None:
    done = zaqar("pool", "list")
    assert (done.status, done.out) == (4, "")
    assert "The policy rule pools:get_all does not allow this." in done.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["pool", "create", "p", "gopher://x", "1"], "gopher"),
        (["flavor", "create", "f", "--pool-list", "nope"], "nope"),
        (["pool", "show", "nope"], "Pool nope does not exist"),
        (["flavor", "show", "nope"], "Flavor nope does not exist"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    admin: Run, words: list[str], text: str
) -> None:
    done = admin(*words)
    assert (done.status in {1, 3}, done.out) == (True, "")
    assert text in done.err
    assert len(done.err.splitlines()) == 1
