"""Queues (``rest-v2`` 2.3 to 2.6 and 3)."""

import urllib.parse

import pytest

Q = "/v2/queues/orders"
PATCH = {"Content-Type": "application/openstack-messaging-v2.0-json-patch"}
SHOWN = {
    "_max_messages_post_size": 262144,
    "_default_message_ttl": 3600,
    "_default_message_delay": 0,
    "_dead_letter_queue": None,
    "_dead_letter_queue_messages_ttl": None,
    "_max_claim_count": None,
    "_enable_encrypt_messages": False,
}


def patch(api, *operations, queue="orders"):
    return api.patch(f"/v2/queues/{queue}", list(operations), headers=PATCH)


def names(answer):
    return [queue["name"] for queue in answer.json["queues"]]


def follow(api, answer):
    (link,) = answer.json["links"]
    assert link["rel"] == "next"
    return api.get(link["href"])


# -- create, show, delete -------------------------------------------------------


def test_a_new_queue_is_created_and_an_existing_one_is_left_alone(api):
    first = api.put(Q, {"team": "billing"})
    again = api.put(Q, {"team": "other"})
    assert (first.status, again.status) == (201, 204)
    assert first.headers["location"] == again.headers["location"] == Q
    assert first.content == again.content == b""
    assert api.get(Q).json == {"team": "billing", **SHOWN}


def test_a_missing_queue_shows_defaults_and_zeros_and_is_not_made(api):
    assert api.get(Q).json == SHOWN
    assert api.get(Q + "/stats").json == {
        "messages": {"claimed": 0, "free": 0, "total": 0}
    }
    assert api.get(Q + "/messages").json == {"messages": [], "links": []}
    assert api.delete(Q).status == 204
    assert api.post(Q + "/purge").status == 204
    assert api.post(Q + "/claims").status == 204
    assert api.delete(Q + "/messages?pop=1").json == {"messages": []}
    assert names(api.get("/v2/queues")) == []


@pytest.mark.parametrize("raw", [b"[]", b"7", b'"x"', b"{", b"null", b'{"a": 1e999}'])
def test_metadata_is_a_json_object(api, raw):
    assert api.put(Q, raw=raw).status == 400
    assert names(api.get("/v2/queues")) == []


@pytest.mark.parametrize(
    "metadata",
    [
        {"_max_messages_post_size": 0},
        {"_default_message_ttl": "60"},
        {"_default_message_delay": -1},
        {"_dead_letter_queue": 7},
        {"_dead_letter_queue_messages_ttl": 59},
        {"_max_claim_count": True},
        {"_enable_encrypt_messages": "yes"},
        {"_flavor": 7},
        {"_retry_policy": []},
    ],
    ids=str,
)
def test_an_attribute_that_is_refused_is_named(api, metadata):
    ((key, value),) = metadata.items()
    answer = api.put(Q, metadata)
    assert (answer.status, key in answer.json["description"]) == (400, True)
    api.put(Q)
    answer = patch(api, {"op": "add", "path": f"/metadata/{key}", "value": value})
    assert (answer.status, key in answer.json["description"]) == (400, True)


def test_null_means_unset_and_falsy_values_show_the_default(api):
    assert api.put(Q, dict.fromkeys(SHOWN)).status == 201
    assert api.get(Q).json == SHOWN


# -- patch --------------------------------------------------------------------


@pytest.mark.parametrize("key", SHOWN)
def test_attributes_that_always_show_can_be_replaced_and_removed_unset(api, key):
    api.put(Q)
    value = {"_dead_letter_queue": "dead", "_enable_encrypt_messages": False}.get(
        key, 100
    )
    answer = patch(api, {"op": "replace", "path": f"/metadata/{key}", "value": value})
    assert answer.status == 200
    assert answer.json[key] == value
    for _ in range(2):
        answer = patch(api, {"op": "remove", "path": f"/metadata/{key}"})
        assert (answer.status, answer.json) == (200, SHOWN)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "application/json",
        "application/openstack-messaging-v2.0-json-patch; charset=utf-8",
    ],
)
def test_a_patch_needs_its_media_type(api, sent):
    api.put(Q)
    headers = {"Content-Type": sent} if sent else {}
    for raw in (b"[]", b"{", b""):
        answer = api.patch(Q, raw=raw, headers=headers)
        assert answer.status == 415
        assert answer.headers["accept-patch"] == PATCH["Content-Type"]


@pytest.mark.parametrize("raw", [b"", b"{}", b"7", b"{", b'"add"'])
def test_a_patch_is_an_array(api, raw):
    api.put(Q)
    assert api.patch(Q, raw=raw, headers=PATCH).status == 400


