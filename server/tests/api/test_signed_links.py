"""Signed URLs that carry everything in the query: what plain curl can use."""

import json
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from zaqarserver.errors import BadRequest
from zaqarserver.http.reading import message_of
from zaqarserver.operations.signed_urls import compute

Q = "/v2/queues/orders"
M = Q + "/messages"
OPTIONS = "[signed_url]\nsecret_key = s3cret\n"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NOT_FOUND = {"title": "404 Not Found"}


@pytest.fixture
def api(make_api):
    """A server with a signing key."""
    return make_api(OPTIONS)


def members(grant, **other):
    texts = {
        name: ",".join(value) if isinstance(value, list) else value
        for name, value in grant.items()
    }
    return urlencode({**texts, **other}, quote_via=quote)


def link(api, methods=("GET", "POST"), paths=("messages",), queue="orders"):
    """Return the query of a link to parts of a queue."""
    body = {"methods": list(methods), "paths": list(paths)}
    answer = api.post(f"/v2/queues/{queue}/share", body)
    return members(answer.json)


def ask(api, method, target, raw=None, **headers):
    """Send a request as curl does: with nothing that identifies the caller."""
    return api.request(
        method, target, raw=raw, headers=headers, client=None, project=None
    )


def post(api, query, raw, headers=FORM):
    return api.request(
        "POST", f"{M}?{query}", raw=raw, headers=headers, client=None, project=None
    )


def bodies(api):
    page = api.get(M + "?echo=true").json["messages"]
    return [one["body"] for one in page]


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"build 12 is green", "build 12 is green"),
        (b'{"item": "tea"}', {"item": "tea"}),
        (b"[1, 2]", [1, 2]),
        (b"17", 17),
        (b"null", None),
        (b'"quoted"', "quoted"),
        (b"NaN", "NaN"),
        (b'{"item": tea}', '{"item": tea}'),
        ("grün\n".encode(), "grün\n"),
        (b" ", " "),
        (b"a=1&b=2", "a=1&b=2"),
        (b"[" * 400, "[" * 400),
    ],
)
def test_whatever_curl_sends_is_one_message(api, raw, body):
    answer = post(api, link(api), raw)
    assert answer.status == 201
    assert bodies(api) == [body]


@pytest.mark.parametrize("headers", [{}, FORM, {"Content-Type": "text/plain"}])
def test_an_envelope_stays_one_whatever_the_content_type(api, headers):
    raw = json.dumps({"messages": [{"body": 1, "ttl": 90}, {"body": 2}]}).encode()
    assert post(api, link(api), raw, headers).status == 201
    assert bodies(api) == [1, 2]
    assert api.get(M + "?echo=true").json["messages"][0]["ttl"] == 90


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b'"\xff"',
        b'{"messages": 5}',
        b'{"messages": []}',
        b"123456789012345678901234567890",
        b"[" * 2000,
        b"\0" * 262144,
    ],
    ids=range(8),
)
def test_what_cannot_be_a_message_is_refused(api, raw):
    answer = post(api, link(api), raw)
    assert answer.status == 400, answer.content
    assert bodies(api) == []


@given(st.binary(max_size=60) | st.text().map(str.encode))
@example(b'{"messages": 1}')
def test_any_bytes_are_a_document_or_refused(raw):
    try:
        document = message_of(raw, 1000)
    except BadRequest:
        return
    found = msgspec.json.decode(document)["messages"]
    if document != raw:
        (one,) = found
        try:
            assert one == {"body": json.loads(raw)} or one == {"body": raw.decode()}
        except (ValueError, RecursionError):
            assert one == {"body": raw.decode()}


def test_a_link_reads_with_more_parameters(api):
    query = link(api)
    post(api, query, b"one")
    post(api, query, b"two")
    (own,) = {one.json["messages"] == [] for one in [ask(api, "GET", f"{M}?{query}")]}
    assert own, "its own messages are hidden, as those of any client"
    found = ask(api, "GET", f"{M}?{query}&echo=true&limit=1")
    assert [one["body"] for one in found.json["messages"]] == ["one"]
    (next_page,) = found.json["links"]
    rest = ask(api, "GET", f"{next_page['href']}&{query}")
    assert [one["body"] for one in rest.json["messages"]] == ["two"]


def test_a_link_reaches_what_is_below_its_path_and_nothing_else(api):
    query = link(api, ["GET", "DELETE", "POST"])
    (where,) = post(api, query, b"x").json["resources"]
    assert ask(api, "GET", f"{where}?{query}").status == 200
    assert ask(api, "DELETE", f"{where}?{query}").status == 204
    for method, path in (
        ("PUT", M),
        ("GET", Q),
        ("GET", Q + "/stats"),
        ("POST", Q + "/share"),
        ("POST", Q + "/claims"),
        ("GET", "/v2/queues"),
        ("GET", "/v2/queues/other/messages"),
        ("GET", M + "X"),
        ("GET", "/v2/nothing"),
    ):
        answer = ask(api, method, f"{path}?{query}")
        assert (answer.status, answer.json) == (404, NOT_FOUND), (method, path)


