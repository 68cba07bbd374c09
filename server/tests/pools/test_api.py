"""Pools and flavors over REST: ``rest-v2`` 2.12 and 2.13, a real server process."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ADMIN = {"X-Roles": "admin"}
CLIENT = "3381af922b9e11e3b19171861300734c"
OPTIONS = "admin_mode = true\npooling = true\n"


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        content = response.read()
        self.json: Any = json.loads(content) if content else None


class Caller:
    """Calls one server, as an administrator unless told otherwise."""

    def __init__(self, port: int, directory: Path) -> None:
        self._port = port
        self.directory = directory

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        project: str = "p",
        headers: Mapping[str, str] = ADMIN,
        kind: str = "application/json",
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        sent = {
            "Client-ID": CLIENT,
            "X-Project-ID": project,
            "Content-Type": kind,
            **headers,
        }
        connection.request(
            method, f"/v2{path}", None if body is None else json.dumps(body), sent
        )
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    def uri(self, name: str) -> str:
        return f"sqlite://{self.directory}/{name}.db"

    def pool(self, name: str, weight: int = 1, **members: Any) -> Answer:
        body = {"uri": self.uri(name), "weight": weight, **members}
        return self("PUT", f"/pools/{name}", body)

    def clear(self) -> None:
        """Remove all flavors, queues and pools."""
        for flavor in self("GET", "/flavors?limit=20").json["flavors"]:
            self("DELETE", f"/flavors/{flavor['name']}")
        for pool in self("GET", "/pools?limit=20").json["pools"]:
            self("PATCH", f"/pools/{pool['name']}", {"flavor": ""})
            assert self("DELETE", f"/pools/{pool['name']}?force=true").status == 204, (
                pool
            )


@pytest.fixture(scope="module")
def process(server_factory: Callable[..., Any]) -> Any:
    return server_factory(options=OPTIONS)


@pytest.fixture
def call(process: Any, tmp_path: Path) -> Iterator[Caller]:
    caller = Caller(process.port, tmp_path)
    yield caller
    caller.clear()


# -- pools ------------------------------------------------------------------------


def test_a_pool_is_registered_shown_and_removed(call: Caller) -> None:
    made = call.pool("ssd", 80)
    assert (made.status, made.json) == (201, None)
    assert made.headers["Location"] == "/v2/pools/ssd"
    shown = call("GET", "/pools/ssd")
    assert shown.json == {
        "name": "ssd",
        "href": "/v2/pools/ssd",
        "uri": call.uri("ssd"),
        "weight": 80,
        "flavor": None,
    }
    assert call("DELETE", "/pools/ssd").status == 204
    assert call("DELETE", "/pools/ssd").status == 204
    assert call("GET", "/pools/ssd").status == 404


def test_putting_a_pool_again_replaces_it(call: Caller) -> None:
    call.pool("ssd", 80, options={"a": 1})
    assert call.pool("ssd", 0).status == 201
    shown = call("GET", "/pools/ssd?detailed=true").json
    assert (shown["weight"], shown["options"]) == (0, {})


def test_pools_are_listed_by_name_in_pages_to_the_end(call: Caller) -> None:
    for name in ("c", "a", "b"):
        call.pool(name)
    first = call("GET", "/pools?limit=2&detailed=true")
    assert [(p["name"], p["options"]) for p in first.json["pools"]] == [
        ("a", {}),
        ("b", {}),
    ]
    (link,) = first.json["links"]
    assert link["rel"] == "next"
    second = call("GET", link["href"].removeprefix("/v2"))
    assert [pool["name"] for pool in second.json["pools"]] == ["c"]
    last = call("GET", second.json["links"][0]["href"].removeprefix("/v2"))
    assert last.json == {"pools": [], "links": []}


@pytest.mark.parametrize("query", ["", "?limit=2&detailed=yes", "?a=%2Fb&marker="])
def test_a_list_of_pools_says_where_it_is_as_it_was_asked(
    call: Caller, query: str
) -> None:
    answer = call("GET", f"/pools{query}")
    assert answer.headers["Content-Location"] == f"/v2/pools{query}"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"uri": 1}, "uri"),
        ({"uri": "x" * 256}, "uri"),
        ({"uri": "nowhere"}, "uri"),
        ({"uri": "unknown://host"}, "uri"),
        ({"uri": "sqlite:///proc/none/store.db"}, "uri"),
        ({"weight": -1}, "weight"),
        ({"weight": 2**32}, "weight"),
        ({"weight": "1"}, "weight"),
        ({"weight": True}, "weight"),
        ({"weight": None}, "weight"),
        ({"flavor": 1}, "flavor"),
        ({"flavor": "x" * 256}, "flavor"),
        ({"options": []}, "options"),
        ({"options": None}, "options"),
    ],
)
def test_a_member_of_a_wrong_kind_is_refused_by_name(
    call: Caller, change: dict[str, Any], named: str
) -> None:
    good = {"uri": call.uri("x"), "weight": 1}
    made = call("PUT", "/pools/x", {**good, **change})
    assert made.status == 400
    assert named in made.json["description"]
    assert call("GET", "/pools/x").status == 404
    call.pool("x")
    changed = call("PATCH", "/pools/x", change)
    assert changed.status == 400
    assert named in changed.json["description"]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"uri": "sqlite://:memory:"},
        {"weight": 1},
        {"uri": "sqlite://:memory:", "weight": 1, "other": 1},
    ],
)
def test_a_pool_that_is_not_described_is_refused(call: Caller, body: Any) -> None:
    assert call("PUT", "/pools/x", body).status == 400
    assert call("GET", "/pools/x").status == 404


@pytest.mark.parametrize("name", ["a%20b", "x" * 65, "..%2F", "a%0A"])
def test_a_pool_of_a_bad_name_is_refused(call: Caller, name: str) -> None:
    assert call("PUT", f"/pools/{name}", {}).status in (400, 404)


def test_two_pools_cannot_have_one_uri(call: Caller) -> None:
    call.pool("a")
    made = call("PUT", "/pools/b", {"uri": call.uri("a"), "weight": 1})
    assert made.status == 409
    assert "a" in made.json["description"]
    call.pool("b")
    assert call("PATCH", "/pools/b", {"uri": call.uri("a")}).status == 409


def test_the_servers_own_store_cannot_be_a_pool(call: Caller, process: Any) -> None:
    body = {"uri": f"sqlite:///{process.store}", "weight": 1}
    assert call("PUT", "/pools/own", body).status == 409


def test_a_patch_changes_what_it_names(call: Caller) -> None:
    call.pool("a", 5, options={"x": 1})
    changed = call("PATCH", "/pools/a", {"weight": 0, "flavor": "fast", "unknown": [1]})
    assert changed.status == 200
    assert changed.json == {
        "name": "a",
        "href": "/v2/pools/a",
        "uri": call.uri("a"),
        "weight": 0,
        "flavor": "fast",
    }
    assert call("GET", "/pools/a?detailed=1").json["options"] == {"x": 1}
    assert call("PATCH", "/pools/a", {"flavor": ""}).json["flavor"] is None


@pytest.mark.parametrize(
    "body", [None, [], {}, {"other": 1}, {"weight": 1, "additionalProperties": 1}]
)
def test_a_patch_of_nothing_is_refused(call: Caller, body: Any) -> None:
    call.pool("a")
    assert call("PATCH", "/pools/a", body).status == 400


def test_a_patch_of_a_pool_that_is_not_there_is_404(call: Caller) -> None:
    assert call("PATCH", "/pools/none", {"weight": 1}).status == 404


def test_a_pool_with_other_capabilities_cannot_join_a_flavor(call: Caller) -> None:
    call.pool("a", flavor="fast")
    memory = {"uri": "sqlite://:memory:", "weight": 1}
    refused = call("PUT", "/pools/m", {**memory, "flavor": "fast"})
    assert refused.status == 400
    assert "DURABILITY" in refused.json["description"]
    assert call("PUT", "/pools/m", memory).status == 201
    assert call("PATCH", "/pools/m", {"flavor": "fast"}).status == 400
    assert call("PUT", "/flavors/both", {"pool_list": ["a", "m"]}).status == 400


def test_the_last_pool_of_a_flavor_cannot_be_removed(call: Caller) -> None:
    call.pool("a")
    call.pool("b")
    call("PUT", "/flavors/fast", {"pool_list": ["a", "b"]})
    assert call("DELETE", "/pools/a").status == 204
    refused = call("DELETE", "/pools/b")
    assert refused.status == 403
    assert "fast" in refused.json["description"]
    call("DELETE", "/flavors/fast")
    assert call("DELETE", "/pools/b").status == 204


def test_a_pool_with_queues_is_not_removed_by_accident(call: Caller) -> None:
    call.pool("a")
    assert call("PUT", "/queues/q").status == 201
    refused = call("DELETE", "/pools/a")
    assert refused.status == 403
    assert "1 queue" in refused.json["description"]
    call("DELETE", "/queues/q")
    assert call("DELETE", "/pools/a").status == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/pools"),
        ("GET", "/pools/a"),
        ("PUT", "/pools/a"),
        ("PATCH", "/pools/a"),
        ("DELETE", "/pools/a"),
        ("PUT", "/flavors/f"),
        ("PATCH", "/flavors/f"),
        ("DELETE", "/flavors/f"),
    ],
)
def test_only_administrators_see_pools_and_change_flavors(
    call: Caller, method: str, path: str
) -> None:
    body = {"uri": call.uri("a"), "weight": 1} if method in ("PUT", "PATCH") else None
    assert call(method, path, body, headers={}).status == 403


# -- flavors ----------------------------------------------------------------------


def test_a_flavor_is_made_shown_and_removed(call: Caller) -> None:
    call.pool("b")
    call.pool("a")
    made = call("PUT", "/flavors/fast", {"pool_list": ["b", "a"], "capabilities": {}})
    assert (made.status, made.headers["Location"]) == (201, "/v2/flavors/fast")
    shown = call("GET", "/flavors/fast", headers={})
    assert shown.json == {
        "name": "fast",
        "href": "/v2/flavors/fast",
        "pool_list": ["a", "b"],
        "capabilities": ["FIFO", "CLAIMS", "DURABILITY", "AOD", "HIGH_THROUGHPUT"],
    }
    assert call("GET", "/pools/a").json["flavor"] == "fast"
    assert call("DELETE", "/flavors/fast").status == 204
    assert call("DELETE", "/flavors/fast").status == 204
    assert call("GET", "/flavors/fast").status == 404
    assert call("GET", "/pools/a").json["flavor"] is None


def test_flavors_are_listed_by_name_without_capabilities_unless_asked(
    call: Caller,
) -> None:
    call.pool("a")
    call.pool("b")
    call("PUT", "/flavors/y", {"pool_list": ["a"]})
    call("PUT", "/flavors/x", {"pool_list": ["b"]})
    first = call("GET", "/flavors?limit=1", headers={}).json
    assert first["flavors"] == [
        {"name": "x", "href": "/v2/flavors/x", "pool_list": ["b"]}
    ]
    second = call("GET", first["links"][0]["href"].removeprefix("/v2")).json
    assert [one["name"] for one in second["flavors"]] == ["y"]
    (shown, _) = call("GET", "/flavors?detailed=true").json["flavors"]
    assert "DURABILITY" in shown["capabilities"]


def test_a_flavor_without_pools_is_listed_without_them(call: Caller) -> None:
    call.pool("a")
    call("PUT", "/flavors/x", {"pool_list": ["a"]})
    call("PUT", "/flavors/y", {"pool_list": ["a"]})
    listed = call("GET", "/flavors").json["flavors"]
    assert listed[0] == {"name": "x", "href": "/v2/flavors/x"}


def test_flavors_belong_to_their_project(call: Caller) -> None:
    call.pool("a")
    call("PUT", "/flavors/fast", {"pool_list": ["a"]}, project="mine")
    assert call("GET", "/flavors/fast", project="theirs").status == 404
    assert call("GET", "/flavors", project="theirs").json["flavors"] == []
    call("DELETE", "/flavors/fast", project="theirs")
    assert call("GET", "/flavors/fast", project="mine").json["pool_list"] == ["a"]
    refused = call("PUT", "/queues/q", {"_flavor": "fast"}, project="theirs")
    assert refused.status == 400
    call("DELETE", "/flavors/fast", project="mine")


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"pool_list": []},
        {"pool_list": "a"},
        {"pool_list": [1]},
        {"pool_list": ["a"], "capabilities": []},
        {"pool_list": ["a"], "other": 1},
    ],
)
def test_a_flavor_that_is_not_described_is_refused(call: Caller, body: Any) -> None:
    call.pool("a")
    assert call("PUT", "/flavors/f", body).status == 400
    assert call("GET", "/flavors/f").status == 404


def test_a_flavor_of_a_missing_pool_is_refused_in_the_known_words(
    call: Caller,
) -> None:
    made = call("PUT", "/flavors/f", {"pool_list": ["none"]})
    assert made.status == 400
    assert made.json == {
        "title": "Unable to create",
        "description": (
            "Flavor f could not be created, error:Pool none does not exist"
        ),
    }


def test_a_patch_changes_the_pools_of_a_flavor(call: Caller) -> None:
    call.pool("a")
    call.pool("b")
    call("PUT", "/flavors/f", {"pool_list": ["a"]})
    changed = call("PATCH", "/flavors/f", {"pool_list": ["b"], "other": 1})
    assert (changed.status, changed.json["pool_list"]) == (200, ["b"])
    assert call("GET", "/pools/a").json["flavor"] is None
    assert call("PATCH", "/flavors/f", {"capabilities": {}}).status == 400
    assert call("PATCH", "/flavors/f", {"pool_list": ["none"]}).status == 400
    assert call("PATCH", "/flavors/none", {"pool_list": ["a"]}).status == 404
    assert call("GET", "/flavors/f").json["pool_list"] == ["b"]


# -- queues -----------------------------------------------------------------------


def test_a_server_without_pools_has_no_queues(call: Caller) -> None:
    assert call("PUT", "/queues/q").status == 503
    posted = call("POST", "/queues/q/messages", {"messages": [{"body": 1}]})
    assert posted.status == 503
    assert posted.headers["Retry-After"]
    assert call("GET", "/queues").json == {"queues": [], "links": []}
    assert call("GET", "/queues/q").status == 200
    stats = call("GET", "/queues/q/stats").json
    assert stats == {"messages": {"claimed": 0, "free": 0, "total": 0}}
    assert call("GET", "/queues/q/messages").json == {"messages": [], "links": []}
    assert call("GET", "/queues/q/messages/x").status == 404
    assert call("DELETE", "/queues/q/messages/x").status == 204
    assert call("DELETE", "/queues/q").status == 204
    assert call("POST", "/queues/q/claims").status == 204
    assert call("GET", "/queues/q/claims/x").status == 404
    assert call("PATCH", "/queues/q/claims/x", {}).status == 404
    subscribed = call("POST", "/queues/q/subscriptions", {"subscriber": "http://h/"})
    assert subscribed.status == 503
    assert call("GET", "/queues/q/subscriptions").json["subscriptions"] == []
    assert call("GET", "/queues/q/subscriptions/x").status == 404
    changed = call("PATCH", "/queues/q/subscriptions/x", {"ttl": 60})
    assert changed.status == 404


def test_a_queue_of_a_flavor_is_in_a_pool_of_it(call: Caller) -> None:
    call.pool("plain")
    call.pool("ssd")
    call("PUT", "/flavors/fast", {"pool_list": ["ssd"]})
    for number in range(8):
        assert call("PUT", f"/queues/f{number}", {"_flavor": "fast"}).status == 201
        assert call("PUT", f"/queues/p{number}").status == 201
    refused = [call("DELETE", f"/pools/{name}").json for name in ("plain", "ssd")]
    assert "8 queues" in refused[0]["description"]
    call("DELETE", "/flavors/fast")
    assert "8 queues" in call("DELETE", "/pools/ssd").json["description"]
    names = [queue["name"] for queue in call("GET", "/queues?limit=20").json["queues"]]
    assert names == sorted([f"{kind}{n}" for kind in "fp" for n in range(8)])


def test_a_flavor_that_is_not_there_is_refused(call: Caller) -> None:
    call.pool("a")
    assert call("PUT", "/queues/q", {"_flavor": "none"}).status == 400
    assert call("PUT", "/queues/q").status == 201
    patch = [{"op": "add", "path": "/metadata/_flavor", "value": "none"}]
    changed = call(
        "PATCH",
        "/queues/q",
        patch,
        kind="application/openstack-messaging-v2.0-json-patch",
    )
    assert changed.status == 404


def test_a_pool_of_weight_0_gets_no_queue(call: Caller) -> None:
    call.pool("empty", 0)
    assert call("PUT", "/queues/q").status == 503
    call.pool("full", 1)
    for number in range(8):
        assert call("PUT", f"/queues/q{number}").status == 201
    assert call("DELETE", "/pools/empty").status == 204


def test_health_is_told_pool_by_pool(call: Caller) -> None:
    call.pool("a")
    call.pool("b")
    found = call("GET", "/health")
    assert found.status == 200
    assert found.json["catalog_reachable"] is True
    assert set(found.json) == {"catalog_reachable", "a", "b"}
    assert found.json["a"]["storage_reachable"] is True
    assert found.json["a"]["operation_status"]["delete_queue"]["succeeded"] is True


@pytest.mark.parametrize("options", ["admin_mode = true\n", "pooling = true\n"])
def test_the_routes_need_admin_mode_and_pooling(
    server_factory: Callable[..., Any], tmp_path: Path, options: str
) -> None:
    process = server_factory(options=options)
    call = Caller(process.port, tmp_path)
    for path in ("/pools", "/pools/a", "/flavors", "/flavors/a"):
        found = call("GET", path)
        assert (found.status, found.json) == (404, {"title": "404 Not Found"})
    process.stop()