# -- list ---------------------------------------------------------------------


def test_queues_are_listed_by_name_and_by_project(api):
    for name in ("b", "a.b", "B", "a"):
        api.put(f"/v2/queues/{name}")
    api.put("/v2/queues/c", project="other")
    answer = api.get("/v2/queues")
    assert names(answer) == ["B", "a", "a.b", "b"]
    assert answer.json["queues"][1] == {"name": "a", "href": "/v2/queues/a"}
    assert names(api.get("/v2/queues", project="third")) == []


def test_pages_follow_each_other_to_the_end(api):
    wanted = [f"q{number:02}" for number in range(7)]
    for name in wanted:
        api.put(f"/v2/queues/{name}", {"colour": "red"})
    seen = []
    page = api.get("/v2/queues?limit=3&detailed=true&with_count=true&colour=red&name=q")
    while page.json["links"]:
        assert page.json["count"] == 7
        assert all(q["metadata"]["colour"] == "red" for q in page.json["queues"])
        query = urllib.parse.urlsplit(page.json["links"][0]["href"]).query
        sent = urllib.parse.parse_qs(query)
        assert sent.pop("marker") == [names(page)[-1]]
        assert sent == {
            "limit": ["3"],
            "detailed": ["true"],
            "with_count": ["true"],
            "colour": ["red"],
            "name": ["q"],
        }
        seen += names(page)
        page = follow(api, page)
    assert seen == wanted
    assert page.json == {"queues": [], "links": [], "count": 7}


def test_a_marker_need_not_exist(api):
    for name in ("a", "c"):
        api.put(f"/v2/queues/{name}")
    assert names(api.get("/v2/queues?marker=b")) == ["c"]
    assert api.get("/v2/queues?marker=zzz").json == {"queues": [], "links": []}
    assert names(api.get("/v2/queues?marker=bad%40name")) == ["c"]


def test_detailed_items_show_what_a_get_shows(api):
    api.put(Q, {"a": 1})
    (item,) = api.get("/v2/queues?detailed=1").json["queues"]
    assert item == {"name": "orders", "href": Q, "metadata": api.get(Q).json}


def test_the_count_ignores_filters_and_is_there_only_when_asked_for(api):
    api.put("/v2/queues/a")
    api.put("/v2/queues/b")
    assert api.get("/v2/queues?with_count=true&name=a").json["count"] == 2
    assert api.get("/v2/queues?with_count=1", project="x").json["count"] == 0
    assert "count" not in api.get("/v2/queues").json


def test_metadata_filters_match_stored_values(api):
    api.put("/v2/queues/a", {"n": 7, "s": "7", "t": "x", "b": True})
    api.put("/v2/queues/b", {"n": 8, "s": "8", "t": "x"})
    assert names(api.get("/v2/queues?n=7")) == ["a"]
    assert names(api.get("/v2/queues?s=8")) == ["b"]
    assert names(api.get("/v2/queues?t=x")) == ["a", "b"]
    assert names(api.get("/v2/queues?t=x&n=8")) == ["b"]
    assert names(api.get("/v2/queues?n=7,8")) == ["a", "b"]
    assert names(api.get("/v2/queues?b=1")) == []
    assert names(api.get("/v2/queues?unknown=x")) == []
    assert names(api.get("/v2/queues?_default_message_ttl=3600")) == []


# -- stats and purge -------------------------------------------------------------


def test_stats_count_and_name_the_oldest_and_newest(api):
    ids = api.post_bodies("orders", 1)
    api.now += 10
    ids += api.post_bodies("orders", 2)
    api.post(Q + "/claims?limit=1", {"ttl": 60})
    api.now += 5
    stats = api.get(Q + "/stats").json["messages"]
    assert {key: stats[key] for key in ("claimed", "free", "total")} == {
        "claimed": 1,
        "free": 1,
        "total": 2,
    }
    assert stats["oldest"] == {
        "href": f"{Q}/messages/{ids[0]}",
        "age": 15,
        "created": "1970-01-12T13:46:40Z",
    }
    assert stats["newest"]["age"] == 5
    assert api.get(stats["newest"]["href"]).json["id"] == ids[1]


@pytest.mark.parametrize(
    "body",
    [{}, {"resource_types": None}, ["messages"]],
    ids=str,
)
def test_a_purge_of_anything_else_is_refused(api, body):
    api.post_bodies("orders", 1)
    assert api.post(Q + "/purge", body).status == 400
    assert api.get(Q + "/stats").json["messages"]["total"] == 1
