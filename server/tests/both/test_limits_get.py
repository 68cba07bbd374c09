"""What a server tells clients of its extensions and limits, and the least times."""

import pytest

from .service import BAD_REQUEST, OK

SHORT = """
[transport]
min_message_ttl = 1
min_claim_ttl = 2
min_claim_grace = 3
max_queues_per_page = 7
"""


def test_the_limits_are_those_in_force(service, make_service):
    assert service.limits_get().result["limits"] == {
        "max_messages_per_page": 20,
        "max_messages_per_claim_or_pop": 20,
        "max_queues_per_page": 20,
        "max_subscriptions_per_page": 20,
        "max_messages_post_size": 262144,
        "max_queue_metadata": 65536,
        "max_message_ttl": 1209600,
        "max_message_delay": 900,
        "max_claim_ttl": 43200,
        "max_claim_grace": 43200,
        "min_message_ttl": 60,
        "min_claim_ttl": 60,
        "min_claim_grace": 60,
        "idempotency_window": 600,
        "max_wait": 20,
    }
    changed = make_service(SHORT).limits_get().result["limits"]
    assert (changed["max_queues_per_page"], changed["min_claim_ttl"]) == (7, 2)


@pytest.mark.parametrize(("ttl", "status"), [(0, BAD_REQUEST), (1, OK)])
def test_a_message_may_live_for_a_second_where_the_server_allows_it(
    make_service, ttl, status
):
    service = make_service(SHORT)
    found = service.message_post("orders", [{"body": 1, "ttl": ttl}])
    assert found.status == status
    service.bench.now += 1
    assert service.bodies("orders") == []


@pytest.mark.parametrize(
    ("ttl", "grace", "status"),
    [(1, 3, BAD_REQUEST), (2, 2, BAD_REQUEST), (2, 3, OK)],
)
def test_a_claim_may_hold_for_seconds_where_the_server_allows_it(
    make_service, ttl, grace, status
):
    service = make_service(SHORT)
    service.post("orders", "a")
    assert service.claim_create("orders", ttl=ttl, grace=grace).status == status
    if status == OK:
        service.bench.now += ttl
        assert service.claim_create("orders", ttl=ttl, grace=grace).result.messages


def test_a_queue_may_have_a_default_ttl_of_seconds_where_the_server_allows_it(
    make_service, service
):
    short = {"_default_message_ttl": 1}
    assert make_service(SHORT).queue_create("orders", short).status == OK
    assert service.queue_create("orders", short).status == BAD_REQUEST
