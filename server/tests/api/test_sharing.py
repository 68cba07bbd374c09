"""Pre-signed access over REST (``rest-v2`` 2.8, ``notifications`` 10)."""

import datetime as dt

import pytest
from zaqarserver.operations.signed_urls import compute

Q = "/v2/queues/orders"
OPTIONS = "[signed_url]\nsecret_key = s3cret\n"


@pytest.fixture
def api(make_api):
    """A server with a signing key."""
    return make_api(OPTIONS)


def share(api, queue="orders", **grant):
    answer = api.post(f"/v2/queues/{queue}/share", grant)
    assert answer.status == 200, answer.content
    return answer.json


def headers_of(grant, **other):
    return {
        "URL-Signature": grant["signature"],
        "URL-Expires": grant["expires"],
        "URL-Methods": ",".join(grant["methods"]),
        "URL-Paths": ",".join(grant["paths"]),
        "X-Project-ID": grant["project"],
        **other,
    }


@pytest.mark.parametrize(
    ("key", "paths", "methods", "project", "expires", "signature"),
    [
        (
            "s3cret",
            ["/v2/queues/orders/claims", "/v2/queues/orders/messages"],
            ["DELETE", "GET"],
            "4f2a",
            "2031-03-03T09:00:00",
            "5ef3ebc4c19ce6079d2f47e81ba528b996e214bca6866df86bf9a8ffc7fb69cc",
        ),
        (
            "s3cr3t-key",
            ["/v2/queues/orders/messages", "/v2/queues/orders/claims"],
            ["POST", "GET"],
            "4b1d0c",
            "2031-05-04T03:02:01",
            "2cd1e4141bbd243345a4d70d1738d901d4a9fba7a08e843c81c69facf8abe3c0",
        ),
        (
            "s3cr3t-key",
            ["/v2/queues/orders/messages"],
            ["GET"],
            "4b1d0c",
            "2031-05-04T03:02:01",
            "bf5927b3bd7405c5b7a9ed18f1e6c27f9eeb7b466f8c7f4dcc6cabadc422f566",
        ),
    ],
)
def test_signatures_are_those_that_all_clients_know(
    key, paths, methods, project, expires, signature
):
    assert compute(key, paths, methods, project, expires) == signature


@pytest.mark.parametrize(
    ("given", "signed"),
    [
        ("2100-05-31T19:00:17+02", "2100-05-31T17:00:17"),
        ("2100-05-31T19:00:17.999999", "2100-05-31T19:00:17"),
        ("2100-05-31 19:00:17Z", "2100-05-31T19:00:17"),
        ("2100-05-31", "2100-05-31T00:00:00"),
    ],
)
def test_moments_are_brought_into_one_form(api, given, signed):
    assert share(api, expires=given)["expires"] == signed


@pytest.mark.parametrize(
    "body",
    [[], "x", {"paths": ["messages", "stats"]}, {"expires": ["2100-01-01"]}],
    ids=str,
)
def test_what_cannot_be_granted_is_refused(api, body):
    assert api.post(Q + "/share", body).status == 400


def test_a_server_without_a_key_signs_nothing_and_believes_nothing(make_api):
    api = make_api()
    assert api.post(Q + "/share", {}).status == 400
    forged = {
        "signature": compute(
            "", [Q + "/messages"], ["GET"], "4f2a", "2100-01-01T00:00:00"
        ),
        "expires": "2100-01-01T00:00:00",
        "methods": ["GET"],
        "paths": [Q + "/messages"],
        "project": "4f2a",
    }
    assert api.get(Q + "/messages", headers=headers_of(forged)).status == 404


def test_a_grant_opens_its_paths_and_what_is_below_with_its_methods(api):
    grant = headers_of(share(api, methods=["GET", "POST"]), **{"X-Roles": "admin"})
    posted = api.post(Q + "/messages", {"messages": [{"body": 1}]}, headers=grant)
    assert posted.status == 201
    where = posted.json["resources"][0]
    assert api.get(where, headers=grant).status == 200
    assert api.get(Q + "/messages?echo=1", headers=grant).json["messages"] != []
    for method, path in (
        ("DELETE", where),
        ("GET", Q),
        ("GET", Q + "/stats"),
        ("POST", Q + "/claims"),
        ("POST", Q + "/share"),
        ("GET", "/v2/queues"),
        ("GET", "/v2/queues/ordersX/messages"),
        ("GET", Q + "/messagesX"),
    ):
        answer = api.request(
            method, path, {} if method == "POST" else None, headers=grant
        )
        assert answer.status == 404, (method, path)
        assert answer.json == {"title": "404 Not Found"}


def test_a_dot_in_a_queue_name_is_no_wildcard(api):
    grant = headers_of(share(api, "a.b"))
    assert api.get("/v2/queues/a.b/messages", headers=grant).status == 200
    assert api.get("/v2/queues/axb/messages", headers=grant).status == 404


@pytest.mark.parametrize(
    "change",
    [
        {"URL-Signature": ""},
        {"URL-Signature": "0" * 64},
        {"URL-Signature": "é".encode().decode("latin-1")},
        {"URL-Expires": "2100-01-01T00:00:00"},
        {"URL-Expires": "soon"},
        {"URL-Expires": ""},
        {"URL-Methods": "GET,DELETE"},
        {"URL-Paths": Q + "/messages," + Q},
        {"X-Project-ID": "other"},
        {"X-Project-ID": ""},
    ],
    ids=str,
)
def test_a_grant_that_was_changed_finds_nothing(api, change):
    grant = headers_of(share(api))
    assert api.get(Q + "/messages", headers=grant).status == 200
    assert api.get(Q + "/messages", headers={**grant, **change}).status == 404