def test_other_paths_take_no_free_text(api):
    query = link(api, ["POST"], ["claims"])
    assert ask(api, "POST", f"{Q}/claims?{query}", b"hello").status == 400
    assert ask(api, "POST", f"{Q}/claims?{query}", b"{}", **FORM).status == 400
    assert ask(api, "POST", f"{Q}/claims?{query}", b'{"ttl": 90}').status == 204


def test_without_a_link_text_is_refused_as_ever(api):
    assert api.post(M, raw=b"hello").status == 400
    assert api.post(M, raw=b"hello", headers=FORM).status == 400
    assert api.post(M, raw=b'{"item": "tea"}').status == 400


def test_nothing_else_identifies_the_caller_of_a_link(api):
    query = link(api)
    answer = api.request(
        "POST",
        f"{M}?{query}",
        raw=b"x",
        headers={"X-Roles": "admin", "X-Auth-Token": "t", "X-Project-ID": "other"},
    )
    assert answer.status == 201
    assert bodies(api) == ["x"]
    assert api.get(M + "?echo=true", project="other").json["messages"] == []


def spoil(query, name, value):
    rest = [part for part in query.split("&") if not part.startswith(f"{name}=")]
    return "&".join([*rest, *value])


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda query: spoil(query, "signature", ["signature=" + "0" * 64]),
        lambda query: spoil(query, "signature", ["signature="]),
        lambda query: spoil(query, "signature", ["%73ignature=" + "0" * 64]),
        lambda query: spoil(query, "expires", []),
        lambda query: spoil(query, "expires", ["expires=2100-01-01T00:00:00"]),
        lambda query: spoil(query, "project", ["project=other"]),
        lambda query: spoil(query, "methods", ["methods=POST,DELETE"]),
        lambda query: spoil(query, "paths", ["paths=" + quote(Q)]),
        lambda query: query + "&project=4f2a",
        lambda query: query + "&signature=" + "0" * 64,
        lambda _query: "signature=x",
        lambda _query: "signature",
    ],
    ids=range(12),
)
def test_a_link_that_was_changed_opens_nothing(api, spoilt):
    query = spoilt(link(api))
    for headers in ({}, {"X-Project-ID": "4f2a", "Client-ID": "0" * 32}):
        answer = post(api, query, b"x", headers)
        assert (answer.status, answer.json) == (404, NOT_FOUND)
    assert bodies(api) == []


def test_both_forms_at_once_open_nothing(api):
    grant = api.post(Q + "/share", {"methods": ["POST"]}).json
    headers = {
        "URL-Signature": grant["signature"],
        "URL-Expires": grant["expires"],
        "URL-Methods": "POST",
        "URL-Paths": M,
        "X-Project-ID": "4f2a",
        "Client-ID": "0" * 32,
    }
    raw = b'{"messages": [{"body": 1}]}'
    assert post(api, "", raw, headers).status == 201
    assert post(api, members(grant), raw, headers).status == 404


def test_a_revoked_link_opens_nothing(api):
    query = link(api)
    (shown,) = api.get(Q + "/signed_urls").json["signed_urls"]
    api.delete(f"{Q}/signed_urls/{shown['id']}")
    assert post(api, query, b"x").status == 404


def test_a_link_ends_when_it_expires(api):
    expires = "1970-01-12T13:46:50"  # ten seconds from the clock of the tests
    signed = compute("s3cret", [M], ["POST"], "4f2a", expires)
    grant = {"project": "4f2a", "methods": "POST", "paths": M, "expires": expires}
    query = members(grant, signature=signed)
    assert post(api, query, b"x").status == 201
    api.now += 10
    assert post(api, query, b"x").status == 404


@pytest.mark.parametrize(
    ("method", "more", "raw", "status"),
    [
        ("POST", "", b"x", 201),
        ("GET", "&echo=true", None, 200),
        ("GET", "&limit=1000", None, 400),
        ("POST", "", b"", 400),
        ("POST", "&project=x", b"x", 404),
    ],
)
def test_no_answer_passes_a_link_on(api, method, more, raw, status):
    query = link(api)
    answer = ask(api, method, f"{M}?{query}{more}", raw)
    assert answer.status == status
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    signature = query.rpartition("signature=")[2]
    assert signature not in answer.content.decode()
    assert signature not in str(answer.headers)


def test_other_answers_have_no_such_headers(api):
    assert "cache-control" not in api.get(M).headers


def test_a_member_of_the_metadata_may_be_called_signature(api):
    api.put(Q, {"signature": "x"})
    api.put("/v2/queues/other", {"signature": "y"})
    found = api.get("/v2/queues?signature=x").json["queues"]
    assert [one["name"] for one in found] == ["orders"]


def test_the_feature_is_shown_where_there_is_a_key(api, make_api):
    assert "signed_https" in api.get("/v2/limits").json["features"]
    assert "signed_https" not in make_api().get("/v2/limits").json["features"]
