"""Deleting and popping messages (``rest-v2`` 2.7)."""

import pytest

from .service import BAD_REQUEST, FORBIDDEN, NOT_FOUND, OK, Popped

STRICT = "[transport]\nmessage_delete_with_claim_id = true\n"


def test_a_delete_takes_either_ids_or_a_number(service):
    ids = service.post("orders", 1)
    for options in ({}, {"message_ids": []}, {"pop": 1, "message_ids": ids}):
        assert service.message_delete_many("orders", **options).status == BAD_REQUEST
    assert service.bodies("orders") == [1]


def test_what_was_deleted_never_comes_back(service):
    first, second, third = service.post("orders", 0, 1, 2)
    claim = service.claim_create("orders", ttl=60, limit=2).result
    service.message_delete("orders", first, claim.id)
    service.message_delete_many("orders", message_ids=[second, third])
    service.wait(60)
    assert service.every_body("orders") == []
    assert service.claim_create("orders").result is None


# -- who may delete (the table of 2.7) --------------------------------------------


@pytest.mark.parametrize(
    ("state", "named", "status"),
    [
        ("missing", None, OK),
        ("missing", "live", OK),
        ("missing", "unknown", OK),
        ("free", None, OK),
        ("free", "live", BAD_REQUEST),
        ("free", "unknown", BAD_REQUEST),
        ("expired", None, OK),
        ("expired", "own", BAD_REQUEST),
        ("expired", "live", BAD_REQUEST),
        ("claimed", None, FORBIDDEN),
        ("claimed", "own", OK),
        ("claimed", "live", FORBIDDEN),
    ],
)
def test_who_may_delete_a_message(service, state, named, status):
    claims = {None: None, "unknown": "123"}
    service.post("orders", "bait")
    if state == "free":
        claims["live"] = service.claim_create("orders", ttl=300).result.id
    (id_,) = service.post("orders", "wanted")
    if state in ("expired", "claimed"):
        claims["own"] = service.claim_create("orders", ttl=60).result.id
    if state == "expired":
        service.wait(60)
        assert service.message_delete_many("orders", pop=1).result[0].body == "bait"
    if named == "live" and "live" not in claims:
        service.post("elsewhere", 1)
        claims["live"] = other_claim(service, state)
    target = "missing" if state == "missing" else id_
    assert service.message_delete("orders", target, claims[named]).status == status
    left = service.message_get("orders", id_).status == OK
    assert left is (state == "missing" or status != OK)


def test_an_unknown_claim_deletes_nothing_that_is_claimed(service):
    (id_,) = service.post("orders", 1)
    service.claim_create("orders")
    assert service.message_delete("orders", id_, "123").status == BAD_REQUEST
    assert service.every_body("orders") == [1]


def other_claim(service, state):
    """Return a live claim of the queue that does not hold the wanted message."""
    if state == "expired":
        # Hold the wanted one, claim another, and let the first claim go.
        first = service.claim_create("orders").result.id
        service.post("orders", "more")
        second = service.claim_create("orders").result.id
        service.claim_delete("orders", first)
        return second
    if state == "claimed":
        service.post("orders", "more")
    return service.claim_create("orders", limit=1).result.id


def test_a_set_is_deleted_claimed_or_not(service):
    ids = service.post("orders", 0, 1, 2)
    claim = service.claim_create("orders", limit=1).result
    options = {"message_ids": [ids[0], ids[1], "nope"]}
    assert service.message_delete_many("orders", **options).status == OK
    assert service.claim_get("orders", claim.id).status == NOT_FOUND
    assert service.bodies("orders") == [2]


def test_a_server_may_insist_on_claims(make_service):
    service = make_service(STRICT)
    ids = service.post("orders", 0, 1)
    claim = service.claim_create("orders", limit=1).result.id
    delete = service.message_delete_many
    assert delete("orders", message_ids=ids).status == BAD_REQUEST
    both = {"message_ids": ids, "claim_ids": [claim]}
    assert delete("orders", **both).status == FORBIDDEN
    unknown = {"message_ids": ids, "claim_ids": ["x", "y"]}
    assert delete("orders", **unknown).status == FORBIDDEN
    assert delete("orders", pop=1, claim_ids=[claim]).status == BAD_REQUEST
    assert service.message_delete("orders", ids[1]).status == BAD_REQUEST
    assert service.every_body("orders") == [0, 1]
    one = {"message_ids": ids[:1], "claim_ids": ["x", claim]}
    assert delete("orders", **one).status == OK
    assert (
        service.as_caller(roles="admin").message_delete("orders", ids[1]).status == OK
    )
    assert service.every_body("orders") == []


# -- pop --------------------------------------------------------------------------


def test_a_pop_removes_the_oldest_and_says_how_often_they_were_claimed(service):
    ids = service.post("orders", 0, 1, 2, ttl=600)
    for _ in range(2):
        claim = service.claim_create("orders", limit=1).result
        service.claim_delete("orders", claim.id)
    service.wait(7)
    popped = service.message_delete_many("orders", pop=2).result
    assert popped == [Popped(ids[0], 600, 7, 0, 2), Popped(ids[1], 600, 7, 1, 0)]
    assert service.bodies("orders") == [2]
