"""Messages (``rest-v2`` 2.7, 4 and 5)."""

import json
import urllib.parse

import pytest

Q = "/v2/queues/orders"
CLIENT = "3381af922b9e11e3b19171861300734c"
OTHER = "11111111-2222-3333-4444-555555555555"


def messages(api, query="echo=true", **kwargs):
    answer = api.get(f"{Q}/messages?{query}", **kwargs)
    assert answer.status == 200, answer.content
    return answer.json["messages"]


def bodies(found):
    return [message["body"] for message in found]


# -- post -----------------------------------------------------------------------


def test_a_post_stores_messages_in_order_and_says_where_they_are(api):
    answer = api.post(
        Q + "/messages", {"messages": [{"body": "a"}, {"body": None, "ttl": 60}]}
    )
    assert answer.status == 201
    assert set(answer.json) == {"resources"}
    first, second = answer.json["resources"]
    ids = [href.removeprefix(Q + "/messages/") for href in (first, second)]
    assert answer.headers["location"] == f"{Q}/messages?ids={ids[0]},{ids[1]}"
    assert api.get(answer.headers["location"]).json["messages"] == [
        {"id": ids[0], "href": first, "ttl": 3600, "age": 0, "body": "a"},
        {"id": ids[1], "href": second, "ttl": 60, "age": 0, "body": None},
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"sku": 9, "tags": ["a", "b"], "deep": {"x": {"y": [None, True, 1.5]}}},
        'hé ☃ 🎉 \u0000 "quoted" \\',
        [],
        {},
        "",
        0,
        False,
        None,
        [[[[]]]],
    ],
    ids=repr,
)
def test_any_json_body_comes_back_as_it_was(api, body):
    api.post_bodies("orders", body)
    assert bodies(messages(api)) == [body]
    assert bodies(api.post(Q + "/claims").json["messages"]) == [body]


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        [{"body": 1}],
        {"messages": []},
        {"messages": {}},
        {"messages": None},
        {"messages": "x"},
        {"messages": [1]},
        {"messages": [None]},
        {"messages": [[{"body": 1}]]},
        {"messages": [{}]},
        {"messages": [{"ttl": 60}]},
        {"messages": [{"body": 1, "ttl": 59}]},
        {"messages": [{"body": 1, "ttl": 1209601}]},
        {"messages": [{"body": 1, "ttl": "60"}]},
        {"messages": [{"body": 1, "ttl": 60.5}]},
        {"messages": [{"body": 1, "ttl": None}]},
        {"messages": [{"body": 1, "ttl": True}]},
        {"messages": [{"body": 1}, {"body": 2, "ttl": -1}]},
    ],
    ids=str,
)
def test_a_post_that_is_wrong_in_one_place_stores_nothing(api, document):
    answer = api.post(Q + "/messages", document)
    assert answer.status == 400
    assert set(answer.json) == {"title", "description"}
    assert api.get("/v2/queues").json["queues"] == []


def test_an_error_names_the_message_and_the_bounds(api):
    answer = api.post(
        Q + "/messages", {"messages": [{"body": 1}, {"body": 2, "ttl": 59}]}
    )
    assert "messages[1].ttl" in answer.json["description"]
    assert "between 60 and 1209600" in answer.json["description"]


def test_a_queues_own_ttl_is_the_default(api):
    api.put(Q, {"_default_message_ttl": 77})
    api.post(Q + "/messages", {"messages": [{"body": 1}, {"body": 2, "ttl": 99}]})
    assert [message["ttl"] for message in messages(api)] == [77, 99]


def test_a_queues_own_size_limit_counts_every_byte(api):
    api.put(Q, {"_max_messages_post_size": 40})
    document = b'{"messages": [{"body": "%s"}]}'
    fits = document % (b"x" * (40 - len(document) + 2))
    assert len(fits) == 40
    assert api.post(Q + "/messages", raw=fits).status == 201
    assert api.post(Q + "/messages", raw=fits + b" ").status == 400


def test_many_messages_may_come_at_once(api):
    ids = api.post_bodies("orders", *range(500))
    assert len(set(ids)) == 500
    assert ids == sorted(ids)


# -- list -----------------------------------------------------------------------


def test_own_messages_are_left_out_unless_asked_for(api):
    api.post_bodies("orders", "mine")
    api.post_bodies("orders", "theirs", client=OTHER)
    assert bodies(messages(api, "")) == ["theirs"]
    assert bodies(messages(api)) == ["mine", "theirs"]


