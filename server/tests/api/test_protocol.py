"""What every request and answer keeps to (``rest-v2`` section 1)."""

import gzip
import json
import re
import uuid
from unittest.mock import Mock

import pytest
from rest_callers import AsgiCaller, ConnectionCaller
from zaqarserver.errors import Forbidden, Unavailable
from zaqarserver.storage.commands import MessagePost, QueueList, VolumeGet
from zaqarserver.storage.sqlite import SQLiteStorage

Q = "/v2/queues/orders"
ERROR_KEYS = {"title", "description"}


@pytest.fixture(params=[AsgiCaller, ConnectionCaller])
def caller(request):
    """Each test runs over a connection of our own, and over ASGI."""
    return request.param


def assert_error(answer, status, *fragments):
    assert answer.status == status, answer.content
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Accept"
    body = answer.json
    assert body["title"]
    for fragment in fragments:
        assert fragment in body.get("description", "") + body["title"]


# -- discovery ---------------------------------------------------------------


def test_the_version_document_is_served_to_anybody(api):
    answer = api.get("/", client=None, project=None)
    assert answer.status == 300
    assert answer.json == {
        "versions": [
            {
                "id": "2",
                "status": "CURRENT",
                "updated": "2014-9-24T04:06:47Z",
                "media-types": [
                    {
                        "base": "application/json",
                        "type": "application/vnd.openstack.messaging-v2+json",
                    }
                ],
                "links": [{"href": "/v2/", "rel": "self"}],
            }
        ]
    }


def test_the_home_document_lists_resources_under_v2(api):
    answer = api.get("/v2/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json-home"
    assert answer.headers["cache-control"] == "max-age=86400"
    resources = answer.json["resources"]
    for entry in resources.values():
        assert entry.get("href", entry.get("href-template")).startswith("/v2")
        assert entry["hints"]["formats"] == {"application/json": {}}
    queues = resources["rel/queues"]
    assert queues["href-template"] == "/v2/queues{?marker,limit,detailed}"
    assert queues["href-vars"] == {
        "marker": "param/marker",
        "limit": "param/queue_limit",
        "detailed": "param/detailed",
    }
    assert resources["rel/post_messages"]["hints"]["accept-post"] == [
        "application/json"
    ]
    assert "rel/pools" not in resources


def test_the_home_document_shows_admin_resources_in_admin_mode(make_api):
    resources = make_api(admin_mode=True).get("/v2/").json["resources"]
    assert resources["rel/health"]["href"] == "/v2/health"
    assert "rel/pool" in resources
    assert "rel/flavors" in resources


def test_the_home_document_may_be_asked_for_by_its_own_type(api):
    answer = api.get("/v2/", headers={"Accept": "application/json-home"})
    assert answer.status == 200


@pytest.mark.parametrize("path", ["/v2", "/v1/queues", "/v2/queues/a/b", "/x", Q + "/"])
def test_an_unknown_path_is_not_found_before_any_header_is_read(api, path):
    answer = api.get(path, client=None, project=None)
    assert_error(answer, 404)
    assert answer.json == {"title": "404 Not Found"}


def test_every_answer_has_a_request_id_of_its_own(api):
    ids = {
        api.get(path).headers["x-openstack-request-id"]
        for path in ("/", "/v2/", "/v2/queues", Q, "/nowhere")
    }
    assert len(ids) == 5
    assert all(uuid.UUID(text.removeprefix("req-")) for text in ids)


# -- headers -----------------------------------------------------------------


@pytest.mark.parametrize(
    "client",
    [
        "3381af922b9e11e3b19171861300734c",
        "3381af92-2b9e-11e3-b191-71861300734c",
        "3381AF92-2B9E-11E3-B191-71861300734C",
        "{3381af92-2b9e-11e3-b191-71861300734c}",
        "urn:uuid:3381af92-2b9e-11e3-b191-71861300734c",
    ],
)
def test_any_form_of_a_uuid_names_the_same_client(api, client):
    api.post_bodies("orders", 1, client=client)
    assert api.get(Q + "/messages").json["messages"] == []


@pytest.mark.parametrize(
    "client",
    [
        "",
        "xyz",
        "3381af92",
        "3381af92-2b9e-11e3-b191-7186130073",
        "+2345678123456781234567812345678a",
        "-2345678123456781234567812345678",
        "+2345678123456781234567812345678",
        "2345678123456781 34567812345678a1",
        "0x345678123456781234567812345678a1"[:32],
        "3381af92-2b9e-11e3-b191-7186130073_4",
        "3381af922b9e_11e3_b191_718613007_3"[:32],
        "3381af922b9e11e3b19171861300734\u0663",
        "\uff11" * 32,
        "3381af92-2b9e11e3b1917186-1300734c",
        "{{3381af92-2b9e-11e3-b191-71861300734c",
        "urn:urn:3381af92-2b9e-11e3-b191-71861300734c",
    ],
)
def test_a_malformed_client_id_is_refused(api, client):
    sent = client.encode().decode("latin-1")  # as the wire carries UTF-8
    assert_error(api.get("/v2/queues", client=sent), 400, "UUID")


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("X-Project-ID", ""),
        ("X-Tenant", ""),
        ("X-Roles", ""),
        ("X-User-ID", ""),
        ("Client-ID", "[transport]\nclient_id_uuid_safe = off\n"),
    ],
)
def test_a_header_that_says_who_asks_must_be_utf_8(make_api, header, options):
    """Read byte by byte it would be the same text as another one in UTF-8."""
    settings = {"client_id_uuid_safe": "off"} if options else {}
    api = make_api(options, **settings)
    values = {"project": None} if header == "X-Tenant" else {}
    sent = {header: "caf\u00e9-caf\u00e9-caf\u00e9"}
    assert_error(api.get("/v2/queues", headers=sent, **values), 400, header.lower())
    sent[header] = sent[header].encode().decode("latin-1")
    assert api.get("/v2/queues", headers=sent, **values).status == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", Q + "/messages"), ("PUT", Q), ("POST", Q + "/claims")]
)
def test_a_compressed_body_is_refused_by_the_name_of_its_header(
    api, method, path, coding
):
    body = gzip.compress(b'{"messages": [{"body": 1}]}')
    answer = api.request(method, path, raw=body, headers={"Content-Encoding": coding})
    assert_error(answer, 415, "Content-Encoding")
    assert answer.headers["accept-encoding"] == "identity"
    assert api.get(Q + "/messages?echo=true").json["messages"] == []


