"""Claims over REST (``rest-v2`` 2.9): headers, hrefs and bodies."""

import re

import pytest

Q = "/v2/queues/orders"


def claim(api, query="", body=None, queue=Q):
    return api.post(f"{queue}/claims{query}", body)


def listed(api, query="echo=1", queue=Q):
    return api.get(f"{queue}/messages?{query}").json["messages"]


def bodies(found):
    return [message["body"] for message in found]


def test_a_claim_takes_the_oldest_free_messages_own_ones_too(api):
    ids = api.post_bodies("orders", *range(15))
    answer = claim(api)
    assert answer.status == 201
    assert set(answer.json) == {"messages"}
    where = answer.headers["location"]
    assert re.fullmatch(r"/v2/queues/orders/claims/[A-Za-z0-9_-]+", where)
    claim_id = where.rsplit("/", 1)[1]
    assert answer.json["messages"] == [
        {
            "id": ids[number],
            "href": f"{Q}/messages/{ids[number]}?claim_id={claim_id}",
            "ttl": 600,
            "age": 0,
            "body": number,
        }
        for number in range(10)
    ]
    assert bodies(claim(api, "?limit=20").json["messages"]) == list(range(10, 15))
    nothing = claim(api)
    assert (nothing.status, nothing.content) == (204, b"")
    assert "location" not in nothing.headers


def test_a_claimed_message_is_seen_by_those_who_ask_for_it(api):
    api.post_bodies("orders", 1, 2)
    claim(api, "?limit=1")
    assert bodies(listed(api)) == [2]
    found = listed(api, "echo=1&include_claimed=true")
    assert bodies(found) == [1, 2]
    assert "?claim_id=" in found[0]["href"]
    assert "?" not in found[1]["href"]


@pytest.mark.parametrize("body", [[], 7, "x"], ids=str)
def test_a_claim_by_what_is_no_object_takes_nothing(api, body):
    api.post_bodies("orders", 1)
    where = claim(api).headers["location"]
    assert api.patch(where, body).status == 400
    api.delete(where)
    assert claim(api, "", body).status == 400
    assert bodies(listed(api)) == [1]


def test_a_claim_shows_what_it_still_holds(api):
    ids = api.post_bodies("orders", 1, 2)
    answer = claim(api, "", {"ttl": 100})
    where = answer.headers["location"]
    api.now += 14
    shown = api.get(where)
    assert shown.status == 200
    assert shown.json == {
        "age": 14,
        "ttl": 100,
        "href": where,
        "messages": [{**message, "age": 14} for message in answer.json["messages"]],
    }
    api.delete(answer.json["messages"][0]["href"])
    assert [message["id"] for message in api.get(where).json["messages"]] == [ids[1]]
    api.delete(answer.json["messages"][1]["href"])
    assert api.get(where).status == 404