def test_pages_follow_each_other_and_end_with_an_empty_one(api):
    api.post_bodies("orders", *range(25))
    seen, page = [], api.get(Q + "/messages?limit=10&echo=true")
    while page.json["links"]:
        seen += bodies(page.json["messages"])
        (link,) = page.json["links"]
        parts = urllib.parse.urlsplit(link["href"])
        assert parts.path == Q + "/messages"
        sent = urllib.parse.parse_qs(parts.query)
        assert (sent["limit"], sent["echo"]) == (["10"], ["true"])
        page = api.get(link["href"])
    assert seen == list(range(25))
    assert page.json == {"messages": [], "links": []}


def test_a_page_is_full_however_many_others_lie_between(api):
    for number in range(60):
        client = OTHER if number % 20 == 0 else CLIENT
        api.post_bodies("orders", number, client=client)
    assert bodies(messages(api, "limit=3")) == [0, 20, 40]


def test_a_message_id_is_a_marker_even_when_the_message_is_gone(api):
    ids = api.post_bodies("orders", *range(5))
    api.delete(f"{Q}/messages/{ids[2]}")
    assert bodies(messages(api, f"echo=1&marker={ids[2]}")) == [3, 4]
    assert bodies(messages(api, f"echo=1&marker={ids[4]}")) == []


@pytest.mark.parametrize("marker", ["xyz", "-1", "%00", "%F0%9F%8E%89", "0" * 500])
def test_a_marker_that_is_no_id_gives_an_empty_page(api, marker):
    api.post_bodies("orders", 1)
    answer = api.get(f"{Q}/messages?echo=1&marker={marker}")
    assert answer.status == 200
    assert answer.json == {"messages": [], "links": []}


def test_messages_age_and_expire_to_the_second(api):
    api.post_bodies("orders", 1, ttl=60)
    api.now += 59.9
    assert [message["age"] for message in messages(api)] == [59]
    api.now += 0.1
    assert messages(api) == []
    assert api.get(Q + "/stats").json["messages"]["total"] == 0


# -- by id ----------------------------------------------------------------------


def test_a_message_is_shown_by_id_claimed_or_not(api):
    (id_,) = api.post_bodies("orders", "x")
    message = api.get(f"{Q}/messages/{id_}").json
    assert message == {
        "id": id_,
        "href": f"{Q}/messages/{id_}",
        "ttl": 600,
        "age": 0,
        "body": "x",
    }
    claimed = api.post(Q + "/claims").json["messages"][0]
    assert api.get(f"{Q}/messages/{id_}").json == claimed
    assert api.get(claimed["href"]).json == claimed


def test_a_set_of_messages_comes_in_the_order_asked_for(api):
    ids = api.post_bodies("orders", 0, 1, 2)
    for query in (
        f"ids={ids[2]},nope,{ids[0]}",
        f"ids={ids[2]}&ids={ids[0]}",
        f"ids={ids[2]}%2C{ids[0]}&echo=false",
    ):
        answer = api.get(f"{Q}/messages?{query}")
        assert set(answer.json) == {"messages"}
        assert bodies(answer.json["messages"]) == [2, 0]


def test_ids_that_name_nothing_are_not_found(api):
    api.post_bodies("orders", 1)
    for path in ("?ids=a", "?ids=a,b", "/a", "/%20", "/" + "f" * 300):
        assert api.get(f"{Q}/messages{path}").status == 404
    assert api.get("/v2/queues/none/messages?ids=a").status == 404


def test_an_empty_set_of_ids_is_a_plain_list(api):
    api.post_bodies("orders", 1)
    assert "links" in api.get(f"{Q}/messages?ids=&echo=1").json


def test_at_most_a_page_of_ids_is_taken(api):
    many = ",".join(f"x{number}" for number in range(21))
    assert api.get(f"{Q}/messages?ids={many}").status == 400
    assert api.delete(f"{Q}/messages?ids={many}").status == 400


def test_ids_of_another_queue_do_not_exist(api):
    (id_,) = api.post_bodies("orders", 1)
    api.put("/v2/queues/others")
    assert api.get(f"/v2/queues/others/messages/{id_}").status == 404
    assert api.delete(f"/v2/queues/others/messages/{id_}").status == 204
    assert api.get(f"{Q}/messages/{id_}").status == 200


# -- delete ---------------------------------------------------------------------


def test_deleting_is_done_once_and_never_an_error_again(api):
    (id_,) = api.post_bodies("orders", 1)
    for path in (f"/{id_}", f"/{id_}", "/nope", f"/{id_}?claim_id=nope"):
        answer = api.delete(f"{Q}/messages{path}")
        assert (answer.status, answer.content) == (204, b"")
    assert messages(api) == []


