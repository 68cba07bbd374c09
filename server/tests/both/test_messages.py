"""Messages: post, list, show, delete, pop, delay (``rest-v2`` 2.7, 4, 5)."""

import json

import pytest

from .service import (
    BAD_REQUEST,
    NOT_FOUND,
    OK,
    OTHER_CLIENT,
    Message,
)

# -- post -----------------------------------------------------------------------


def test_a_post_stores_messages_in_order_and_gives_their_ids(service):
    messages = [{"body": "a"}, {"body": None, "ttl": 60}, {"body": 0, "other": 1}]
    ids = service.message_post("orders", messages).result
    assert len(set(ids)) == 3
    assert service.message_get_many("orders", ids).result == [
        Message(ids[0], 3600, 0, "a"),
        Message(ids[1], 60, 0, None),
        Message(ids[2], 3600, 0, 0),
    ]
    assert service.bodies("orders") == ["a", None, 0]


@pytest.mark.parametrize(
    "body",
    [
        {"sku": 9, "tags": ["a", "b"], "deep": {"x": {"y": [None, True, 1.5]}}},
        'hé ☃ 🎉 \u0000 "quoted" \\ \u2028',
        [],
        {},
        "",
        0,
        -(2**63),
        2**63 - 1,
        1e300,
        False,
        None,
        [[[[[]]]]],
        "x" * 100_000,
    ],
    ids=lambda body: repr(body)[:30],
)
def test_any_body_comes_back_as_it_was_however_it_is_read(service, body):
    (id_,) = service.post("orders", body)
    assert service.bodies("orders") == [body]
    assert service.message_get("orders", id_).result.body == body
    assert service.message_get_many("orders", [id_]).result[0].body == body
    claim = service.claim_create("orders").result
    assert [message.body for message in claim.messages] == [body]
    assert service.claim_get("orders", claim.id).result.messages[0].body == body
    service.claim_delete("orders", claim.id)
    (popped,) = service.message_delete_many("orders", pop=1).result
    assert popped.body == body


WRONG = [
    [],
    {},
    None,
    "x",
    7,
    [1],
    [None],
    [[{"body": 1}]],
    [{}],
    [{"ttl": 60}],
    [{"body": 1, "ttl": 59}],
    [{"body": 1, "ttl": 0}],
    [{"body": 1, "ttl": -1}],
    [{"body": 1, "ttl": 1209601}],
    [{"body": 1, "ttl": "60"}],
    [{"body": 1, "ttl": 60.5}],
    [{"body": 1, "ttl": None}],
    [{"body": 1, "ttl": True}],
    [{"body": 1}, {"body": 2, "ttl": 59}],
    [{"body": 1}, 7],
    [{"body": "x" * 262144}],
    [{"body": "x" * 100}] * 4000,
]


@pytest.mark.parametrize("messages", WRONG, ids=lambda wrong: repr(wrong)[:40])
def test_a_post_that_is_wrong_in_one_place_stores_nothing(service, messages):
    assert service.message_post("orders", messages).status == BAD_REQUEST
    assert service.queue_list().result == []
    service.post("orders", "there")
    assert service.message_post("orders", messages).status == BAD_REQUEST
    assert service.bodies("orders") == ["there"]


def nested(levels):
    return json.loads("[" * levels + "]" * levels)


def test_a_document_has_at_most_500_levels_and_comes_back_whole(service):
    service.post("orders", nested(490), "[" * 600)
    assert service.bodies("orders") == [nested(490), "[" * 600]
    refused = service.message_post("orders", [{"body": nested(499)}])
    assert refused.status == BAD_REQUEST
    refused = service.queue_create("deep", {"a": nested(500)})
    assert refused.status == BAD_REQUEST
    assert service.queue_create("deep", {"a": nested(490)}).result is True
    assert service.queue_list(detailed=True).result[0]["metadata"]["a"] == nested(490)
    service.post("orders", [[]] * 600)
    assert len(service.bodies("orders")) == 3


@pytest.mark.parametrize("ttl", [60, 1209600])
def test_a_message_lives_as_long_as_it_says_to_the_second(service, ttl):
    (id_,) = service.post("orders", 1, ttl=ttl)
    service.wait(ttl - 0.25)
    assert service.message_get("orders", id_).result == Message(id_, ttl, ttl - 1, 1)
    service.wait(0.25)
    assert service.every_body("orders") == []
    assert service.message_get("orders", id_).status == NOT_FOUND
    assert service.message_get_many("orders", [id_]).result == []
    assert service.claim_create("orders").result is None
    assert service.message_delete_many("orders", pop=1).result == []
    assert service.message_delete("orders", id_).status == OK


