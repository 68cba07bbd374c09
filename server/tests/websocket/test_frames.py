"""The WebSocket API, over a real socket to a real process (``websocket-v2``)."""

import json

import msgspec
import pytest
import websocket

from .frames import CLIENT, post

OTHER = "11111111222233334444555555555555"
NO_REQUEST = {"action": None, "body": {}, "headers": {}, "api": "v2"}


# -- envelope --------------------------------------------------------------------


def test_the_upgrade_is_taken_on_the_rest_port_and_on_any_path(server, connect):
    peer = connect(server.url.replace("http", "ws") + "/any/path?x=1")
    assert peer.do("queue_list") == (200, {"queues": []})


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "",
        "nonsense",
        '{"action": NaN}',
        '{"a": 1e999}',
        '{"a": 18446744073709551616}',
    ],
)
def test_text_that_is_no_json_is_refused(connect, text):
    peer = connect()
    peer.peer.send(text)
    _, answer = peer.receive()
    assert answer["request"] == NO_REQUEST
    assert answer["headers"] == {"status": 400}
    assert answer["body"]["error"].startswith("Can't decode text (JSON) request. EXC: ")


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"",
        b"\x82\xa1a",
        msgspec.msgpack.encode({"a": b"bytes"}),
        msgspec.msgpack.encode({1: 2}),
        b"\xca\x7f\xc0\x00\x00",
    ],
)
def test_bytes_that_are_no_messagepack_are_refused_in_messagepack(connect, data):
    peer = connect()
    peer.peer.send_binary(data)
    kind, answer = peer.receive()
    assert kind == "binary"
    assert answer["headers"] == {"status": 400}
    assert answer["body"]["error"].startswith(
        ("Can't decode binary", "Unexpected body")
    )


def test_bytes_are_no_names_of_members(connect):
    peer = connect()
    peer.peer.send_binary(msgspec.msgpack.encode({b"action": "queue_list"}))
    kind, answer = peer.receive()
    assert kind == "binary"
    assert answer["request"] == NO_REQUEST
    assert answer["body"] == {"error": "None is not a valid action"}


def test_a_frame_that_is_no_map_is_refused(socket):
    for value in ([], "x", 7, None, True):
        socket.send(value)
        _, answer = socket.receive()
        assert answer == {
            "request": NO_REQUEST,
            "body": {"error": "Unexpected body type. Expected dict or dict like."},
            "headers": {"status": 400},
        }


@pytest.mark.parametrize(
    "action", ["fly", "queue_share_all", "", ["queue_list"], 7, None, "pool_list"]
)
def test_an_unknown_action_is_named(socket, action):
    status, body = socket.ask(action, {})
    assert (status, body) == (400, {"error": f"{action} is not a valid action"})


def test_a_frame_without_action_is_told_so(socket):
    socket.send({"body": {}, "headers": {}})
    assert socket.receive()[1]["body"] == {"error": "None is not a valid action"}


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("queue_create", None),
        ("queue_create", {}),
        ("queue_create", {"queue_name": 7}),
        ("queue_create", {"queue_name": "a", "metadata": [1]}),
        ("queue_list", {"limit": "5"}),
        ("queue_list", {"limit": True}),
        ("queue_list", {"detailed": 1}),
        ("message_list", {"queue_name": "a", "echo": "yes"}),
        ("message_post", {"queue_name": "a", "messages": {}}),
        ("message_post", {"queue_name": "a", "messages": [1]}),
        ("message_get_many", {"queue_name": "a", "message_ids": "x"}),
        ("claim_update", {"queue_name": "a", "claim_id": "x", "grace": "60"}),
        # What another list may be asked for.
        ("queue_list", {"echo": True}),
        ("queue_list", {"ttl": 60}),
        ("message_list", {"queue_name": "a", "detailed": True}),
        ("subscription_list", {"queue_name": "a", "include_claimed": False}),
    ],
    ids=str,
)
def test_members_of_a_wrong_type_fail_the_schema(socket, action, body):
    status, answer = socket.ask(action, body)
    assert (status, answer["error"]) == (400, "Schema validation failed.")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Client-ID": CLIENT},
        {"X-Project-ID": "p"},
        {"Client-ID": 1, "X-Project-ID": "p"},
    ],
    ids=str,
)
def test_client_and_project_are_needed(socket, headers):
    status, answer = socket.ask("queue_list", headers=headers)
    assert (status, answer["error"]) == (400, "Schema validation failed.")


def test_members_that_nobody_knows_are_ignored(socket):
    body = {"colour": "red", "api": 3}
    assert socket.ask("queue_list", body) == (200, {"queues": []})