def test_a_set_is_deleted_claimed_or_not(api):
    ids = api.post_bodies("orders", 0, 1, 2)
    claim = api.post(Q + "/claims?limit=1").headers["location"]
    assert api.delete(f"{Q}/messages?ids={ids[0]},{ids[1]},nope").status == 204
    assert api.get(claim).status == 404
    assert bodies(messages(api)) == [2]


@pytest.mark.parametrize(
    "query",
    ["", "?ids=", "?pop=", "?pop=1&ids=a", "?pop=0", "?pop=21", "?pop=-1", "?pop=x"],
)
def test_deleting_needs_either_ids_or_pop(api, query):
    api.post_bodies("orders", 1)
    assert api.delete(f"{Q}/messages{query}").status == 400
    assert len(messages(api)) == 1


@pytest.mark.parametrize(
    ("holder", "sent", "status"),
    [
        ("free", None, 204),
        ("free", "live", 400),
        ("free", "malformed", 400),
        ("expired", None, 204),
        ("expired", "own", 400),
        ("expired", "malformed", 400),
        ("claimed", None, 403),
        ("claimed", "own", 204),
        ("claimed", "live", 403),
        ("claimed", "malformed", 400),
    ],
)
def test_who_may_delete_a_message(api, holder, sent, status):
    (id_,) = api.post_bodies("orders", 1)
    claims = {"malformed": "123"}
    if holder != "free":
        claims["own"] = (
            api.post(Q + "/claims", {"ttl": 60}).headers["location"].rsplit("/")[-1]
        )
    if holder == "expired":
        api.now += 60
    if sent == "live":
        (extra,) = api.post_bodies("orders", 2)
        if holder == "free":
            # Leave the first one free: claim both, then release by renewal of none.
            api.delete(f"{Q}/messages/{id_}")
            first = extra
            (id_,) = api.post_bodies("orders", 3)
            assert first
        taken = api.post(Q + "/claims?limit=1", {"ttl": 300})
        assert id_ not in [message["id"] for message in taken.json["messages"]]
        claims["live"] = taken.headers["location"].rsplit("/")[-1]
    query = f"?claim_id={claims[sent]}" if sent else ""
    answer = api.delete(f"{Q}/messages/{id_}{query}")
    assert answer.status == status, answer.content
    assert api.get(f"{Q}/messages/{id_}").status == (404 if status == 204 else 200)


# -- pop ------------------------------------------------------------------------


def test_a_pop_removes_the_oldest_free_messages_own_ones_too(api):
    ids = api.post_bodies("orders", 0, 1, 2, 3)
    api.post(Q + "/claims?limit=1")
    answer = api.delete(Q + "/messages?pop=2")
    assert answer.status == 200
    assert answer.json == {
        "messages": [
            {
                "id": ids[number],
                "ttl": 600,
                "age": 0,
                "body": number,
                "claim_id": None,
                "claim_count": 0,
            }
            for number in (1, 2)
        ]
    }
    assert bodies(messages(api)) == [3]


def test_a_pop_tells_how_often_a_message_was_claimed(api):
    api.post_bodies("orders", 1)
    for _ in range(2):
        api.delete(api.post(Q + "/claims").headers["location"])
    (message,) = api.delete(Q + "/messages?pop=5").json["messages"]
    assert (message["claim_count"], message["claim_id"]) == (2, None)


# -- deletes that need a claim -----------------------------------------------------


@pytest.fixture
def strict(make_api):
    """A server where messages are deleted with their claim only."""
    return make_api(message_delete_with_claim_id=True)


def test_a_set_is_deleted_only_under_the_claims_named(strict):
    ids = strict.post_bodies("orders", 0, 1)
    claim = strict.post(Q + "/claims?limit=1").headers["location"].rsplit("/")[-1]
    both = f"{Q}/messages?ids={ids[0]},{ids[1]}"
    assert strict.delete(both).status == 400
    assert strict.delete(f"{both}&claim_ids={claim}").status == 403
    assert strict.delete(f"{both}&claim_ids=x,y").status == 403
    assert len(messages(strict, "echo=1&include_claimed=1")) == 2
    assert strict.delete(f"{Q}/messages?ids={ids[0]}&claim_ids=x,{claim}").status == 204
    assert len(messages(strict, "echo=1&include_claimed=1")) == 1