def test_a_queues_own_ttl_is_the_default(service):
    service.queue_create("orders", {"_default_message_ttl": 77})
    ids = service.message_post("orders", [{"body": 1}, {"body": 2, "ttl": 99}]).result
    found = service.message_get_many("orders", ids).result
    assert [message.ttl for message in found] == [77, 99]


def test_a_queues_own_size_limit_is_the_smaller_one(service):
    service.queue_create("orders", {"_max_messages_post_size": 200})
    assert service.message_post("orders", [{"body": "x" * 200}]).status == BAD_REQUEST
    assert service.message_post("orders", [{"body": "x" * 100}]).status == OK
    assert len(service.bodies("orders")) == 1


def test_many_messages_may_come_at_once_and_keep_their_order(service):
    ids = service.post("orders", *range(300))
    assert len(set(ids)) == 300
    pages = service.pages(service.message_list("orders", echo=True, limit=20))
    assert [message.body for page in pages for message in page] == list(range(300))


# -- list -----------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", "{{{}}}", "urn:uuid:{}"])
def test_own_messages_are_left_out_however_the_client_writes_its_id(service, form):
    service.post("orders", "mine")
    other = service.as_caller(client=OTHER_CLIENT)
    other.post("orders", "theirs")
    for id_ in (OTHER_CLIENT, OTHER_CLIENT.replace("-", ""), OTHER_CLIENT.upper()):
        same = service.as_caller(client=form.format(id_))
        assert same.bodies("orders", echo=False) == ["mine"]
        assert same.bodies("orders") == ["mine", "theirs"]
    assert service.bodies("orders", echo=False) == ["theirs"]


@pytest.mark.parametrize("limit", [1, 4, 10, 20])
def test_messages_come_page_by_page_to_the_end(service, limit):
    ids = service.post("orders", *range(23))
    pages = list(service.pages(service.message_list("orders", echo=True, limit=limit)))
    assert [message.id for page in pages for message in page] == ids
    assert {len(page) for page in pages[:-1]} == {limit}


def test_a_page_has_ten_messages_unless_told(service):
    service.post("orders", *range(12))
    assert service.bodies("orders") == list(range(10))


def test_a_page_is_full_however_many_hidden_ones_lie_between(service):
    service.post("orders", *range(50))
    service.claim_create("orders", limit=20)
    other = service.as_caller(client=OTHER_CLIENT)
    other.post("orders", "a", "b")
    service.post("orders", *range(30))
    other.post("orders", "c")
    assert service.bodies("orders", echo=False, limit=3) == ["a", "b", "c"]


def test_a_message_id_is_a_marker_even_when_the_message_is_gone(service):
    ids = service.post("orders", *range(5))
    service.message_delete("orders", ids[2])
    assert service.bodies("orders", marker=ids[2]) == [3, 4]
    assert service.bodies("orders", marker=ids[4]) == []


@pytest.mark.parametrize(
    "marker", ["nope", "0", "-1", "é", "f" * 100, "%", "a b", "\0", "🎉", "0" * 500]
)
def test_a_marker_that_is_no_id_gives_an_empty_page(service, marker):
    service.post("orders", 1)
    assert service.bodies("orders", marker=marker) == []


def test_a_reader_that_follows_markers_misses_nothing_that_comes_later(service):
    service.post("orders", 0)
    answer = service.message_list("orders", echo=True, limit=1)
    seen = []
    for number in range(1, 5):
        seen += [message.body for message in answer.result]
        service.post("orders", number)
        answer = answer.following()
    assert seen == [0, 1, 2, 3]


# -- visibility (the table of 5.3) ------------------------------------------------


def prepare(service, state):
    """Make one message of this state; return its id."""
    service.queue_create("orders", {"_default_message_delay": 600})
    poster = service if state == "own" else service.as_caller(client=OTHER_CLIENT)
    delay = 600 if state == "delayed" else 0
    ttl = 60 if state == "expired" else 3600
    (id_,) = poster.post("orders", state, ttl=ttl, delay=delay)
    if state == "claimed":
        assert service.claim_create("orders").result.messages[0].id == id_
    if state == "expired":
        service.wait(60)
    return id_


# state: list, + include_claimed, + include_delayed, + echo, by id, claim, pop
VISIBLE = {
    "free": (True, True, True, True, True, True, True),
    "own": (False, False, False, True, True, True, True),
    "claimed": (False, True, False, False, True, False, False),
    "delayed": (False, False, True, False, True, False, False),
    "expired": (False, False, False, False, False, False, False),
}