def test_the_head_of_a_post_names_what_one_can_fetch_and_the_body_all(api):
    messages = [{"body": number} for number in range(3000)]
    answer = api.post(Q + "/messages", {"messages": messages})
    assert len(answer.json["resources"]) == 3000
    place = answer.headers["location"]
    assert len(place) < 1000
    found = api.get(place).json["messages"]
    assert [one["body"] for one in found] == list(range(20))


@pytest.mark.parametrize("path", ["/v2/", "/v2/ping", "/v2/queues", Q + "/messages"])
def test_a_client_id_is_needed_everywhere(api, path):
    assert_error(api.get(path, client=None), 400, "Client-ID")


def test_client_ids_are_free_texts_where_the_server_says_so(make_api):
    api = make_api(client_id_uuid_safe="off")
    api.post_bodies("orders", 1, client="worker-number-7")
    assert api.get(Q + "/messages", client="worker-number-7").json["messages"] == []
    assert len(api.get(Q + "/messages", client="worker-number-8").json["messages"]) == 1
    assert_error(api.get(Q, client="short"), 400, "10 to 36")
    assert_error(api.get(Q, client="x" * 37), 400, "10 to 36")


def test_a_project_is_needed(api):
    assert_error(api.get("/v2/queues", project=None), 400, "X-Project-ID")
    assert_error(api.get("/v2/queues", project=""), 400, "project")
    assert_error(api.get("/v2/queues", project="   "), 400, "project")


@pytest.mark.parametrize("header", ["X-Tenant-Id", "X-Tenant"])
def test_older_names_of_the_project_header_are_read(api, header):
    api.put(Q)
    names = api.get("/v2/queues", project=None, headers={header: "4f2a"}).json["queues"]
    assert [queue["name"] for queue in names] == ["orders"]


def test_a_project_may_have_spaces_and_at_most_256_characters(api):
    assert api.put(Q, project="my own project").status == 201
    assert api.put(Q, project="p" * 256).status == 201
    assert_error(api.put(Q, project="p" * 257), 400, "256")


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/*",
        "application/json",
        "application/json;q=0.5",
        "text/html, */*;q=0.1",
        "",
    ],
)
def test_an_accept_header_that_admits_json_is_fine(api, accept):
    assert api.get("/v2/queues", headers={"Accept": accept}).status == 200


