"""Requests that wait for messages (``extensions`` section 1), over real connections."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection, connect
from zaqarserver.testing.server import InProcessServer

CLIENT = "3381af922b9e11e3b19171861300734c"
OTHER = "11111111222233334444555555555555"
HEADERS = {"Client-ID": CLIENT, "X-Project-ID": "waiting"}
PATIENCE = 15.0
LEASES = {"transport": {"min_claim_ttl": 1, "min_message_ttl": 1}}


@pytest.fixture(scope="module", params=["memory", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[InProcessServer]:
    uri = "sqlite://:memory:"
    if request.param == "redis":
        redis = request.getfixturevalue("redis_server")
        uri = redis.uri + "?prefix=waiting"
    with InProcessServer({**LEASES, "storage": {"uri": uri}}) as made:
        yield made


@pytest.fixture
def queue(server: InProcessServer, request: pytest.FixtureRequest) -> str:
    name = "".join(c for c in request.node.name if c.isalnum())[:60]
    return f"{server.url}/v2/queues/{name}"


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as made:
        yield made


def ask(method: str, url: str, body: Any = None, **headers: str) -> Any:
    sent = {**HEADERS, **headers}
    return requests.request(method, url, json=body, headers=sent, timeout=PATIENCE)


def post(queue: str, *bodies: Any, **fields: Any) -> None:
    messages = [{"body": body, "ttl": 600, **fields} for body in bodies]
    answer = ask("POST", f"{queue}/messages", {"messages": messages})
    assert answer.status_code == 201, answer.text


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def used(queue: str) -> int:
    url = queue.partition("/v2/")[0] + "/v2/quotas"
    return int(ask("GET", url).json()["quotas"]["waiters"]["used"])


def waiting(
    pool: ThreadPoolExecutor, queue: str, path: str, method: str, count: int = 1
) -> list[Future[Any]]:
    """Have some requests wait, one after the other."""
    made = []
    for _ in range(count):
        before = used(queue)
        made.append(pool.submit(ask, method, queue + path, **{"Client-ID": OTHER}))
        until(lambda before=before: used(queue) > before)
    return made


def free(queue: str) -> list[Any]:
    answer = ask("GET", f"{queue}/messages?echo=true").json()
    return [one["body"] for one in answer["messages"]]


CLAIM = ("/claims?limit=5&wait=20", "POST")
LIST = ("/messages?wait=20", "GET")
POP = ("/messages?pop=5&wait=20", "DELETE")


@pytest.mark.parametrize(("path", "method"), [CLAIM, LIST, POP])
def test_a_post_answers_who_waits(
    queue: str, pool: ThreadPoolExecutor, path: str, method: str
) -> None:
    (one,) = waiting(pool, queue, path, method)
    post(queue, "tea")
    assert [m["body"] for m in one.result().json()["messages"]] == ["tea"]
    assert used(queue) == 0


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/claims?wait=1", "POST", 204),
        ("/messages?wait=1", "GET", 200),
        ("/messages?pop=1&wait=1", "DELETE", 200),
    ],
)
def test_the_end_of_the_time_is_the_empty_answer(
    queue: str, path: str, method: str, status: int
) -> None:
    began = time.monotonic()
    answer = ask(method, queue + path)
    assert 0.9 < time.monotonic() - began < 10
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["messages"] == []
        assert answer.json().get("links", []) == []


def test_a_list_that_waited_in_vain_goes_on_at_its_marker(queue: str) -> None:
    post(queue, "tea")
    (message,) = ask("GET", f"{queue}/messages?echo=true").json()["messages"]
    marker = message["id"] if "id" in message else message["href"].rpartition("/")[2]
    answer = ask("GET", f"{queue}/messages?echo=true&wait=1&marker={marker}").json()
    assert answer["messages"] == []
    (link,) = answer["links"]
    assert link["rel"] == "next"
    assert f"marker={marker}" in link["href"]


def test_one_message_answers_the_first_claimer_only(
    queue: str, pool: ThreadPoolExecutor
) -> None:
    claims = waiting(pool, queue, "/claims?wait=20", "POST", 4)
    for number in range(3):
        post(queue, number)
        answer = claims[number].result()
        assert [m["body"] for m in answer.json()["messages"]] == [number]
        assert used(queue) == 3 - number
    post(queue, 3)
    assert claims[3].result().status_code == 201


def test_a_post_of_many_wakes_one_claimer_after_the_other(
    queue: str, pool: ThreadPoolExecutor
) -> None:
    claims = waiting(pool, queue, "/claims?limit=2&wait=20", "POST", 3)
    post(queue, *range(6))
    found = [[m["body"] for m in one.result().json()["messages"]] for one in claims]
    assert found == [[0, 1], [2, 3], [4, 5]]


def test_all_who_list_are_answered(queue: str, pool: ThreadPoolExecutor) -> None:
    lists = waiting(pool, queue, *LIST, 5)
    post(queue, "tea")
    assert all(one.result().json()["messages"] for one in lists)


def test_the_end_of_a_claim_answers(queue: str, pool: ThreadPoolExecutor) -> None:
    post(queue, "tea")
    assert ask("POST", f"{queue}/claims", {"ttl": 1}).status_code == 201
    assert ask("POST", f"{queue}/claims?wait=20").status_code == 201


def test_a_claim_that_is_released_answers(queue: str, pool: ThreadPoolExecutor) -> None:
    post(queue, "tea")
    held = ask("POST", f"{queue}/claims").headers["Location"]
    (one,) = waiting(pool, queue, *CLAIM)
    ask("DELETE", queue.partition("/v2/")[0] + held)
    assert one.result().status_code == 201


def test_a_claim_that_is_shortened_answers(
    queue: str, pool: ThreadPoolExecutor
) -> None:
    post(queue, "tea")
    held = ask("POST", f"{queue}/claims", {"ttl": 600}).headers["Location"]
    (one,) = waiting(pool, queue, *CLAIM)
    ask("PATCH", queue.partition("/v2/")[0] + held, {"ttl": 1})
    assert one.result().status_code == 201


def test_a_delay_that_ends_answers(queue: str, pool: ThreadPoolExecutor) -> None:
    ask("PUT", queue, {"_default_message_delay": 1})
    (one,) = waiting(pool, queue, *POP)
    post(queue, "tea")
    assert len(one.result().json()["messages"]) == 1


def test_the_clock_of_a_test_answers(
    server: InProcessServer, queue: str, pool: ThreadPoolExecutor
) -> None:
    post(queue, "tea")
    assert ask("POST", f"{queue}/claims", {"ttl": 600}).status_code == 201
    (one,) = waiting(pool, queue, *CLAIM)
    server.clock.advance(601)
    answer = one.result()
    assert answer.status_code == 201


def test_what_arrives_in_a_dead_letter_queue_answers(
    queue: str, pool: ThreadPoolExecutor
) -> None:
    target = queue[:-1] + "DLQ"
    name = target.rpartition("/")[2]
    ask("PUT", target)
    ask("PUT", queue, {"_max_claim_count": 1, "_dead_letter_queue": name})
    post(queue, "tea")
    (one,) = waiting(pool, target, *POP)
    held = ask("POST", f"{queue}/claims").headers["Location"]
    ask("DELETE", queue.partition("/v2/")[0] + held)
    assert ask("POST", f"{queue}/claims").status_code == 204
    assert [m["body"] for m in one.result().json()["messages"]] == ["tea"]


# -- peers that are gone ------------------------------------------------------------


def raw(queue: str, path: str, method: str) -> socket.socket:
    _, _, rest = queue.partition("//")
    host, _, path = (rest + path).partition("/")
    name, _, port = host.partition(":")
    made = socket.create_connection((name, int(port)))
    head = f"{method} /{path} HTTP/1.1\r\nHost: {host}\r\nClient-ID: {CLIENT}\r\n"
    made.sendall(f"{head}X-Project-Id: waiting\r\nContent-Length: 0\r\n\r\n".encode())
    return made


@pytest.mark.parametrize(("path", "method"), [CLAIM, POP])
@pytest.mark.parametrize("reset", [False, True])
def test_a_waiter_that_is_gone_takes_nothing(
    queue: str, path: str, method: str, *, reset: bool
) -> None:
    for number in range(20):
        peer = raw(queue, path, method)
        until(lambda: used(queue) == 1)
        if reset:
            peer.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        peer.close()
        post(queue, number)
        until(lambda: used(queue) == 0)
        taken = ask("DELETE", f"{queue}/messages?pop=5").json()["messages"]
        assert [one["body"] for one in taken] == [number]


def test_a_peer_that_sends_no_more_is_answered(queue: str) -> None:
    with raw(queue, *CLAIM) as peer:
        until(lambda: used(queue) == 1)
        peer.shutdown(socket.SHUT_WR)
        peer.settimeout(PATIENCE)
        assert peer.recv(4096).startswith(b"HTTP/1.1 204 ")


# -- frames ---------------------------------------------------------------------------


@pytest.fixture
def frames(server: InProcessServer) -> Iterator[ClientConnection]:
    with connect(server.ws_url, max_size=None) as made:
        yield made


def send(
    frames: ClientConnection, action: str, queue: str, id_: str = "", **body: Any
) -> None:
    headers = dict(HEADERS)
    if id_:
        headers["X-Request-ID"] = id_
    name = queue.rpartition("/")[2]
    body = {"queue_name": name, **body}
    frames.send(json.dumps({"action": action, "headers": headers, "body": body}))


def receive(frames: ClientConnection) -> Any:
    return json.loads(frames.recv(PATIENCE))


def test_frames_without_ids_keep_their_order(
    queue: str, frames: ClientConnection
) -> None:
    send(frames, "claim_create", queue, wait=20)
    send(frames, "queue_get", queue)
    until(lambda: used(queue) == 1)
    post(queue, "tea")
    first, second = receive(frames), receive(frames)
    assert first["request"]["action"] == "claim_create"
    assert [m["body"] for m in first["body"]["messages"]] == ["tea"]
    assert second["request"]["action"] == "queue_get"


def test_frames_with_ids_do_not_hold_back_others(
    queue: str, frames: ClientConnection
) -> None:
    send(frames, "claim_create", queue, "a", wait=20)
    send(frames, "message_list", queue, "b", wait=20, include_claimed=True, echo=True)
    until(lambda: used(queue) == 2)
    send(frames, "queue_get", queue, "c")
    assert receive(frames)["request"]["action"] == "queue_get"
    post(queue, "tea", "milk")
    answers = {receive(frames)["request"]["action"] for _ in range(2)}
    assert answers == {"claim_create", "message_list"}


@pytest.mark.parametrize("id_", ["", "a"])
def test_a_closed_websocket_takes_nothing(
    server: InProcessServer, queue: str, id_: str
) -> None:
    for number in range(5):
        with connect(server.ws_url) as frames:
            send(frames, "claim_create", queue, id_, wait=20)
            until(lambda: used(queue) == 1)
            frames.socket.close() if number % 2 else None
        until(lambda: used(queue) == 0)
        post(queue, number)
        taken = ask("DELETE", f"{queue}/messages?pop=5").json()["messages"]
        assert [one["body"] for one in taken] == [number]


# -- bounds --------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["-1", "21", "x", "1.5"])
@pytest.mark.parametrize(
    ("path", "method"),
    [("/claims?", "POST"), ("/messages?", "GET"), ("/messages?pop=1&", "DELETE")],
)
def test_a_bad_wait_is_refused_by_name(
    queue: str, path: str, method: str, wait: str
) -> None:
    answer = ask(method, f"{queue}{path}wait={wait}")
    assert answer.status_code == 400
    assert "wait" in answer.json()["description"]


@pytest.mark.parametrize("wait", [-1, 21, "x", 1.5])
def test_a_bad_wait_of_a_frame_is_refused_by_name(
    queue: str, frames: ClientConnection, wait: Any
) -> None:
    send(frames, "claim_create", queue, wait=wait)
    answer = receive(frames)
    assert answer["headers"]["status"] == 400
    assert "wait" in str(answer["body"])


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_messages_by_id_do_not_wait(queue: str, method: str) -> None:
    post(queue, "tea")
    assert ask(method, f"{queue}/messages?ids=x&wait=1").status_code == 400
    assert free(queue) == ["tea"]


def test_the_limits_have_max_wait(server: InProcessServer) -> None:
    shown = ask("GET", f"{server.url}/v2/limits").json()
    assert "wait" in shown["features"]
    assert shown["limits"]["max_wait"] == 20


def test_more_waiters_than_the_quota_are_refused(pool: ThreadPoolExecutor) -> None:
    with InProcessServer({"quota": {"waiters": 1}}) as server:
        queue = f"{server.url}/v2/queues/q"
        (one,) = waiting(pool, queue, *CLAIM)
        refused = ask("POST", f"{queue}/claims?wait=20")
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
        assert ask("POST", f"{queue}/claims").status_code == 204
        post(queue, "tea")
        assert one.result().status_code == 201


def test_a_server_that_drains_answers_at_once(pool: ThreadPoolExecutor) -> None:
    with InProcessServer() as server:
        queue = f"{server.url}/v2/queues/q"
        asked = [*waiting(pool, queue, *CLAIM), *waiting(pool, queue, *LIST)]
        began = time.monotonic()
    assert [one.result().status_code for one in asked] == [204, 200]
    assert time.monotonic() - began < 10


def test_a_post_to_one_server_answers_at_another(
    redis_server: Any, pool: ThreadPoolExecutor
) -> None:
    settings = {"storage": {"uri": redis_server.uri + "?prefix=several"}}
    with InProcessServer(settings) as one, InProcessServer(settings) as other:
        for number in range(5):
            queue = f"/v2/queues/q{number}"
            (claim,) = waiting(pool, one.url + queue, *CLAIM)
            began = time.monotonic()
            post(other.url + queue, number)
            assert claim.result().status_code == 201
            assert time.monotonic() - began < 5


# -- signed URLs and topics -----------------------------------------------------------


@pytest.mark.parametrize("call", [LIST, POP])
def test_a_signed_url_waits(
    queue: str, pool: ThreadPoolExecutor, call: tuple[str, str]
) -> None:
    path, method = call
    wanted = {"paths": ["messages"], "methods": [method]}
    made = ask("POST", f"{queue}/share", wanted).json()
    signed = {
        "URL-Signature": made["signature"],
        "URL-Expires": made["expires"],
        "URL-Methods": ",".join(made["methods"]),
        "URL-Paths": ",".join(made["paths"]),
        "Client-ID": OTHER,
    }
    one = pool.submit(ask, method, queue + path, **signed)
    until(lambda: used(queue) == 1)
    post(queue, "tea")
    assert [m["body"] for m in one.result().json()["messages"]] == ["tea"]


def test_the_list_of_a_topic_waits(queue: str, pool: ThreadPoolExecutor) -> None:
    topic = queue.replace("/queues/", "/topics/")
    ask("PUT", topic)
    (one,) = waiting(pool, topic, *LIST)
    # Topics and queues of one name are two.
    post(queue, "coffee")
    post(topic, "tea")
    assert [m["body"] for m in one.result().json()["messages"]] == ["tea"]