@pytest.mark.parametrize("state", VISIBLE)
def test_who_sees_a_message(service, state):
    id_ = prepare(service, state)
    seen = (
        bool(service.message_list("orders").result),
        bool(service.message_list("orders", include_claimed=True).result),
        bool(service.message_list("orders", include_delayed=True).result),
        bool(service.message_list("orders", echo=True).result),
        service.message_get("orders", id_).status == OK,
    )
    assert seen == VISIBLE[state][:5]
    assert bool(service.message_get_many("orders", [id_]).result) is seen[4]
    stats = service.queue_get_stats("orders").result
    assert stats.claimed == (state == "claimed")
    assert stats.free == (state in ("free", "own", "delayed"))
    assert stats.total == stats.claimed + stats.free
    assert bool(service.claim_create("orders").result) is VISIBLE[state][5]


@pytest.mark.parametrize("state", VISIBLE)
def test_what_a_pop_takes(service, state):
    id_ = prepare(service, state)
    popped = service.message_delete_many("orders", pop=20).result
    assert bool(popped) is VISIBLE[state][6]
    left = service.message_get("orders", id_).status == OK
    assert left is (VISIBLE[state][4] and not VISIBLE[state][6])


# -- by id ------------------------------------------------------------------------


def test_a_set_comes_in_the_order_asked_for_without_what_is_unknown(service):
    ids = service.post("orders", 0, 1, 2)
    found = service.message_get_many("orders", [ids[2], "nope", ids[0]]).result
    assert [message.body for message in found] == [2, 0]


def test_a_set_has_at_most_a_page_of_ids(service):
    ids = service.post("orders", *range(21))
    assert service.message_get_many("orders", ids).status == BAD_REQUEST
    assert service.message_delete_many("orders", message_ids=ids).status == BAD_REQUEST
    assert len(service.message_get_many("orders", ids[:20]).result) == 20
    assert service.message_delete_many("orders", message_ids=ids[:20]).status == OK
    assert service.bodies("orders") == [20]


def test_messages_of_another_queue_do_not_exist(service):
    (id_,) = service.post("orders", 1)
    service.queue_create("others")
    assert service.message_get("others", id_).status == NOT_FOUND
    assert service.message_get_many("others", [id_]).result == []
    assert service.message_delete("others", id_).status == OK
    assert service.message_delete_many("others", message_ids=[id_]).status == OK
    assert service.message_get("orders", id_).status == OK


# -- delay ------------------------------------------------------------------------


def test_a_delayed_message_is_hidden_until_its_time(service):
    service.queue_create("slow", {"_default_message_delay": 30})
    messages = [{"body": "now", "delay": 0}, {"body": "late", "delay": 90}]
    service.message_post("slow", [*messages, {"body": "default"}])
    assert service.bodies("slow") == ["now"]
    service.wait(29.75)
    assert service.bodies("slow") == ["now"]
    service.wait(0.25)
    assert service.bodies("slow") == ["now", "default"]
    service.wait(60)
    assert service.bodies("slow") == ["now", "late", "default"]
    claimed = service.claim_create("slow").result.messages
    assert [message.body for message in claimed] == ["now", "late", "default"]


@pytest.mark.parametrize("delay", [-1, 901, "5", 1.5, None, True])
def test_a_delay_out_of_bounds_is_refused_on_delayed_queues_only(service, delay):
    service.post("orders", 1, delay=delay)
    assert service.bodies("orders") == [1]
    service.queue_create("slow", {"_default_message_delay": 30})
    answer = service.message_post("slow", [{"body": 1, "delay": delay}])
    assert answer.status == BAD_REQUEST
    assert service.every_body("slow") == []


@pytest.mark.parametrize("delay", [0, 900])
def test_a_delay_within_bounds_is_taken(service, delay):
    service.queue_create("slow", {"_default_message_delay": 30})
    service.post("slow", 1, delay=delay)
    service.wait(delay)
    assert service.bodies("slow") == [1]


def test_the_ttl_runs_from_the_post_so_that_a_long_delay_outlives_it(service):
    service.queue_create("slow", {"_default_message_delay": 60})
    service.post("slow", 1, ttl=60)
    service.wait(60)
    assert service.claim_create("slow").result is None
    assert service.every_body("slow") == []


def test_setting_the_delay_back_to_zero_exposes_what_waits(service):
    service.queue_create("slow", {"_default_message_delay": 30})
    service.post("slow", 1, 2)
    path = "/metadata/_default_message_delay"
    service.queue_update("slow", [{"op": "replace", "path": path, "value": 0}])
    assert service.bodies("slow") == [1, 2]
    assert service.claim_create("slow", limit=1).result.messages[0].body == 1
    assert service.message_delete_many("slow", pop=5).result[0].body == 2
