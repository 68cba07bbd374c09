"""Claims, lifetimes and dead letters (``rest-v2`` 2.9, 5.4, 5.6)."""

import re

import pytest

Q = "/v2/queues/orders"
DEAD = "/v2/queues/dead"
OTHER = "11111111-2222-3333-4444-555555555555"


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


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ttl": 60},
        {"grace": 60},
        {"ttl": 43200, "grace": 43200},
        {"limit": 1, "else": 2},
    ],
    ids=str,
)
def test_absent_members_take_their_defaults(api, body):
    api.post_bodies("orders", 1, 2)
    answer = claim(api, "", body)
    assert answer.status == 201
    assert len(answer.json["messages"]) == 2
    assert api.get(answer.headers["location"]).json["ttl"] == body.get("ttl", 300)


BAD_CLAIMS = [
    {"ttl": 59},
    {"ttl": 43201},
    {"ttl": "60"},
    {"ttl": None},
    {"ttl": 60.5},
    {"ttl": True},
    {"grace": 59},
    {"grace": 43201},
    {"grace": None},
    [],
    7,
    "x",
]


@pytest.mark.parametrize("body", BAD_CLAIMS, ids=str)
def test_a_claim_out_of_bounds_takes_nothing(api, body):
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


def test_an_expired_claim_is_gone_and_its_messages_are_free(api):
    api.post_bodies("orders", 1)
    first = claim(api, "", {"ttl": 60})
    where, (message,) = first.headers["location"], first.json["messages"]
    api.now += 59.9
    assert claim(api).status == 204
    api.now += 0.1
    assert api.get(where).status == 404
    assert api.patch(where, {"ttl": 60}).status == 404
    assert api.delete(message["href"]).status == 400
    (free,) = listed(api)
    assert "?" not in free["href"]
    assert api.get(Q + "/stats").json["messages"]["free"] == 1
    assert bodies(claim(api).json["messages"]) == [1]


def test_a_renewal_starts_the_clock_again_with_defaults_for_what_is_left_out(api):
    api.post_bodies("orders", 1)
    where = claim(api, "", {"ttl": 60}).headers["location"]
    api.now += 50
    renewed = api.patch(where, {})
    assert (renewed.status, renewed.content) == (204, b"")
    assert api.get(where).json["age"] == 0
    assert api.get(where).json["ttl"] == 300
    api.patch(where, {"ttl": 60, "grace": 60})
    api.now += 59
    assert api.get(where).json["age"] == 59
    api.now += 1
    assert api.get(where).status == 404


def test_a_release_frees_the_messages_at_once_and_can_be_repeated(api):
    api.post_bodies("orders", 1)
    where = claim(api).headers["location"]
    for _ in range(2):
        assert api.delete(where).status == 204
    assert api.get(where).status == 404
    assert bodies(claim(api).json["messages"]) == [1]


@pytest.mark.parametrize("id_", ["nope", "123", "%20", "f" * 200])
def test_a_claim_that_never_was(api, id_):
    api.put(Q)
    where = f"{Q}/claims/{id_}"
    assert api.get(where).status == 404
    assert api.patch(where, {}).status == 404
    assert api.delete(where).status == 204


def test_a_claim_of_another_queue_does_not_exist(api):
    api.post_bodies("orders", 1)
    api.put("/v2/queues/others")
    id_ = claim(api).headers["location"].rsplit("/", 1)[1]
    assert api.get(f"/v2/queues/others/claims/{id_}").status == 404
    assert api.patch(f"/v2/queues/others/claims/{id_}", {}).status == 404
    assert api.delete(f"/v2/queues/others/claims/{id_}").status == 204
    assert api.get(f"{Q}/claims/{id_}").status == 200


@pytest.mark.parametrize(
    ("ttl", "grace", "shown"),
    [(777, 60, 837), (777, 83, 860), (121, 62, 183), (60, 60, 120)],
)
def test_messages_that_would_end_before_their_claim_live_on(api, ttl, grace, shown):
    api.post_bodies("orders", 1, ttl=120)
    where = claim(api, "", {"ttl": ttl, "grace": grace}).headers["location"]
    (message,) = api.get(where).json["messages"]
    assert message["ttl"] == shown
    api.now += shown - 0.1
    assert len(listed(api, "echo=1&include_claimed=1")) == 1
    api.now += 0.1
    assert listed(api, "echo=1&include_claimed=1") == []


def test_a_renewal_extends_the_messages_too(api):
    api.post_bodies("orders", 1, ttl=120)
    where = claim(api, "", {"ttl": 60, "grace": 60}).headers["location"]
    api.patch(where, {"ttl": 500, "grace": 100})
    assert api.get(where).json["messages"][0]["ttl"] == 600


# -- dead letters -------------------------------------------------------------------


def exhaust(api, times):
    """Claim and release so many times."""
    for _ in range(times):
        where = claim(api).headers["location"]
        assert api.delete(where).status == 204


def test_the_claim_after_the_last_moves_the_message(api):
    api.put(Q, {"_max_claim_count": 2, "_dead_letter_queue": "dead"})
    (id_,) = api.post_bodies("orders", "poison")
    api.now += 5
    exhaust(api, 2)
    assert api.get("/v2/queues?name=dead").json["queues"] == []
    assert claim(api).status == 204
    assert listed(api, "echo=1&include_claimed=1") == []
    (moved,) = listed(api, queue=DEAD)
    assert moved == {
        "id": id_,
        "href": f"{DEAD}/messages/{id_}",
        "ttl": 600,
        "age": 5,
        "body": "poison",
    }
    assert api.get(f"{DEAD}/messages/{id_}").status == 200
    assert api.get(f"{Q}/messages/{id_}").status == 404
    assert api.get(DEAD + "/stats").json["messages"]["free"] == 1
    assert bodies(claim(api, queue=DEAD).json["messages"]) == ["poison"]


def test_a_claim_that_expires_counts_as_well_and_renewals_do_not(api):
    api.put(Q, {"_max_claim_count": 1, "_dead_letter_queue": "dead"})
    api.post_bodies("orders", 1, ttl=1000)
    where = claim(api, "", {"ttl": 60}).headers["location"]
    api.patch(where, {"ttl": 60})
    api.now += 60
    assert claim(api).status == 204
    assert len(listed(api, queue=DEAD)) == 1


def test_a_moved_message_lives_as_long_as_the_dead_letter_ttl_says(api):
    api.put(
        Q,
        {
            "_max_claim_count": 1,
            "_dead_letter_queue": "dead",
            "_dead_letter_queue_messages_ttl": 100,
        },
    )
    api.post_bodies("orders", 1)
    exhaust(api, 1)
    claim(api)
    (moved,) = listed(api, queue=DEAD)
    assert moved["ttl"] == 100
    api.now += 99.9
    assert len(listed(api, queue=DEAD)) == 1
    api.now += 0.1
    assert listed(api, queue=DEAD) == []


def test_others_are_claimed_while_one_is_moved(api):
    api.put(Q, {"_max_claim_count": 1, "_dead_letter_queue": "dead"})
    api.post_bodies("orders", "old")
    exhaust(api, 1)
    api.post_bodies("orders", "new")
    assert bodies(claim(api).json["messages"]) == ["new"]
    assert bodies(listed(api, queue=DEAD)) == ["old"]


@pytest.mark.parametrize(
    "metadata", [{"_max_claim_count": 1}, {"_dead_letter_queue": "dead"}], ids=str
)
def test_half_a_setting_moves_nothing(api, metadata):
    api.put(Q, metadata)
    api.post_bodies("orders", 1)
    exhaust(api, 5)
    assert claim(api).status == 201