@pytest.mark.parametrize("name", ["User-Agent", "Date", "Accept"])
def test_known_headers_are_texts(socket, name):
    headers = {"Client-ID": CLIENT, "X-Project-ID": "p", name: 5}
    status, answer = socket.ask("queue_list", headers=headers)
    assert (status, answer["error"]) == (400, "Schema validation failed.")
    assert name in answer["exception"]


@pytest.mark.parametrize("client", ["", "0xdeadbeef", CLIENT[:-1]])
def test_a_malformed_client_id_is_refused(socket, client):
    status, answer = socket.ask(
        "queue_list", headers={"Client-ID": client, "X-Project-ID": "p"}
    )
    assert status == 400
    assert answer["exception"] == "badly formed hexadecimal UUID string"


def test_an_empty_project_is_refused(socket):
    assert (
        socket.ask("queue_list", headers={"Client-ID": CLIENT, "X-Project-ID": ""})[0]
        == 400
    )


def test_authenticating_where_nobody_asks_for_it_succeeds_and_echoes_no_token(socket):
    socket.send(
        {
            "action": "authenticate",
            "headers": {"X-Auth-Token": "t", "X-Project-ID": "p"},
        }
    )
    assert socket.receive()[1] == {
        "request": {"action": "authenticate", "body": {}, "headers": {}, "api": "v2"},
        "body": {"message": "Authentified."},
        "headers": {"status": 200},
    }


def test_a_token_in_another_frame_does_not_come_back(socket):
    socket.send(
        {"action": "queue_list", "headers": {**socket.headers, "X-Auth-Token": "t"}}
    )
    answer = socket.receive()[1]
    assert answer["request"]["headers"]["X-Auth-Token"] == "***"


def test_frames_without_an_id_are_answered_in_order(socket):
    for number in range(50):
        socket.send(
            {
                "action": "message_post",
                "headers": socket.headers,
                "body": {"queue_name": "orders", "messages": [{"body": number}]},
            }
        )
    numbers = [
        socket.receive()[1]["request"]["body"]["messages"][0]["body"] for _ in range(50)
    ]
    assert numbers == list(range(50))


def test_a_request_id_comes_back_with_its_answer(socket):
    for number in range(200):
        socket.send(
            {
                "action": "message_post",
                "headers": {**socket.headers, "X-Request-ID": f"r{number}"},
                "body": {"queue_name": "orders", "messages": [{"body": number}]},
            }
        )
    answers = [socket.receive()[1] for _ in range(200)]
    assert {answer["headers"]["X-Request-ID"] for answer in answers} == {
        f"r{number}" for number in range(200)
    }
    for answer in answers:
        number = answer["request"]["body"]["messages"][0]["body"]
        assert answer["headers"] == {"status": 201, "X-Request-ID": f"r{number}"}


@pytest.mark.parametrize("named", [7, None, {"a": 1}])
def test_a_request_id_is_a_text(socket, named):
    headers = {**socket.headers, "X-Request-ID": named}
    status, answer = socket.ask("queue_list", headers=headers)
    assert (status, answer["error"]) == (400, "Schema validation failed.")


def test_a_message_in_fragments_is_put_together(socket):
    frame = json.dumps({"action": "queue_list", "headers": socket.headers, "body": {}})
    first = websocket.ABNF(
        0, 0, 0, 0, websocket.ABNF.OPCODE_TEXT, 1, frame[:9].encode()
    )
    last = websocket.ABNF(1, 0, 0, 0, websocket.ABNF.OPCODE_CONT, 1, frame[9:].encode())
    socket.peer.send_frame(first)
    socket.peer.send_frame(last)
    assert socket.receive()[1]["headers"] == {"status": 200}


def test_a_ping_is_answered_with_its_payload(connect):
    peer = connect()
    peer.peer.ping(b"hello")
    assert peer.peer.recv_data(control_frame=True) == (
        websocket.ABNF.OPCODE_PONG,
        b"hello",
    )


@pytest.mark.parametrize(
    ("start", "code"),
    [
        (b"\x81\xff" + (600_000).to_bytes(8, "big") + b"mask" + b"xxx", 1009),
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007),
        (b"\x83\x81\0\0\0\0x", 1002),
        (b"\x81\x01x", 1002),
    ],
    ids=["huge", "not utf-8", "odd opcode", "not masked"],
)
def test_frames_that_break_the_protocol_close_the_connection(connect, start, code):
    peer = connect()
    peer.peer.sock.sendall(start)
    frame = peer.peer.recv_frame()
    assert frame.opcode == websocket.ABNF.OPCODE_CLOSE
    assert int.from_bytes(frame.data[:2], "big") == code


# -- queues ----------------------------------------------------------------------