@pytest.mark.parametrize(
    "accept",
    [
        "text/plain",
        "application/xml",
        "application/json;q=0",
        "application/vnd.openstack.messaging-v2+json",
    ],
)
@pytest.mark.parametrize("path", ["/", "/v2/queues", Q + "/messages"])
def test_an_accept_header_without_json_is_not_acceptable(api, path, accept):
    answer = api.get(path, headers={"Accept": accept})
    assert_error(answer, 406, "application/json")
    assert answer.json["link"]["rel"] == "help"


def test_form_encoded_bodies_are_refused_everywhere(api):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for method, path in (
        ("POST", Q + "/messages"),
        ("PUT", Q),
        ("POST", Q + "/claims"),
    ):
        assert_error(
            api.request(method, path, raw=b"a=1", headers=form), 400, "Content-Type"
        )


@pytest.mark.parametrize("signature", ["", "0" * 64])
def test_a_signature_that_is_not_valid_finds_nothing(api, signature):
    answer = api.get(Q + "/messages", headers={"URL-Signature": signature})
    assert_error(answer, 404)
    assert answer.json == {"title": "404 Not Found"}


# -- methods -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", Q),
        ("HEAD", Q + "/claims"),
        ("GET", Q + "/claims"),
        ("PUT", Q + "/messages"),
        ("DELETE", "/v2/queues"),
        ("PROPFIND", Q),
        ("PURGE", Q),
        ("TRACE", "/v2/ping"),
    ],
)
def test_a_method_that_a_path_does_not_know_is_refused(api, method, path):
    answer = api.request(method, path)
    assert answer.status == 405
    assert "OPTIONS" in answer.headers["allow"]
    if method != "HEAD":
        assert answer.json == {"title": "405 Method Not Allowed"}


def test_names_and_headers_are_checked_before_the_method(api):
    assert api.post(Q, client=None).status == 400
    assert api.post("/v2/queues/b@d").status == 400
    assert api.request("PROPFIND", "/v2/queues/b@d").status == 400


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/metrics", "/confirm", "/v2/", "/v2/queues", Q, f"{Q}/stats"),
        *(f"{Q}/messages", f"{Q}/messages?ids=none", f"{Q}/subscriptions"),
        "/v2/topics",
    ],
)
def test_head_is_answered_like_get_without_the_body(api, path):
    expected, answer = api.get(path), api.request("HEAD", path)
    assert (answer.status, answer.content) == (expected.status, b"")
    for name in ("content-type", "content-length"):
        # The page of metrics counts the very requests for it.
        if (path, name) != ("/metrics", "content-length"):
            assert answer.headers.get(name) == expected.headers.get(name)


def test_a_method_that_nobody_knows_does_not_make_a_path(api):
    answer = api.request("PURGE", "/v2/nowhere")
    assert (answer.status, answer.json) == (404, {"title": "404 Not Found"})


def test_options_says_what_a_path_can_do(api):
    answer = api.request("OPTIONS", Q)
    assert answer.status == 200
    assert answer.content == b""
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH, PUT, OPTIONS"


# -- names -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "A.b-c_d", "123", "x" * 64, "A%2Db"])
def test_names_of_letters_digits_and_a_few_signs_are_fine(api, name):
    assert api.put(f"/v2/queues/{name}").status == 201


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 65,
        "b%20d",
        "b@d",
        "b%0A",
        "b%0a",
        "%2E",
        "..%2E%2E".replace("..", ""),
        "%C3%A9",
        "a%00",
    ],
)
def test_other_names_are_refused(api, name):
    answer = api.put(f"/v2/queues/{name}")
    assert_error(answer, 400, "Invalid queue identification")


@pytest.mark.parametrize("kind", ["queue", "topic"])
def test_a_path_with_a_slash_too_many_is_told_so(api, kind):
    answer = api.get(f"/v2/{kind}s/")
    assert_error(answer, 400, f"Invalid {kind} identification", "slash")


def test_a_name_is_checked_on_every_route_of_a_queue(api):
    for path in ("", "/stats", "/messages", "/messages/1", "/claims/1"):
        assert_error(api.get(f"/v2/queues/b@d{path}"), 400)


# -- bodies ------------------------------------------------------------------

BAD_DOCUMENTS = [
    b"{",
    b"x",
    b"\xff",
    b'\xef\xbb\xbf{"messages": [{"body": 1}]}',
    b'"text"',
    b"7",
    b"null",
    b"[]",
    b'{"messages": [{"body": NaN}]}',
    b'{"messages": [{"body": Infinity}]}',
    b'{"messages": [{"body": 1e400}]}',
    b'{"messages": [{"body": 9223372036854775808}]}',
    b'{"messages": [{"body": [[{"a": -9223372036854775809}]]}]}',
    b'{"messages": [{"body": "\\ud800"}]}',
    b'{"messages": [{"body": "\xff"}]}',
    b'{"messages": [{"body": ' + b"[" * 5000 + b"]" * 5000 + b"}]}",
]


