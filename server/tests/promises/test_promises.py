"""Promises P1 to P8 (``doc/source/user/promises.rst``), each held and each broken.

A check is what a user would see. Each runs against a server that is as it should be,
and against servers whose store is broken on purpose (:mod:`breaks` says how): there
it must fail, or it would prove nothing.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from receivers import Receivers, good, status

from .deployment import Deployment

Check = Callable[[Deployment], None]
PATIENCE = 5.0  # seconds; only a broken promise needs as many


def p1_what_was_answered_201_survives_a_crash(server: Deployment) -> None:
    """Broken by a store that says 201 and stores a second later."""
    for number in range(20):
        server.post("orders", number)
    server.crash()
    assert server.bodies("orders") == list(range(20))


def p2_a_message_is_claimable_until_it_is_deleted(server: Deployment) -> None:
    """Broken by a store that removes what it gives to a claim."""
    server.post("orders", "one", "two", ttl=3600)
    for _ in range(3):
        assert [one["body"] for one in server.claim("orders")] == ["one", "two"]
        assert server.claim("orders") == []
        server.wait(61)  # the worker died; its claim ends
    (first, _) = server.claim("orders")
    assert server.ask("DELETE", first["href"])[0] == 204
    server.wait(61)
    assert [one["body"] for one in server.claim("orders")] == ["two"]


def p3_a_message_has_one_live_claim(server: Deployment) -> None:
    """Broken by a store whose claims keep nobody else away."""
    ids = server.post("orders", *range(40))
    taken: list[str] = []

    def work() -> None:
        while found := server.claim("orders", limit=3):
            taken.extend(message["id"] for message in found)
            if len(taken) > len(ids):
                return

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(taken) == ids


def p3_a_claim_that_expired_deletes_nothing(server: Deployment) -> None:
    """Broken by a store that lets a late worker delete."""
    server.post("orders", "one")
    (late,) = server.claim("orders")
    server.wait(61)
    assert server.ask("DELETE", late["href"])[0] == 400
    (held,) = server.claim("orders")
    assert server.ask("DELETE", late["href"])[0] in (400, 403)
    assert server.ask("DELETE", held["href"])[0] == 204


def p4_order_is_the_order_of_acceptance_also_after_a_crash(
    server: Deployment,
) -> None:
    """Broken by a store that takes the messages of a post backwards."""
    for number in range(0, 12, 3):
        server.post("orders", number, number + 1, number + 2)
    assert server.bodies("orders") == list(range(12))
    server.crash()
    assert server.bodies("orders") == list(range(12))
    assert [one["body"] for one in server.claim("orders", 12)] == list(range(12))


def p5_a_notification_survives_a_crash_before_it_is_sent(server: Deployment) -> None:
    """Broken by a store that settles what is taken for sending."""
    with Receivers() as receivers:
        port = receivers.open(status(503))
        for queue, to in (("orders", port), ("alarm", receivers.open(good))):
            server.ask(
                "POST",
                f"/v2/queues/{queue}/subscriptions",
                {
                    "subscriber": f"http://127.0.0.1:{to}/hook",
                    "ttl": 3600,
                    "options": {"_retry_policy": {"retries_with_no_delay": 0}},
                },
            )
        server.post("orders", "paid")
        assert receivers.until(port, 1, 20)  # it was tried, and refused
        server.end(signal.SIGKILL)
        tried = len(receivers.requests[port])
        receivers.answer(port, good)
        server.start()
        server.wait(60)  # whatever the schedule of retries is
        server.post("orders", "later")
        server.post("alarm", "now")  # timers do not see that the clock was moved
        found = receivers.until(port, tried + 2, PATIENCE)
        assert [one.json["body"] for one in found[tried:]] == ["paid", "later"]


def p6_messages_expire_within_a_second(server: Deployment) -> None:
    """Broken by a store that shows them for some seconds more."""
    with load(server):
        server.post("orders", "short", ttl=60)
        posted = time.monotonic()
        # Ten seconds for what a busy machine needs to get there.
        server.wait(50 - (time.monotonic() - posted))
        assert server.bodies("orders") == ["short"]
        server.wait(11)
        assert server.bodies("orders") == []


def p6_delays_end_within_a_second(server: Deployment) -> None:
    """Broken by a store that hides them for some seconds more."""
    server.ask("PUT", "/v2/queues/later", {"_default_message_delay": 30})
    with load(server):
        server.post("later", "hidden")
        server.wait(22)
        assert server.bodies("later") == []
        assert server.claim("later") == []
        server.wait(9)
        assert server.bodies("later") == ["hidden"]


def p7_nothing_of_another_project_is_seen_or_changed(server: Deployment) -> None:
    """Broken by a store that forgets the project when it lists messages."""
    (id_,) = server.post("orders", "secret")
    (held,) = server.claim("orders", 1)
    server.post("orders", "more")
    path = f"/v2/queues/orders/messages/{id_}"
    assert server.bodies("orders", project="beta") == []
    assert server.ask("GET", path, project="beta")[0] == 404
    assert server.ask("DELETE", held["href"], project="beta")[0] == 204
    assert server.ask("DELETE", "/v2/queues/orders", project="beta")[0] == 204
    assert server.ask("GET", path)[1]["body"] == "secret"
    assert server.bodies("orders") == ["more"]


def p7_nothing_of_another_project_is_counted(server: Deployment) -> None:
    """Broken by a store that counts the queues of all projects."""
    server.ask("PUT", "/v2/queues/orders")
    path = "/v2/queues?with_count=true"
    assert server.ask("GET", path)[1]["count"] == 1
    found = server.ask("GET", path, project="beta")[1]
    assert (found.get("count", 0), found["queues"]) == (0, [])


def p8_what_was_deleted_does_not_come_back(server: Deployment) -> None:
    """Broken by a store that only says that it deleted."""
    first, _ = server.post("orders", "gone", "here")
    server.ask("DELETE", f"/v2/queues/orders/messages/{first}")
    assert server.bodies("orders") == ["here"]
    server.crash()
    assert server.bodies("orders") == ["here"]
    assert [one["body"] for one in server.claim("orders")] == ["here"]


def p8_what_expired_does_not_come_back(server: Deployment) -> None:
    """Broken by a store that shows it again a minute later."""
    (id_,) = server.post("orders", "short", ttl=60)
    server.wait(61)
    path = f"/v2/queues/orders/messages/{id_}"
    assert server.ask("GET", path)[0] == 404
    server.crash()
    assert server.ask("GET", path)[0] == 404


CHECKS: dict[Check, str] = {
    p1_what_was_answered_201_survives_a_crash: "AcknowledgesFirst",
    p2_a_message_is_claimable_until_it_is_deleted: "ClaimsOnce",
    p3_a_message_has_one_live_claim: "ClaimsForAll",
    p3_a_claim_that_expired_deletes_nothing: "DeletesLate",
    p4_order_is_the_order_of_acceptance_also_after_a_crash: "StoresBackwards",
    p5_a_notification_survives_a_crash_before_it_is_sent: "SettlesFirst",
    p6_messages_expire_within_a_second: "ReadsLate",
    p6_delays_end_within_a_second: "HidesLong",
    p7_nothing_of_another_project_is_seen_or_changed: "KnowsOneProject",
    p7_nothing_of_another_project_is_counted: "CountsAllProjects",
    p8_what_was_deleted_does_not_come_back: "KeepsDeleted",
    p8_what_expired_does_not_come_back: "KeepsExpired",
}


class load:  # noqa: N801 - reads as what it does
    """Other clients that post as fast as they can meanwhile."""

    def __init__(self, server: Deployment) -> None:
        self._server = server
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._post) for _ in range(4)]
        self.posts = 0

    def _post(self) -> None:
        while not self._over.is_set():
            self._server.post("noise", *range(10))
            self.posts += 1

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert self.posts > 0


@pytest.fixture
def deploy(
    tmp_path: Path, store_uri: Callable[[], str]
) -> Iterator[Callable[[str], Deployment]]:
    made: list[Deployment] = []

    def deploy(fault: str = "none") -> Deployment:
        deployment = Deployment(tmp_path, store_uri(), fault)
        made.append(deployment)
        deployment.start()
        return deployment

    yield deploy
    for deployment in made:
        deployment.end()


@pytest.mark.parametrize("store_uri", ["sqlite", "redis"], indirect=True)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_promise_holds(check: Check, deploy: Callable[..., Deployment]) -> None:
    check(deploy())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_check_fails_where_the_promise_is_broken(
    check: Check, deploy: Callable[..., Deployment]
) -> None:
    deployment = deploy(CHECKS[check])
    with pytest.raises(AssertionError):
        check(deployment)
