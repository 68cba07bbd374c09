"""Subscriptions over REST (``notifications`` 1 and 2)."""

import json

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


def test_ttl_and_options_have_defaults(api):
    shown = api.get(f"{S}/{subscribe(api)}").json
    assert (shown["ttl"], shown["options"]) == (3600, {})


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


@pytest.mark.parametrize(
    "uri",
    [
        "HTTP://x.example",
        "https://x.example:1/a?b=c",
        "mailto:a@b.example?subject=hi",
        "mailto:a@b.example",
    ],
)
def test_known_kinds_of_subscriber_are_kept_as_typed(api, uri):
    assert api.get(f"{S}/{subscribe(api, uri)}").json["subscriber"] == uri


def test_a_duplicate_that_is_not_confirmed_gives_the_id_there_is(api):
    first = subscribe(api, ttl=600)
    again = api.post(S, {"subscriber": HOOK, "ttl": 60, "options": {"x": 1}})
    assert (again.status, again.json["subscription_id"]) == (201, first)
    shown = api.get(f"{S}/{first}").json
    assert (shown["ttl"], shown["options"]) == (600, {})


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


def test_a_subscription_ends_to_the_second_and_may_be_made_again(api):
    id_ = subscribe(api, ttl=60)
    api.now += 59.9
    assert api.get(f"{S}/{id_}").status == 200
    api.now += 0.1
    assert api.get(f"{S}/{id_}").status == 404
    assert api.get(S).json["subscriptions"] == []
    assert api.patch(f"{S}/{id_}", {"ttl": 60}).status == 404
    assert subscribe(api) != id_


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
    [
        {},
        [],
        7,
        {"confirmed": True},
        {"subscriber": None, "ttl": None},
        {"ttl": 50},
        {"ttl": "60"},
        {"options": []},
        {"subscriber": "fake:x"},
        {"ttl": 60, "queue": "x"},
        {"ttl": 60, "subscription_id": "x"},
        {"ttl": 60, "project": "x"},
    ],
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


def test_a_change_to_a_subscriber_there_is_conflicts(api):
    subscribe(api, "http://a.example/")
    id_ = subscribe(api, "http://b.example/")
    assert api.patch(f"{S}/{id_}", {"subscriber": "http://a.example/"}).status == 409
    assert api.patch(f"{S}/{id_}", {"subscriber": "http://b.example/"}).status == 204


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


def test_a_new_subscriber_has_agreed_to_nothing(api):
    id_ = subscribe(api)
    api.put(f"{S}/{id_}/confirm", {"confirmed": True})
    api.patch(f"{S}/{id_}", {"subscriber": "http://new.example/"})
    assert api.get(f"{S}/{id_}").json["confirmed"] is False


def test_a_subscription_is_seen_under_its_own_queue_and_project_only(api):
    id_ = subscribe(api)
    other = "/v2/queues/others/subscriptions"
    for where, project in ((other, "4f2a"), (S, "other")):
        assert api.get(f"{where}/{id_}", project=project).status == 404
        assert api.patch(f"{where}/{id_}", {"ttl": 60}, project=project).status == 404
        confirm = f"{where}/{id_}/confirm"
        assert api.put(confirm, {"confirmed": True}, project=project).status == 404
        assert api.delete(f"{where}/{id_}", project=project).status == 204
    assert api.get(f"{S}/{id_}").json["confirmed"] is False


def test_deleting_can_be_repeated(api):
    id_ = subscribe(api)
    for _ in range(2):
        assert api.delete(f"{S}/{id_}").status == 204
    assert api.get(f"{S}/{id_}").status == 404


def test_a_deleted_queue_keeps_its_subscriptions_and_a_purge_takes_all(api):
    for number in range(30):
        subscribe(api, f"http://h{number}.example/")
    api.delete(Q)
    assert len(api.get(S + "?limit=20").json["subscriptions"]) == 20
    api.post(Q + "/purge", {"resource_types": ["messages"]})
    assert api.get(S).json["subscriptions"] != []
    api.post(Q + "/purge")
    assert json.loads(api.get(S).content)["subscriptions"] == []
