"""Returning messages, setting them aside and trying them again (extensions 3, 4)."""

import pytest

from .service import BAD_REQUEST, CONFLICT, FORBIDDEN, NOT_FOUND, OK

DEAD = {"_dead_letter_queue": "dead", "_max_claim_count": 3}


@pytest.fixture
def orders(service):
    """A service with a queue that has a dead letter queue and three messages."""
    service.queue_create("orders", DEAD)
    service.ids = service.post("orders", {"n": 0}, {"n": 1}, {"n": 2})
    return service


def returned(service, verb, message_id, claim_id, **more):
    return service.call(
        f"message_{verb}",
        queue_name="orders",
        message_id=message_id,
        claim_id=claim_id,
        **more,
    )


def redrive(service, queue="dead", **more):
    return service.call("queue_redrive", queue_name=queue, **more)


def listed(service, queue="orders", **options):
    return service.call("message_list", queue_name=queue, echo=True, **options).result[
        "messages"
    ]


def numbers(service, queue="orders"):
    return [one["body"]["n"] for one in listed(service, queue)]


def bury_all(service, **more):
    while claim := service.claim_create("orders").result:
        for one in claim.messages:
            found = returned(service, "bury", one.id, claim.id, **more)
            assert found.status == OK


def test_a_released_message_is_free_and_shows_its_reason(orders):
    claim = orders.claim_create("orders").result
    found = returned(orders, "release", orders.ids[1], claim.id, reason="no disk")
    assert found.status == OK
    (one,) = listed(orders)
    assert (one["id"], one["reason"]) == (orders.ids[1], "no disk")
    assert "dead_letter" not in one
    again = orders.call("claim_create", queue_name="orders").result
    assert [one["reason"] for one in again["messages"]] == ["no disk"]
    assert returned(orders, "release", orders.ids[0], claim.id).status == OK
    (other,) = listed(orders)
    assert set(other) & {"reason", "dead_letter"} == set()


def test_a_message_released_with_a_delay_waits_on_any_queue(orders):
    claim = orders.claim_create("orders").result
    assert returned(orders, "release", orders.ids[0], claim.id, delay=30).status == OK
    orders.wait(29)
    assert listed(orders) == []
    assert orders.claim_create("orders").result is None
    shown = listed(orders, include_delayed=True)
    assert [one["id"] for one in shown] == orders.ids[:1]
    orders.wait(1)
    assert orders.claim_create("orders").result.messages[0].id == orders.ids[0]


def test_a_claim_is_released_with_a_delay(orders):
    claim = orders.claim_create("orders").result
    found = orders.call(
        "claim_delete", queue_name="orders", claim_id=claim.id, delay=900
    )
    assert found.status == OK
    assert orders.claim_create("orders").result is None
    orders.wait(900)
    assert len(orders.claim_create("orders").result.messages) == 3


@pytest.mark.parametrize("verb", ["release", "bury"])
def test_only_the_holder_returns_a_message(orders, verb):
    one = orders.claim_create("orders", limit=1).result
    two = orders.claim_create("orders", limit=1).result
    mine, _, free = orders.ids
    assert returned(orders, verb, mine, two.id).status == FORBIDDEN
    assert returned(orders, verb, mine, "x").status == BAD_REQUEST
    assert returned(orders, verb, free, one.id).status == BAD_REQUEST
    assert returned(orders, verb, "x", one.id).status == NOT_FOUND
    missing = {"queue_name": "orders", "message_id": mine}
    assert orders.call(f"message_{verb}", **missing).status == BAD_REQUEST
    orders.wait(300)
    assert returned(orders, verb, mine, one.id).status == BAD_REQUEST
    assert orders.every_body("orders") == [{"n": 0}, {"n": 1}, {"n": 2}]


@pytest.mark.parametrize("verb", ["release", "bury"])
def test_reasons_have_a_bound(orders, verb):
    claim = orders.claim_create("orders").result
    for reason in ("x" * 1025, 5, ["x"]):
        found = returned(orders, verb, orders.ids[0], claim.id, reason=reason)
        assert found.status == BAD_REQUEST
    found = returned(orders, verb, orders.ids[0], claim.id, reason="ü" * 1024)
    assert found.status == OK


@pytest.mark.parametrize("delay", [-1, 901, "5", 1.5, None, True])
def test_delays_have_bounds(orders, delay):
    claim = orders.claim_create("orders").result
    found = returned(orders, "release", orders.ids[0], claim.id, delay=delay)
    assert found.status == BAD_REQUEST
    assert redrive(orders, target="other", delay=delay).status == BAD_REQUEST
    assert listed(orders) == []


def test_a_queue_without_a_dead_letter_queue_buries_nothing(service):
    (message_id,) = service.post("orders", 1)
    claim = service.claim_create("orders").result
    assert returned(service, "bury", message_id, claim.id).status == CONFLICT
    assert returned(service, "bury", "x", claim.id).status == NOT_FOUND


