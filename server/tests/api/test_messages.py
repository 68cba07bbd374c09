"""Messages (``rest-v2`` 2.7, 4 and 5)."""

import json
import urllib.parse

import pytest

Q = "/v2/queues/orders"


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


@pytest.mark.parametrize("document", [{}, [], [{"body": 1}]], ids=str)
def test_a_post_of_no_messages_is_refused(api, document):
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
    api.put(Q, {"_default_message_delay": 30})
    answer = api.post(Q + "/messages", {"messages": [{"body": 1, "delay": 901}]})
    assert "messages[0].delay" in answer.json["description"]


def test_a_queues_own_size_limit_counts_every_byte(api):
    api.put(Q, {"_max_messages_post_size": 40})
    document = b'{"messages": [{"body": "%s"}]}'
    fits = document % (b"x" * (40 - len(document) + 2))
    assert len(fits) == 40
    assert api.post(Q + "/messages", raw=fits).status == 201
    assert api.post(Q + "/messages", raw=fits + b" ").status == 400


# -- list -----------------------------------------------------------------------


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


# -- delete ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    ["", "?ids=", "?pop=", "?pop=1&ids=a", "?pop=0", "?pop=21", "?pop=-1", "?pop=x"],
)
def test_deleting_needs_either_ids_or_pop(api, query):
    api.post_bodies("orders", 1)
    assert api.delete(f"{Q}/messages{query}").status == 400
    assert len(messages(api)) == 1


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


# -- deletes that need a claim -----------------------------------------------------


@pytest.fixture
def strict(make_api):
    """A server where messages are deleted with their claim only."""
    return make_api(message_delete_with_claim_id=True)


def test_a_pop_goes_without_claims(strict):
    strict.post_bodies("orders", 0)
    assert strict.delete(Q + "/messages?pop=1&claim_ids=x").status == 400
    assert bodies(strict.delete(Q + "/messages?pop=1").json["messages"]) == [0]


# -- delay ----------------------------------------------------------------------


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