@pytest.mark.parametrize("document", BAD_DOCUMENTS, ids=lambda data: repr(data[:40]))
def test_what_is_not_a_json_object_in_range_is_refused(api, document):
    assert_error(api.post(Q + "/messages", raw=document), 400)
    assert api.get("/v2/queues").json["queues"] == []


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 1e300, 0.1])
def test_numbers_within_range_come_back(api, number):
    api.post_bodies("orders", number)
    messages = api.get(Q + "/messages?echo=true").json["messages"]
    assert messages[0]["body"] == number


def test_of_a_member_named_twice_the_last_counts(api):
    raw = b'{"messages": [], "messages": [{"body": 1, "body": 2}]}'
    assert api.post(Q + "/messages", raw=raw).status == 201
    assert api.get(Q + "/messages?echo=1").json["messages"][0]["body"] == 2


def test_unknown_members_are_dropped(api):
    body = {"messages": [{"body": 1, "colour": "red"}], "else": [1]}
    assert api.post(Q + "/messages", body).status == 201
    message = api.get(Q + "/messages?echo=1").json["messages"][0]
    assert set(message) == {"id", "href", "ttl", "age", "body"}


def test_a_mandatory_body_must_be_there(api):
    assert_error(api.post(Q + "/messages"), 400, "body")
    assert_error(api.patch(Q + "/claims/1"), 400, "body")


@pytest.mark.parametrize("size", [262144, 262145])
def test_a_post_may_have_as_many_bytes_as_the_limit_says(api, size):
    frame = json.dumps({"messages": [{"body": ""}]})
    raw = frame.replace('""', '"' + "x" * (size - len(frame)) + '"').encode()
    assert len(raw) == size
    answer = api.post(Q + "/messages", raw=raw)
    if size == 262144:
        assert answer.status == 201
    else:
        assert_error(answer, 400, "262144")


# -- query strings -----------------------------------------------------------


@pytest.mark.parametrize("text", ["true", "True", "t", "yes", "y", "1", "on"])
def test_texts_that_mean_true(api, text):
    api.post_bodies("orders", 1)
    assert len(api.get(f"{Q}/messages?echo={text}").json["messages"]) == 1


@pytest.mark.parametrize("text", ["false", "False", "f", "no", "n", "0", "off", ""])
def test_texts_that_mean_false(api, text):
    api.post_bodies("orders", 1)
    assert api.get(f"{Q}/messages?echo={text}").json["messages"] == []


@pytest.mark.parametrize("text", ["TRUE", "None", "2", "ja"])
def test_other_texts_are_no_booleans(api, text):
    for name in ("echo", "include_claimed", "include_delayed"):
        assert_error(api.get(f"{Q}/messages?{name}={text}"), 400, name)
    assert_error(api.get(f"/v2/queues?detailed={text}"), 400, "detailed")


@pytest.mark.parametrize("text", ["2.0", "0x2", "abc", "%20", "1e1", "--1", "9" * 30])
def test_other_texts_are_no_integers(api, text):
    assert_error(api.get(f"/v2/queues?limit={text}"), 400, "limit")
    assert_error(api.get(f"{Q}/messages?limit={text}"), 400, "limit")
    assert_error(api.post(f"{Q}/claims?limit={text}"), 400, "limit")
    assert_error(api.delete(f"{Q}/messages?pop={text}"), 400, "pop")


@pytest.mark.parametrize("limit", [0, -1, 21, 200])
def test_limits_have_bounds(api, limit):
    for answer in (
        api.get(f"/v2/queues?limit={limit}"),
        api.get(f"{Q}/messages?limit={limit}"),
        api.post(f"{Q}/claims?limit={limit}"),
        api.delete(f"{Q}/messages?pop={limit}"),
    ):
        assert_error(answer, 400, "between 1 and 20")


def test_of_a_scalar_named_twice_the_last_counts(api):
    api.post_bodies("orders", 1, 2, 3)
    for query in ("limit=3&limit=1", "limit=3,1", "limit=+1"):
        answer = api.get(f"{Q}/messages?echo=1&{query}")
        assert len(answer.json["messages"]) == 1


def test_unknown_parameters_are_ignored(api):
    assert api.post(f"{Q}/claims?colour=red").status == 204
    assert api.get(f"{Q}/messages?colour=red").status == 200