def test_a_single_message_needs_its_claim_except_for_administrators(strict):
    (id_,) = strict.post_bodies("orders", 0)
    assert strict.delete(f"{Q}/messages/{id_}").status == 400
    assert (
        strict.delete(f"{Q}/messages/{id_}", headers={"X-Roles": "admin"}).status == 204
    )


def test_a_pop_goes_without_claims(strict):
    strict.post_bodies("orders", 0)
    assert strict.delete(Q + "/messages?pop=1&claim_ids=x").status == 400
    assert bodies(strict.delete(Q + "/messages?pop=1").json["messages"]) == [0]


# -- delay ----------------------------------------------------------------------


def test_a_delayed_message_is_hidden_until_its_time(api):
    api.put(Q, {"_default_message_delay": 30})
    (id_,) = api.post_bodies("orders", 1)
    assert messages(api) == []
    assert api.post(Q + "/claims").status == 204
    assert api.delete(Q + "/messages?pop=1").json["messages"] == []
    assert bodies(messages(api, "echo=1&include_delayed=1")) == [1]
    assert api.get(f"{Q}/messages/{id_}").status == 200
    api.now += 29.9
    assert messages(api) == []
    api.now += 0.1
    assert bodies(messages(api)) == [1]
    assert api.post(Q + "/claims").status == 201


def test_a_message_may_choose_its_delay_on_a_delayed_queue(api):
    api.put(Q, {"_default_message_delay": 30})
    document = {
        "messages": [
            {"body": "now", "delay": 0},
            {"body": "late", "delay": 90},
            {"body": "default"},
        ]
    }
    assert api.post(Q + "/messages", document).status == 201
    assert bodies(messages(api)) == ["now"]
    api.now += 30
    assert bodies(messages(api)) == ["now", "default"]
    api.now += 60
    assert bodies(messages(api)) == ["now", "late", "default"]


@pytest.mark.parametrize("delay", [-1, 901, "5", 1.5, None, True])
def test_a_delay_out_of_bounds_is_refused_on_a_delayed_queue_only(api, delay):
    document = {"messages": [{"body": 1, "delay": delay}]}
    assert api.post(Q + "/messages", document).status == 201
    assert bodies(messages(api)) == [1]
    api.put("/v2/queues/slow", {"_default_message_delay": 30})
    answer = api.post("/v2/queues/slow/messages", document)
    assert answer.status == 400
    assert "messages[0].delay" in answer.json["description"]


def test_setting_the_delay_back_to_zero_exposes_what_waits(api):
    api.put(Q, {"_default_message_delay": 30})
    api.post_bodies("orders", 1, 2)
    api.patch(
        Q,
        [{"op": "replace", "path": "/metadata/_default_message_delay", "value": 0}],
        headers={"Content-Type": "application/openstack-messaging-v2.0-json-patch"},
    )
    assert bodies(messages(api)) == [1, 2]
    assert bodies(api.post(Q + "/claims?limit=1").json["messages"]) == [1]
    assert bodies(api.delete(Q + "/messages?pop=5").json["messages"]) == [2]


def test_a_list_without_delay_says_so_in_its_link(api):
    api.post_bodies("orders", 1)
    link = api.get(Q + "/messages?echo=1").json["links"][0]["href"]
    assert "include_delayed=true" in link


# -- checksums --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "checksum"),
    [
        ({"sku": 9, "tags": ["a", "b"]}, "MD5:9e3748cdbf7d1f8c8d6b66dd254a7de8"),
        ("hé", "MD5:8798d9add729e13627d3419f8f7c959d"),
        ([1, 2.5, None, True], "MD5:8c4c2df6d95e47f01855fd765d6e0c21"),
    ],
    ids=str,
)
def test_a_checksum_covers_the_json_text_whatever_its_spacing(make_api, body, checksum):
    api = make_api(enable_checksum=True)
    for separators in ((",", ":"), (" , ", " :  ")):
        text = json.dumps(body, separators=separators, ensure_ascii=False)
        raw = f'{{"messages": [{{"body": {text}}}]}}'.encode()
        assert api.post(Q + "/messages", raw=raw).status == 201
    assert {message["checksum"] for message in messages(api)} == {checksum}
    assert api.delete(Q + "/messages?pop=1").json["messages"][0]["checksum"] == checksum
    assert api.post(Q + "/claims").json["messages"][0]["checksum"] == checksum


def test_a_null_body_has_no_checksum(make_api):
    api = make_api(enable_checksum=True)
    api.post_bodies("orders", None)
    assert "checksum" not in messages(api)[0]
