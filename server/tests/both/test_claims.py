"""Claims, lifetimes and dead letters (``rest-v2`` 2.9, 5.4, 5.6)."""

import pytest

from .service import BAD_REQUEST, NOT_FOUND, OK, Claim, Message


def held(claim):
    return [message.body for message in claim.messages]


def test_a_claim_takes_the_oldest_free_messages_own_ones_too(service):
    ids = service.post("orders", *range(15), ttl=600)
    claim = service.claim_create("orders").result
    assert claim.messages == [
        Message(ids[number], 600, 0, number) for number in range(10)
    ]
    assert held(service.claim_create("orders", limit=20).result) == [*range(10, 15)]
    assert service.claim_create("orders").result is None


@pytest.mark.parametrize("count", [1, 20])
def test_a_claim_takes_as_many_as_it_is_told(service, count):
    service.post("orders", *range(25))
    assert len(service.claim_create("orders", limit=count).result.messages) == count
    assert len(service.message_delete_many("orders", pop=count).result) == min(
        count, 25 - count
    )


def test_claims_never_share_a_message(service):
    service.post("orders", *range(9))
    taken = []
    while claim := service.claim_create("orders", limit=2).result:
        taken += held(claim)
    assert taken == list(range(9))


@pytest.mark.parametrize(
    "options",
    [{}, {"ttl": 60}, {"grace": 60}, {"ttl": 43200, "grace": 43200}, {"else": 2}],
    ids=str,
)
def test_absent_members_take_their_defaults(service, options):
    service.post("orders", 1)
    claim = service.claim_create("orders", **options).result
    assert service.claim_get("orders", claim.id).result.ttl == options.get("ttl", 300)
    service.claim_update("orders", claim.id, **options)
    assert service.claim_get("orders", claim.id).result.ttl == options.get("ttl", 300)


@pytest.mark.parametrize("value", [59, 0, -1, 43201, "60", None, 60.5, True, [60]])
@pytest.mark.parametrize("member", ["ttl", "grace"])
def test_a_claim_out_of_bounds_takes_and_changes_nothing(service, member, value):
    service.post("orders", 1)
    refused = service.claim_create("orders", **{member: value})
    assert refused.status == BAD_REQUEST
    assert service.bodies("orders") == [1]
    claim = service.claim_create("orders", ttl=100).result
    refused = service.claim_update("orders", claim.id, **{member: value})
    assert refused.status == BAD_REQUEST
    assert service.claim_get("orders", claim.id).result.ttl == 100


def test_a_claim_shows_what_it_still_holds(service):
    first, second = service.post("orders", 1, 2, ttl=600)
    claim = service.claim_create("orders", ttl=100).result
    service.wait(14)
    assert service.claim_get("orders", claim.id).result == Claim(
        claim.id, [Message(first, 600, 14, 1), Message(second, 600, 14, 2)], 100, 14
    )
    service.message_delete("orders", first, claim.id)
    assert held(service.claim_get("orders", claim.id).result) == [2]
    service.message_delete("orders", second, claim.id)
    assert service.claim_get("orders", claim.id).status == NOT_FOUND


def test_an_expired_claim_is_gone_and_its_messages_are_free(service):
    (id_,) = service.post("orders", 1)
    claim = service.claim_create("orders", ttl=60).result
    service.wait(59.75)
    assert service.claim_create("orders").result is None
    assert service.claim_get("orders", claim.id).result.age == 59
    service.wait(0.25)
    assert service.claim_get("orders", claim.id).status == NOT_FOUND
    assert service.claim_update("orders", claim.id).status == NOT_FOUND
    assert service.message_delete("orders", id_, claim.id).status == BAD_REQUEST
    assert service.bodies("orders") == [1]
    assert service.queue_get_stats("orders").result.free == 1
    assert held(service.claim_create("orders").result) == [1]


def test_a_late_worker_cannot_delete_what_another_holds(service):
    (id_,) = service.post("orders", 1)
    late = service.claim_create("orders", ttl=60).result.id
    service.wait(60)
    holder = service.claim_create("orders", ttl=60).result.id
    assert service.message_delete("orders", id_, late).status != OK
    assert service.message_delete("orders", id_).status != OK
    assert service.message_delete("orders", id_, holder).status == OK


def test_a_renewal_starts_the_clock_again_with_defaults_for_what_is_left_out(service):
    service.post("orders", 1)
    claim = service.claim_create("orders", ttl=60).result
    service.wait(50)
    assert service.claim_update("orders", claim.id).status == OK
    shown = service.claim_get("orders", claim.id).result
    assert (shown.age, shown.ttl) == (0, 300)
    service.claim_update("orders", claim.id, ttl=60, grace=60)
    service.wait(59)
    assert service.claim_get("orders", claim.id).result.age == 59
    service.wait(1)
    assert service.claim_get("orders", claim.id).status == NOT_FOUND