# -- service -----------------------------------------------------------------


def test_ping_answers_while_the_store_does(api):
    for method in ("GET", "HEAD"):
        answer = api.request(method, "/v2/ping")
        assert answer.status == 204
        assert answer.content == b""
        assert "content-type" not in answer.headers


def test_health_exists_in_admin_mode_only(api):
    assert_error(api.get("/v2/health"), 404)


def test_health_is_for_administrators(make_api):
    assert_error(make_api(admin_mode=True).get("/v2/health"), 403, "Not authorized")


def test_health_tries_every_kind_of_operation(make_api):
    api = make_api(admin_mode=True)
    answer = api.get("/v2/health", headers={"X-Roles": "member, Admin"})
    assert answer.status == 200
    assert answer.json["storage_reachable"] is True
    status = answer.json["operation_status"]
    assert list(status) == [
        "create_queue",
        "post_messages",
        "claim_messages",
        "list_messages",
        "delete_messages",
        "delete_claim",
        "bulk_delete_messages",
        "delete_queue",
    ]
    for entry in status.values():
        assert entry["succeeded"] is True
        assert isinstance(entry["seconds"], float)
        assert entry["ref"] is None
    assert answer.json["message_volume"] == {"free": 0, "claimed": 0, "total": 0}


def test_health_counts_the_messages_of_the_store(make_api):
    api = make_api(admin_mode=True)
    api.post("/v2/queues/q/messages", {"messages": [{"body": n} for n in range(3)]})
    assert api.post("/v2/queues/q/claims?limit=1", {}).status == 201
    answer = api.get("/v2/health", headers={"X-Roles": "admin"})
    assert answer.json["message_volume"] == {"free": 2, "claimed": 1, "total": 3}


def fail_at(monkeypatch, command, error):
    """Let the store fail at one kind of command."""
    perform = SQLiteStorage.do

    async def do(self, asked):
        if isinstance(asked, command):
            raise error
        return await perform(self, asked)

    monkeypatch.setattr(SQLiteStorage, "do", do)


@pytest.mark.parametrize("step", ["ping", MessagePost, VolumeGet])
def test_health_is_503_with_the_same_document_when_something_fails(
    make_api, monkeypatch, step
):
    api = make_api(admin_mode=True)
    well = api.get("/v2/health", headers={"X-Roles": "admin"}).json

    error = Unavailable("the disk is full")
    if step == "ping":
        monkeypatch.setattr(SQLiteStorage, "ping", Mock(side_effect=error))
    else:
        fail_at(monkeypatch, step, error)
    answer = api.get("/v2/health", headers={"X-Roles": "admin"})
    assert answer.status == 503
    assert answer.json.keys() == well.keys()
    assert answer.json["reason"] == "the disk is full"
    assert answer.json["storage_reachable"] is (step != "ping")


def test_a_policy_that_says_no_is_obeyed_before_the_body_is_read(api, monkeypatch):
    def deny(_policy, rule, _context):
        raise Forbidden(f"{rule} no")

    monkeypatch.setattr(type(api.server.policy), "check", deny)
    assert_error(api.post(Q + "/messages", raw=b"{"), 403, "messages:create")


def test_an_error_inside_says_nothing_but_a_request_id(api, monkeypatch, caplog):
    fail_at(monkeypatch, QueueList, RuntimeError("secret detail"))
    answer = api.get("/v2/queues")
    assert_error(answer, 500)
    assert b"secret" not in answer.content
    assert re.fullmatch(r"req-[0-9a-f-]{36}", answer.headers["x-openstack-request-id"])
    assert "secret detail" in caplog.text


def test_a_store_that_cannot_serve_is_503_with_retry_after(api, monkeypatch):
    fail_at(monkeypatch, MessagePost, Unavailable("disk is full", retry_after=3))
    answer = api.post(Q + "/messages", {"messages": [{"body": 1}]})
    assert_error(answer, 503)
    assert answer.headers["retry-after"] == "3"
    assert b"disk" not in answer.content


def test_metrics_count_requests_by_operation_and_status(api):
    api.put(Q)
    api.get("/v2/queues?limit=0")
    text = api.get("/metrics", client=None, project=None).content.decode()
    for operation, status in (("queue_create", 201), ("queue_list", 400)):
        labels = f'operation="{operation}",status="{status}",transport="rest"'
        assert f"zaqar_requests_total{{{labels}}} 1.0" in text
    assert 'zaqar_request_seconds_count{operation="queue_create"} 1.0' in text