def test_a_queue_is_created_shown_changed_and_removed(socket):
    made = socket.do("queue_create", queue_name="orders", metadata={"a": 1})
    assert made == (201, "Queue orders created.")
    assert socket.do("queue_create", queue_name="orders") == (
        204,
        "Queue orders created.",
    )
    assert socket.do("queue_get", queue_name="orders") == (200, {"a": 1})
    status, shown = socket.do(
        "queue_update",
        queue_name="orders",
        operations=[{"op": "add", "path": "/metadata/b", "value": 2}],
    )
    assert (status, shown["b"], shown["_default_message_ttl"]) == (200, 2, 3600)
    assert socket.do("queue_delete", queue_name="orders") == (
        204,
        "Queue orders removed.",
    )
    assert socket.do("queue_get", queue_name="orders") == (200, {})


def test_queues_are_listed_by_name_without_links(socket):
    for name in ("b", "a", "c"):
        socket.do("queue_create", queue_name=name, metadata={"n": name})
    assert socket.ask("queue_list") == (
        200,
        {"queues": [{"name": "a"}, {"name": "b"}, {"name": "c"}]},
    )
    assert socket.do("queue_list", limit=1, marker="a", detailed=True) == (
        200,
        {"queues": [{"name": "b", "metadata": {"n": "b"}}]},
    )
    assert socket.do("queue_list", limit=0)[0] == 400
    assert socket.do("queue_list", limit=21)[0] == 400


@pytest.mark.parametrize("name", ["b@d", "", "x" * 65, "."])
def test_a_bad_queue_name_is_refused_by_every_action(socket, name):
    assert socket.do("queue_create", queue_name=name)[0] == 400
    assert socket.do("message_list", queue_name=name)[0] == 400


def test_stats_of_a_missing_queue_are_zeros_and_not_found(socket):
    zeros = {"messages": {"claimed": 0, "free": 0, "total": 0}}
    assert socket.do("queue_get_stats", queue_name="orders") == (404, zeros)
    ids = post(socket, 1, 2)
    status, body = socket.do("queue_get_stats", queue_name="orders")
    assert (status, body["messages"]["free"]) == (200, 2)
    assert set(body["messages"]["oldest"]) == {"id", "age", "created"}
    assert body["messages"]["newest"]["id"] == ids[1]


def test_a_purge_empties_a_queue(socket):
    post(socket, 1, 2)
    assert (
        socket.do("queue_purge", queue_name="orders", resource_types=["colours"])[0]
        == 400
    )
    assert socket.do("queue_purge", queue_name="orders") == (204, {})
    assert socket.do("message_list", queue_name="orders", echo=True)[1] == {
        "messages": []
    }


# -- messages --------------------------------------------------------------------


def test_messages_are_posted_listed_and_shown(socket):
    first, second = post(socket, {"sku": "é"}, [1, None, 2.5], ttl=120)
    listed = [
        {"id": first, "claim_id": None, "ttl": 120, "age": 0, "body": {"sku": "é"}},
        {"id": second, "claim_id": None, "ttl": 120, "age": 0, "body": [1, None, 2.5]},
    ]
    assert socket.do("message_list", queue_name="orders", echo=True) == (
        200,
        {"messages": listed},
    )
    assert socket.do("message_list", queue_name="orders")[1] == {"messages": []}
    assert socket.do("message_get", queue_name="orders", message_id=first) == (
        200,
        {"messages": listed[0]},
    )
    assert socket.do(
        "message_get_many", queue_name="orders", message_ids=[second, "x", first]
    ) == (200, {"messages": [listed[1], listed[0]]})
    page = socket.do("message_list", queue_name="orders", echo=True, marker=first)
    assert page[1]["messages"] == [listed[1]]


def test_what_is_not_there_is_empty_or_not_found(socket):
    assert socket.do("message_list", queue_name="none") == (200, {"messages": []})
    assert socket.do("message_get_many", queue_name="none", message_ids=["x"]) == (
        200,
        {"messages": []},
    )
    status, body = socket.do("message_get", queue_name="none", message_id="x")
    assert status == 404
    assert set(body) == {"exception", "error"}
    assert socket.do("message_delete", queue_name="none", message_id="x") == (204, {})
    assert socket.do("message_delete_many", queue_name="none", pop=1) == (
        200,
        {"messages": []},
    )


@pytest.mark.parametrize("ttl", [-1, 59, 1209601])
def test_a_ttl_out_of_bounds_is_refused(socket, ttl):
    status, body = socket.do(
        "message_post", queue_name="a", messages=[{"body": 1, "ttl": ttl}]
    )
    assert status == 400
    assert "messages[0].ttl" in body["error"]


def test_a_ttl_of_another_type_is_refused_in_known_words(socket):
    status, body = socket.do(
        "message_post", queue_name="a", messages=[{"body": 1, "ttl": "200"}]
    )
    assert (status, body["error"]) == (
        400,
        'Bad request. The value of the "ttl" field must be a int.',
    )


