"""Lifetimes while the system's clock is set: the server's time does not follow."""

import datetime as dt

import pytest

from .service import CONFLICT, NOT_FOUND, OK

HOUR, DAY = 3600, 86400


@pytest.fixture(params=[HOUR, -HOUR, DAY, -DAY], ids=lambda step: f"{step:+}s")
def step(request, bench):
    """By how much the system's clock is set; it is put right afterwards."""
    yield request.param
    bench.wall_ahead = 0


def sweep(bench):
    """Do what the server does twice a second."""
    wall = bench.now + min(bench.wall_ahead, 0)
    while bench.run(bench.storage.sweep(bench.now, wall)):
        pass


def test_claims_delays_and_lives_last_as_long_as_they_are_to(service, bench, step):
    service.post("orders", "claimed", ttl=300)
    claim = service.claim_create("orders", ttl=60).result
    service.post("orders", "short", ttl=60)
    service.queue_create("later", {"_default_message_delay": 60})
    service.post("later", "late")
    for seconds, ahead, seen, late in (
        (0, 0, ["short"], []),
        (30, step, ["short"], []),
        (29, step, ["short"], []),
        (2, 0, ["claimed"], ["late"]),
        (1, step, ["claimed"], ["late"]),
    ):
        service.wait(seconds)
        bench.wall_ahead = ahead
        sweep(bench)
        assert service.bodies("orders") == seen
        assert service.bodies("later") == late
    assert service.claim_get("orders", claim.id).status == NOT_FOUND


def test_ids_stay_in_order(service, bench, step):
    posted = service.post("orders", 1)
    bench.wall_ahead = step
    posted += service.post("orders", 2)
    bench.wall_ahead = 0
    posted += service.post("orders", 3)
    assert posted == sorted(posted)
    assert service.bodies("orders") == [1, 2, 3]


def test_what_shows_a_moment_goes_by_the_system_clock(service, bench, step):
    bench.wall_ahead = step
    service.post("orders", 1)
    service.wait(10)
    oldest = service.queue_get_stats("orders").result.oldest
    shown = dt.datetime.fromisoformat(oldest.created).timestamp()
    assert shown == bench.now + step - 10
    assert oldest.age == 10


def test_a_signed_url_ends_by_the_system_clock_and_stays_revoked(service, bench, step):
    ends = bench.now + 2 * HOUR
    text = dt.datetime.fromtimestamp(ends, dt.UTC).isoformat()
    service.signed_url_create("orders", expires=text)
    (listed,) = service.signed_url_list("orders").result
    assert service.signed_url_revoke("orders", listed["id"]).status == OK
    bench.wall_ahead = step
    sweep(bench)
    bench.wall_ahead = 0
    # It could be used again if it had been forgotten: then it could be made again.
    sweep(bench)
    assert service.signed_url_create("orders", expires=text).status == CONFLICT
    if step > 0:
        return
    service.wait(2 * HOUR + 1)
    bench.wall_ahead = step  # it is good again, says the clock
    sweep(bench)
    assert service.signed_url_create("orders", expires=text).status == CONFLICT