def test_a_dead_letter_tells_where_it_comes_from(orders):
    bury_all(orders, reason="broken")
    dead = listed(orders, "dead")
    assert [one["id"] for one in dead] == orders.ids
    for one in dead:
        assert one["reason"] == "broken"
        letter = one["dead_letter"]
        assert letter.pop("at").endswith("Z")
        assert letter == {"source": "orders", "claims": 1, "reason": "broken"}
    assert orders.bodies("orders") == []


def test_a_message_that_was_claimed_too_often_tells_it_too(orders):
    for _ in range(4):
        claim = orders.claim_create("orders").result
        if claim is not None:
            orders.claim_delete("orders", claim.id)
    letters = [one["dead_letter"] for one in listed(orders, "dead")]
    assert {(one["claims"], one["reason"]) for one in letters} == {(3, None)}
    assert all("reason" not in one for one in listed(orders, "dead"))


def test_a_redrive_returns_messages_to_their_source(orders):
    bury_all(orders)
    counted = redrive(orders, dry_run=True).result
    assert counted == {"moved": 0, "matched": 3, "next": None}
    assert numbers(orders, "dead") == [0, 1, 2]
    orders.wait(100)
    assert redrive(orders).result == {"moved": 3, "matched": 3, "next": None}
    assert numbers(orders) == [0, 1, 2]
    assert listed(orders, "dead") == []
    for one in listed(orders):
        assert (one["ttl"], set(one) & {"reason", "dead_letter"}) == (3600, set())
    assert redrive(orders).result == {"moved": 0, "matched": 0, "next": None}


def test_a_redrive_goes_page_by_page(orders):
    bury_all(orders)
    first = redrive(orders, limit=2).result
    assert (first["moved"], first["matched"]) == (2, 2)
    assert numbers(orders) == [0, 1]
    last = redrive(orders, limit=2, marker=first["next"]).result
    assert last == {"moved": 1, "matched": 1, "next": None}


def test_a_redrive_takes_what_a_filter_or_ids_select(orders):
    bury_all(orders)
    found = redrive(orders, filter={"/n": {"at_least": 1}}, limit=1).result
    assert (found["moved"], numbers(orders)) == (1, [1])
    chosen = [orders.ids[2], orders.ids[1], "x"]
    found = redrive(orders, ids=chosen).result
    assert found == {"moved": 1, "matched": 1, "next": None}
    assert numbers(orders, "dead") == [0]


def test_a_redrive_skips_claimed_messages(orders):
    bury_all(orders)
    orders.call("claim_create", queue_name="dead", limit=1)
    assert redrive(orders, ids=orders.ids).result["matched"] == 2
    assert redrive(orders).result == {"moved": 0, "matched": 0, "next": None}


def test_messages_are_moved_between_any_queues(service):
    service.queue_create("other", {"_default_message_ttl": 77})
    service.post("orders", {"n": 1}, {"n": 2})
    assert redrive(service, "orders").status == BAD_REQUEST
    found = redrive(service, "orders", target="other", delay=10).result
    assert found["moved"] == 2
    assert listed(service, "other") == []
    service.wait(10)
    assert [one["ttl"] for one in listed(service, "other")] == [77, 77]


def test_a_redrive_that_cannot_move_all_moves_nothing(orders):
    bury_all(orders)
    orders.post("dead", {"n": 9})
    assert redrive(orders).status == BAD_REQUEST
    orders.call("message_delete_many", queue_name="dead", pop=4)
    orders.post("orders", {"n": 1})
    bury_all(orders)
    orders.queue_delete("orders")
    assert redrive(orders).status == NOT_FOUND
    assert redrive(orders, dry_run=True).status == NOT_FOUND
    assert numbers(orders, "dead") == [1]
    assert redrive(orders, target="new").result["moved"] == 1


@pytest.mark.parametrize(
    "options",
    [
        {"target": "dead"},
        {"target": "a b"},
        {"target": 1},
        {"ids": []},
        {"ids": ["x"] * 21},
        {"ids": ["x"], "marker": "y"},
        {"filter": []},
        {"filter": {"n": {"equals": 1}}},
        {"limit": 0},
        {"limit": 1001},
        {"marker": 5},
        {"dry_run": "yes"},
    ],
    ids=str,
)
def test_a_redrive_out_of_bounds_moves_nothing(orders, options):
    bury_all(orders)
    assert redrive(orders, **options).status == BAD_REQUEST
    assert numbers(orders, "dead") == [0, 1, 2]


def test_a_redriven_message_may_come_back(orders):
    for _ in range(3):
        bury_all(orders)
        assert redrive(orders).result["moved"] == 3
    assert numbers(orders) == [0, 1, 2]


def test_the_features_are_listed(service):
    assert {"release", "redrive"} <= set(service.limits_get().result["features"])