def test_a_grant_ends(api):
    moment = dt.datetime.fromtimestamp(api.now + 100, dt.UTC)
    grant = headers_of(share(api, expires=moment.isoformat()))
    api.now += 99
    assert api.get(Q + "/messages", headers=grant).status == 200
    api.now += 1
    assert api.get(Q + "/messages", headers=grant).status == 404


def test_a_grant_carries_no_roles(make_api):
    api = make_api(OPTIONS, message_delete_with_claim_id=True)
    (id_,) = api.post_bodies("orders", 1)
    grant = headers_of(share(api, methods=["DELETE"]), **{"X-Roles": "admin"})
    assert api.delete(f"{Q}/messages/{id_}", headers=grant).status == 400


# -- revoking -------------------------------------------------------------------


def revoke(api, queue="orders"):
    """Revoke all that a queue has shared."""
    path = f"/v2/queues/{queue}/signed_urls"
    for item in api.get(path).json["signed_urls"]:
        answer = api.delete(f"{path}/{item['id']}")
        assert (answer.status, answer.content) == (204, b"")


def test_a_revoked_signature_finds_nothing_from_the_next_request_on(api):
    revoked = headers_of(share(api))
    revoke(api)
    other = headers_of(share(api, methods=["GET", "POST"]))
    answer = api.get(Q + "/messages", headers=revoked)
    assert answer.status == 404
    assert answer.json == {"title": "404 Not Found"}
    reordered = {**revoked, "URL-Expires": revoked["URL-Expires"] + "Z"}
    assert api.get(Q + "/messages", headers=reordered).status == 404
    assert api.get(Q + "/messages", headers=other).status == 200


def test_a_revoked_signature_stays_revoked_until_it_ends(api):
    moment = dt.datetime.fromtimestamp(api.now + 100, dt.UTC)
    grant = headers_of(share(api, expires=moment.isoformat()))
    revoke(api)
    api.run(api.storage.sweep(api.now + 99))
    assert api.get(Q + "/messages", headers=grant).status == 404
    api.now += 101
    while api.run(api.storage.sweep(api.now)):
        pass
    assert api.get(Q + "/messages", headers=grant).status == 404


def test_what_nobody_put_on_record_is_valid_all_the_same(api):
    # As a tool does that knows the key, or an earlier release did.
    expires = "2100-01-01T00:00:00"
    signed = compute("s3cret", [Q + "/messages"], ["GET"], "4f2a", expires)
    grant = {
        "signature": signed,
        "expires": expires,
        "methods": ["GET"],
        "paths": [Q + "/messages"],
        "project": "4f2a",
    }
    assert api.get(Q + "/messages", headers=headers_of(grant)).status == 200


@pytest.mark.parametrize("path", [Q, "/v2/queues", "/v2"])
def test_no_signature_opens_what_is_its_owners_business(api, path):
    share(api)
    (shown,) = api.get(Q + "/signed_urls").json["signed_urls"]
    methods = ["DELETE", "GET", "PATCH", "POST", "PUT"]
    expires = "2100-01-01T00:00:00"
    grant = headers_of(
        {
            "signature": compute("s3cret", [path], methods, "4f2a", expires),
            "expires": expires,
            "methods": methods,
            "paths": [path],
            "project": "4f2a",
        }
    )
    for method, target, body in (
        ("POST", Q + "/share", {}),
        ("GET", Q + "/signed_urls", None),
        ("DELETE", f"{Q}/signed_urls/{shown['id']}", None),
        ("GET", Q + "/stats", None),
        ("POST", Q + "/purge", {}),
        ("GET", Q, None),
        ("PUT", Q, {}),
        ("DELETE", Q, None),
        ("GET", "/v2/queues", None),
        ("GET", "/v2/quotas", None),
    ):
        answer = api.request(method, target, body, headers=grant)
        assert answer.status == 404, (method, target)
    assert len(api.get(Q + "/signed_urls").json["signed_urls"]) == 1


def test_the_texts_of_refusals_say_what_to_do(make_api):
    api = make_api(OPTIONS, max_signed_urls_per_queue=1)
    share(api)
    full = api.post(Q + "/share", {"methods": ["POST"]})
    assert (full.status, full.json["title"]) == (409, "Resource conflict")
    assert "has 1 signed URLs that have not expired" in full.json["description"]
    revoke(api)
    again = api.post(Q + "/share", {})
    assert (again.status, "choose another expires" in again.json["description"]) == (
        409,
        True,
    )
    unknown = api.delete(Q + "/signed_urls/x")
    assert unknown.json["description"] == (
        "Queue orders has no signed URL x that has not expired."
    )


def test_a_link_leads_to_the_next_page(api):
    for day in range(1, 4):
        share(api, expires=f"2100-01-0{day}")
    page = api.get(Q + "/signed_urls?limit=2").json
    (link,) = page["links"]
    last = page["signed_urls"][-1]["id"]
    assert link == {
        "rel": "next",
        "href": f"{Q}/signed_urls?limit=2&marker={last}",
    }
    rest = api.get(link["href"]).json
    assert len(rest["signed_urls"]) == 1
    assert api.get(rest["links"][0]["href"]).json == {"signed_urls": [], "links": []}