def test_a_release_frees_the_messages_at_once_and_can_be_repeated(service):
    service.post("orders", 1)
    claim = service.claim_create("orders").result
    for _ in range(2):
        assert service.claim_delete("orders", claim.id).status == OK
    assert service.claim_get("orders", claim.id).status == NOT_FOUND
    assert service.claim_update("orders", claim.id).status == NOT_FOUND
    assert held(service.claim_create("orders").result) == [1]


@pytest.mark.parametrize("id_", ["nope", "123", " ", "f" * 200, "é", "%2F"])
def test_a_claim_that_never_was(service, id_):
    service.queue_create("orders")
    assert service.claim_get("orders", id_).status == NOT_FOUND
    assert service.claim_update("orders", id_).status == NOT_FOUND
    assert service.claim_delete("orders", id_).status == OK


def test_a_claim_of_another_queue_does_not_exist(service):
    (id_,) = service.post("orders", 1)
    service.post("others", 2)
    claim = service.claim_create("orders").result
    assert service.claim_get("others", claim.id).status == NOT_FOUND
    assert service.claim_update("others", claim.id).status == NOT_FOUND
    assert service.claim_delete("others", claim.id).status == OK
    assert service.message_delete("others", id_, claim.id).status == OK
    assert held(service.claim_get("orders", claim.id).result) == [1]


# -- lifetimes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttl", "grace", "shown"),
    [(777, 60, 837), (777, 83, 860), (121, 62, 183), (60, 60, 120), (119, 600, 120)],
)
def test_messages_that_would_end_before_their_claim_live_on(service, ttl, grace, shown):
    (id_,) = service.post("orders", 1, ttl=120)
    claim = service.claim_create("orders", ttl=ttl, grace=grace).result
    assert claim.messages[0].ttl == shown
    assert service.claim_get("orders", claim.id).result.messages[0].ttl == shown
    assert service.message_get("orders", id_).result.ttl == shown
    service.wait(shown - 0.25)
    assert service.every_body("orders") == [1]
    service.wait(0.25)
    assert service.every_body("orders") == []


def test_a_renewal_extends_the_messages_too(service):
    (id_,) = service.post("orders", 1, ttl=120)
    claim = service.claim_create("orders", ttl=60, grace=60).result
    service.wait(50)
    service.claim_update("orders", claim.id, ttl=500, grace=100)
    assert service.claim_get("orders", claim.id).result.messages[0].ttl == 600
    service.wait(599.75)
    assert service.message_get("orders", id_).status == OK
    service.wait(0.25)
    assert service.message_get("orders", id_).status == NOT_FOUND


# -- dead letters -----------------------------------------------------------------

DEAD = {"_max_claim_count": 2, "_dead_letter_queue": "dead"}


def exhaust(service, times):
    """Claim and release so many times."""
    for _ in range(times):
        claim = service.claim_create("orders").result
        assert service.claim_delete("orders", claim.id).status == OK


def test_the_claim_after_the_last_moves_the_message(service):
    service.queue_create("orders", DEAD)
    (id_,) = service.post("orders", "poison", ttl=600)
    service.wait(5)
    exhaust(service, 2)
    assert service.every_body("dead") == []
    assert service.claim_create("orders").result is None
    assert service.every_body("orders") == []
    assert service.message_get("orders", id_).status == NOT_FOUND
    assert service.message_get("dead", id_).result == Message(id_, 600, 5, "poison")
    assert service.queue_get_stats("dead").result.free == 1
    assert service.queue_get_stats("orders").result.total == 0
    assert held(service.claim_create("dead").result) == ["poison"]


def test_a_claim_that_expires_counts_as_well_and_renewals_do_not(service):
    service.queue_create("orders", {**DEAD, "_max_claim_count": 1})
    service.post("orders", 1)
    claim = service.claim_create("orders", ttl=60).result
    for _ in range(3):
        assert service.claim_update("orders", claim.id, ttl=60).status == OK
    assert service.every_body("dead") == []
    service.wait(60)
    assert service.claim_create("orders").result is None
    assert service.every_body("dead") == [1]


def test_a_moved_message_lives_as_long_as_the_dead_letter_ttl_says(service):
    settings = {**DEAD, "_dead_letter_queue_messages_ttl": 100}
    service.queue_create("orders", settings)
    (id_,) = service.post("orders", 1)
    exhaust(service, 2)
    service.claim_create("orders")
    assert service.message_get("dead", id_).result.ttl == 100
    service.wait(99.75)
    assert service.every_body("dead") == [1]
    service.wait(0.25)
    assert service.every_body("dead") == []


def test_others_are_claimed_while_one_is_moved(service):
    service.queue_create("orders", DEAD)
    service.post("orders", "old")
    exhaust(service, 2)
    service.post("orders", "new")
    assert held(service.claim_create("orders").result) == ["new"]
    assert service.every_body("dead") == ["old"]


@pytest.mark.parametrize("key", DEAD)
def test_half_a_setting_moves_nothing(service, key):
    service.queue_create("orders", {key: DEAD[key]})
    service.post("orders", 1)
    exhaust(service, 5)
    assert held(service.claim_create("orders").result) == [1]
