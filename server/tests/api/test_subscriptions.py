"""Subscriptions over REST (``notifications`` 1 and 2)."""

import pytest

Q = "/v2/queues/orders"
S = Q + "/subscriptions"
HOOK = "http://trigger.example/in"


def subscribe(api, subscriber=HOOK, queue="orders", **members):
    answer = api.post(
        f"/v2/queues/{queue}/subscriptions", {"subscriber": subscriber, **members}
    )
    assert answer.status == 201, answer.content
    return answer.json["subscription_id"]


def test_a_subscription_is_made_with_its_queue_and_shown(api):
    answer = api.post(S, {"subscriber": HOOK, "ttl": 600, "options": {"a": 1}})
    assert answer.status == 201
    assert answer.headers["location"] == S
    assert set(answer.json) == {"subscription_id"}
    id_ = answer.json["subscription_id"]
    assert [q["name"] for q in api.get("/v2/queues").json["queues"]] == ["orders"]
    api.now += 12
    shown = {
        "id": id_,
        "source": "orders",
        "subscriber": HOOK,
        "ttl": 600,
        "age": 12,
        "options": {"a": 1},
        "confirmed": False,
    }
    assert api.get(f"{S}/{id_}").json == shown
    assert api.get(S).json["subscriptions"] == [shown]


@pytest.mark.parametrize(
    ("body", "fragment"),
    [
        ({}, "Missing parameter"),
        ({"ttl": 60}, "Missing parameter"),
        ([], "must be a dict"),
        ("x", "must be a dict"),
        ({"subscriber": "fake"}, "must be supported in the list"),
        ({"subscriber": "email://fake"}, "must be supported in the list"),
        ({"subscriber": ""}, "subscriber"),
        ({"subscriber": None}, "subscriber"),
        ({"subscriber": 7}, "subscriber"),
        ({"subscriber": "http:"}, "subscriber"),
        ({"subscriber": "http://"}, "subscriber"),
        ({"subscriber": "http://a b/"}, "subscriber"),
        ({"subscriber": "http://a:99999/"}, "subscriber"),
        ({"subscriber": "http://[::1/"}, "subscriber"),
        ({"subscriber": "mailto:nobody"}, "subscriber"),
        ({"subscriber": "trust+http://x.example/"}, "Keystone"),
        ({"subscriber": HOOK, "options": 1}, "must be a dict"),
        ({"subscriber": HOOK, "options": "123"}, "must be a dict"),
        ({"subscriber": HOOK, "options": []}, "must be a dict"),
        ({"subscriber": HOOK, "options": None}, "must be a dict"),
        ({"subscriber": HOOK, "options": {"post_data": {}}}, "post_data"),
        ({"subscriber": HOOK, "options": {"post_headers": {"a": 1}}}, "post_headers"),
        ({"subscriber": HOOK, "options": {"post_headers": "a"}}, "post_headers"),
        ({"subscriber": HOOK, "options": {"subject": "a\nb: c"}}, "subject"),
        (
            {"subscriber": HOOK, "options": {"_retry_policy": {"minimum_delay": 29}}},
            "minimum_delay",
        ),
        ({"subscriber": HOOK, "ttl": "60"}, "must be an integer"),
        ({"subscriber": HOOK, "ttl": 60.5}, "must be an integer"),
        ({"subscriber": HOOK, "ttl": None}, "must be an integer"),
        ({"subscriber": HOOK, "ttl": True}, "must be an integer"),
        ({"subscriber": HOOK, "ttl": 59}, "at least 60"),
        ({"subscriber": HOOK, "ttl": 0}, "at least 60"),
        ({"subscriber": HOOK, "ttl": 2**62}, "must be less than"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(api, body, fragment):
    answer = api.post(S, body)
    assert answer.status == 400
    assert fragment in answer.json["description"]
    assert api.get("/v2/queues").json["queues"] == []


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff"])
def test_a_body_that_is_no_json_is_refused(api, raw):
    answer = api.post(S, raw=raw)
    assert answer.status == 400
    fragment = "body could not be parsed" if raw else "Missing parameter"
    assert fragment in answer.json["description"]


def test_a_duplicate_that_is_confirmed_conflicts(api):
    id_ = subscribe(api)
    assert api.put(f"{S}/{id_}/confirm", {"confirmed": True}).status == 204
    again = api.post(S, {"subscriber": HOOK})
    assert again.status == 409
    assert again.headers["location"] == S


def test_lists_go_on_page_by_page(api):
    ids = [subscribe(api, f"http://h{number}.example/") for number in range(12)]
    first = api.get(S)
    assert [item["id"] for item in first.json["subscriptions"]] == ids[:10]
    second = api.get(first.json["links"][0]["href"])
    assert [item["id"] for item in second.json["subscriptions"]] == ids[10:]
    assert api.get(second.json["links"][0]["href"]).json == {
        "subscriptions": [],
        "links": [],
    }
    assert api.get(S + "?limit=21").status == 400
    assert api.get("/v2/queues/none/subscriptions").json["subscriptions"] == []


def test_a_change_replaces_what_is_named_and_starts_the_ttl_again(api):
    id_ = subscribe(api, ttl=60, options={"a": 1})
    api.now += 50
    answer = api.patch(f"{S}/{id_}", {"ttl": 100})
    assert (answer.status, answer.headers["location"]) == (204, f"{S}/{id_}")
    api.now += 60
    assert api.get(f"{S}/{id_}").json["options"] == {"a": 1}
    new = {"subscriber": "http://new.example/", "options": {}}
    assert api.patch(f"{S}/{id_}", new).status == 204
    shown = api.get(f"{S}/{id_}").json
    assert (shown["subscriber"], shown["options"]) == ("http://new.example/", {})


@pytest.mark.parametrize(
    "body",
    [[], 7, {"ttl": 60, "subscription_id": "x"}],
    ids=str,
)
def test_a_change_that_makes_no_sense_is_refused_before_anything_is_looked_up(
    api, body
):
    assert api.patch(f"{S}/none", body).status == 400
    id_ = subscribe(api)
    before = api.get(f"{S}/{id_}").json
    assert api.patch(f"{S}/{id_}", body).status == 400
    assert api.get(f"{S}/{id_}").json == before


def test_the_owner_may_confirm_and_take_it_back(api):
    id_ = subscribe(api)
    for confirmed in (True, True, False):
        answer = api.put(f"{S}/{id_}/confirm", {"confirmed": confirmed})
        assert answer.status == 204
        assert answer.headers["location"] == f"{S}/{id_}/confirm"
        assert api.get(f"{S}/{id_}").json["confirmed"] is confirmed
    assert api.put(f"{S}/none/confirm", {"confirmed": True}).status == 404
    assert api.post(f"{S}/{id_}/confirm", {"confirmed": True}).status == 405


@pytest.mark.parametrize(
    "body",
    [{}, {"confirmed": 1}, {"confirmed": "true"}, {"confirmed": None}, [True]],
    ids=str,
)
def test_a_confirmation_is_a_boolean(api, body):
    id_ = subscribe(api)
    answer = api.put(f"{S}/{id_}/confirm", body)
    assert answer.status == 400
    assert answer.json["description"] == "The 'confirmed' should be boolean."