def test_a_message_without_body_is_refused_in_known_words(socket):
    status, body = socket.do("message_post", queue_name="a", messages=[{"ttl": 60}])
    assert (status, body["error"]) == (400, 'Bad request. Missing "body" field.')
    assert socket.do("message_post", queue_name="a", messages=[])[0] == 400
    assert post(socket, None)


def test_too_many_bytes_at_once_are_refused_with_a_short_echo(socket):
    body = {"queue_name": "a", "messages": [{"body": "some body", "ttl": 100}] * 8000}
    socket.send({"action": "message_post", "headers": socket.headers, "body": body})
    _, answer = socket.receive()
    assert answer["headers"]["status"] == 400
    assert answer["request"]["body"] == {}


@pytest.mark.parametrize("count", [0, 21])
def test_sets_of_ids_have_bounds(socket, count):
    ids = ["x"] * count
    assert socket.do("message_get_many", queue_name="a", message_ids=ids)[0] == 400
    assert socket.do("message_delete_many", queue_name="a", message_ids=ids)[0] == 400
    assert socket.do("message_delete_many", queue_name="a", pop=count)[0] == 400
    assert socket.do("message_delete_many", queue_name="a")[0] == 400
    assert (
        socket.do("message_delete_many", queue_name="a", pop=1, message_ids=["x"])[0]
        == 400
    )


def test_messages_are_deleted_and_popped(socket):
    ids = post(socket, 0, 1, 2)
    assert socket.do("message_delete", queue_name="orders", message_id=ids[0]) == (
        204,
        {},
    )
    assert socket.do(
        "message_delete_many", queue_name="orders", message_ids=[ids[1]]
    ) == (204, {})
    status, body = socket.do("message_delete_many", queue_name="orders", pop=5)
    assert (status, body["messages"]) == (
        200,
        [
            {
                "id": ids[2],
                "claim_id": None,
                "ttl": 3600,
                "age": 0,
                "body": 2,
                "claim_count": 0,
            }
        ],
    )


def test_delays_hold_as_on_rest(socket):
    socket.do(
        "queue_create", queue_name="slow", metadata={"_default_message_delay": 60}
    )
    post(socket, 1, queue="slow")
    assert socket.do("message_list", queue_name="slow", echo=True)[1]["messages"] == []
    found = socket.do(
        "message_list", queue_name="slow", echo=True, include_delayed=True
    )
    assert len(found[1]["messages"]) == 1


# -- claims ----------------------------------------------------------------------


def test_a_claim_is_made_shown_renewed_and_released(socket):
    (id_,) = post(socket, "x", ttl=100)
    status, made = socket.do("claim_create", queue_name="orders")
    assert status == 201
    claim = made["claim_id"]
    message = {"id": id_, "claim_id": claim, "ttl": 360, "age": 0, "body": "x"}
    assert made["messages"] == [message]
    assert socket.do("claim_create", queue_name="orders") == (204, {"claim_id": None})
    assert socket.do("message_delete", queue_name="orders", message_id=id_)[0] == 403
    status, shown = socket.do("claim_get", queue_name="orders", claim_id=claim)
    assert (status, shown) == (200, {"age": 0, "ttl": 300, "messages": [message]})
    assert socket.do("claim_update", queue_name="orders", claim_id=claim, ttl=60) == (
        204,
        f"Claim {claim} updated.",
    )
    assert socket.do("claim_delete", queue_name="orders", claim_id=claim) == (
        204,
        f"Claim {claim} deleted.",
    )
    for action in ("claim_get", "claim_update"):
        assert socket.do(action, queue_name="orders", claim_id=claim) == (
            404,
            {
                "exception": f"Claim {claim} does not exist in queue orders "
                f"for project {socket.headers['X-Project-ID']}",
                "error": f"Claim {claim} does not exist.",
            },
        )
    assert (
        socket.do(
            "message_delete", queue_name="orders", message_id=id_, claim_id=claim
        )[0]
        == 400
    )


@pytest.mark.parametrize(
    "fields",
    [{"ttl": 59}, {"ttl": 43201}, {"grace": 59}, {"limit": 0}, {"limit": 21}],
    ids=str,
)
def test_claims_have_bounds(socket, fields):
    post(socket, 1)
    assert socket.do("claim_create", queue_name="orders", **fields)[0] == 400


def test_projects_see_nothing_of_each_other(socket):
    (id_,) = post(socket, "secret")
    other = {"Client-ID": OTHER, "X-Project-ID": "other"}
    for action, body in (
        ("message_get", {"queue_name": "orders", "message_id": id_}),
        ("queue_get_stats", {"queue_name": "orders"}),
    ):
        assert socket.ask(action, body, other)[0] == 404
    assert (
        socket.ask(
            "message_delete", {"queue_name": "orders", "message_id": id_}, other
        )[0]
        == 204
    )
    assert socket.do("message_get", queue_name="orders", message_id=id_)[0] == 200
