"""Tokens by trust: kept, renewed, and never without a bound."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from receivers import receiving
from zaqarserver.clock import Clock
from zaqarserver.common.lru import LRU
from zaqarserver.errors import IdentityUnavailable, TrustGone
from zaqarserver.identity import trusts
from zaqarserver.identity.trustee import TrustToken
from zaqarserver.identity.trusts import KeystoneTrusts
from zaqarserver.notify.deliverer import Delivered, Failed, Retry
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.trust import TrustDeliverer
from zaqarserver.operations.context import Context
from zaqarserver.operations.trusting import trusts_of
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.subscriptions import SubscriptionCreate

from .doubles import notification_of

pytestmark = pytest.mark.anyio

NOW = 1_000_000.0
CALLER = Context(None, "p", "c", NOW, "r", user_id="u", token="t")  # type: ignore[arg-type]


class Identity:
    """Stands in for Keystone: what it is told to say, and what it was asked."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.asked: list[tuple[str, ...]] = []
        self.lives = 3600.0
        self.errors: list[Exception] = []
        self.clock = NOW

    def _answer(self, *asked: str) -> None:
        self.asked.append(asked)
        assert self.open.wait(30)
        if self.errors:
            raise self.errors.pop(0)

    def create(self, token: str, user: str, project: str, expires: float, /) -> str:
        self._answer("create", token, user, project)
        return "new"

    def is_of(self, token: str, user: str, project: str, trust: str, /) -> bool:
        self._answer("is_of", trust)
        return True

    def delete(self, trust: str, token: str, /) -> None:
        self._answer("delete", trust)

    def token(self, trust: str, /) -> TrustToken:
        self._answer("token", trust)
        return TrustToken(f"{trust}-{len(self.asked)}", self.clock + self.lives)


@pytest.fixture
def identity() -> Iterator[Identity]:
    made = Identity()
    yield made
    made.open.set()  # no thread is left waiting


@pytest.fixture
async def kept(identity: Identity) -> Any:
    made = KeystoneTrusts(
        identity,
        Clock(*[lambda: identity.clock] * 2),
        patience=5,
        removal_waits=(0, 0),
    )
    yield made
    await made.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        # What is waited for happens in a thread: there is no event of the loop's.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


# -- tokens -------------------------------------------------------------------


async def test_a_token_is_kept_until_a_minute_before_its_end(
    identity: Identity, kept: KeystoneTrusts
) -> None:
    first = await kept.token("a")
    identity.clock += 3539
    assert await kept.token("a") == first

    identity.clock += 2
    assert await kept.token("a") != first


async def test_a_short_token_is_kept_for_half_its_life(
    identity: Identity, kept: KeystoneTrusts
) -> None:
    identity.lives = 10
    first = await kept.token("a")
    identity.clock += 4.5
    assert await kept.token("a") == first

    identity.clock += 1
    assert await kept.token("a") != first


async def test_many_that_need_a_token_at_once_ask_once(
    identity: Identity, kept: KeystoneTrusts
) -> None:
    identity.open.clear()
    waiting = [asyncio.ensure_future(kept.token("a")) for _ in range(20)]
    await until(lambda: identity.asked)
    identity.open.set()

    assert len(set(await asyncio.gather(*waiting))) == 1
    assert identity.asked == [("token", "a")]


async def test_one_that_stops_waiting_leaves_the_others_theirs(
    identity: Identity, kept: KeystoneTrusts
) -> None:
    identity.open.clear()
    first, second = (asyncio.ensure_future(kept.token("a")) for _ in range(2))
    await until(lambda: identity.asked)
    first.cancel()
    identity.open.set()

    assert await second == "a-1"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_only_so_many_tokens_are_kept(
    identity: Identity, kept: KeystoneTrusts
) -> None:
    kept._tokens = LRU(2)
    first = await kept.token("a")
    await kept.token("b")
    assert await kept.token("a") == first  # b is now the one longest unused
    await kept.token("c")

    identity.asked.clear()
    await kept.token("a")
    assert identity.asked == []
    await kept.token("b")
    assert identity.asked == [("token", "b")]


async def test_a_dropped_token_is_asked_for_again_but_not_its_successor(
    kept: KeystoneTrusts,
) -> None:
    first = await kept.token("a")
    kept.drop("a", first)
    second = await kept.token("a")
    assert second != first

    kept.drop("a", first)  # somebody else was late with the old one
    assert await kept.token("a") == second


async def test_a_failure_is_not_kept(identity: Identity, kept: KeystoneTrusts) -> None:
    identity.errors = [TrustGone("gone"), IdentityUnavailable("away")]
    with pytest.raises(TrustGone):
        await kept.token("a")
    with pytest.raises(IdentityUnavailable):
        await kept.token("a")
    assert await kept.token("a") == "a-3"


async def test_only_so_many_questions_wait(
    identity: Identity, kept: KeystoneTrusts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusts, "MOST_WAITING", 3)
    identity.open.clear()
    waiting = [asyncio.ensure_future(kept.token(str(name))) for name in range(3)]
    await until(lambda: kept._waiting == 3)

    with pytest.raises(IdentityUnavailable, match="Too many"):
        await kept.token("one more")
    identity.open.set()
    await asyncio.gather(*waiting)

    assert await kept.token("one more")


# -- trusts ---------------------------------------------------------------------


async def test_a_trust_that_came_too_late_is_removed(identity: Identity) -> None:
    kept = KeystoneTrusts(identity, patience=0.01, removal_waits=())
    identity.open.clear()
    with pytest.raises(IdentityUnavailable, match="too long"):
        await kept.create(CALLER, NOW + 60)

    identity.open.set()
    await until(lambda: kept.counters() == {"removed": 1})

    assert identity.asked == [("create", "t", "u", "p"), ("delete", "new")]
    await kept.close()


async def test_a_removal_is_tried_again_and_then_left_to_the_trusts_own_end(
    identity: Identity, kept: KeystoneTrusts, caplog: pytest.LogCaptureFixture
) -> None:
    identity.errors = [IdentityUnavailable("away"), RuntimeError("broken")]
    kept.delete("a")
    await until(lambda: kept.counters() == {"removed": 1})
    assert caplog.records == []

    identity.errors = [IdentityUnavailable("away")] * 3
    kept.delete("b")
    await until(lambda: kept.counters() == {"removed": 1, "left": 1})
    assert "trust b was not removed" in caplog.text


async def test_what_is_still_to_be_removed_at_the_end_is_logged(
    identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    kept = KeystoneTrusts(identity, patience=0.05)
    identity.open.clear()
    kept.delete("a")
    await until(lambda: identity.asked)

    await kept.close()

    assert "trust a was not removed (the server stops" in caplog.text
    assert kept.counters() == {"left": 1}


async def test_a_removed_trust_gives_no_kept_token(
    identity: Identity, kept: KeystoneTrusts
) -> None:
    await kept.token("a")
    kept.delete("a")
    identity.errors = []
    await kept.token("a")

    assert identity.asked.count(("token", "a")) == 2


# -- deliveries -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "has_trustee", "reason"),
    [
        ({"trust_id": "a"}, False, "[trustee] is not configured here"),
        ({}, True, "the subscription has no trust"),
        ({"trust_id": 7}, True, "the subscription has no trust"),
    ],
)
async def test_what_has_no_token_is_given_up(
    kept: KeystoneTrusts,
    notification: Any,
    options: dict[str, Any],
    has_trustee: bool,
    reason: str,
) -> None:
    settings = NotifySettings(trusts=kept if has_trustee else None)
    deliverer = TrustDeliverer(settings)

    one = notification("trust+http://127.0.0.1:9/hook", **options)

    assert await deliverer.deliver(one) == Failed(reason)


async def test_a_trust_that_is_gone_ends_it_and_keystone_away_does_not(
    identity: Identity, kept: KeystoneTrusts, notification: Any
) -> None:
    deliverer = TrustDeliverer(NotifySettings(trusts=kept))
    one = notification("trust+http://127.0.0.1:9/hook", trust_id="a")
    identity.errors = [TrustGone("gone"), IdentityUnavailable("away")]

    assert await deliverer.deliver(one) == Failed("its trust is gone")
    assert isinstance(await deliverer.deliver(one), Retry)


async def test_it_shares_the_limits_of_the_webhooks_host(notification: Any) -> None:
    deliverer = TrustDeliverer(NotifySettings())
    one = notification("Trust+HTTPS://Hooks.Example:8443/x").subscription
    assert deliverer.endpoint(one) == "https://hooks.example:8443"


async def test_the_trust_goes_with_a_subscriber_that_is_gone(
    identity: Identity, kept: KeystoneTrusts, notification: Any
) -> None:
    deliverer = TrustDeliverer(NotifySettings(trusts=kept))
    for options in ({"trust_id": "b", "trust_given": True}, {"trust_id": "a"}, {}):
        deliverer.ended(notification("trust+http://h/", **options).subscription)

    await until(lambda: kept.counters() == {"removed": 1})
    assert identity.asked == [("delete", "a")]


@pytest.mark.usefixtures("small_pages")
async def test_all_trusts_of_a_queue_are_found_over_several_pages() -> None:
    storage = SQLiteStorage.from_uri("sqlite://:memory:", {})
    await storage.open()
    for number in range(11):
        await storage.do(
            SubscriptionCreate(
                "p",
                "q",
                subscriber=f"trust+http://h{number:02}.example/",
                ttl=600,
                options={"trust_id": f"trust{number:02}"},
                now=1.0,
            )
        )
    server: Any = SimpleNamespace(trusts=SimpleNamespace(in_use=True), storage=storage)
    ctx = Context(server, "p", "", 1.0, "")
    assert await trusts_of(ctx, "q") == [f"trust{number:02}" for number in range(11)]
    await storage.close()


async def test_a_webhook_with_a_token_is_requested_byte_for_byte(
    kept: KeystoneTrusts,
) -> None:
    settings = NotifySettings(trusts=kept, allowed_networks=("127.0.0.0/8",))
    deliverer = TrustDeliverer(settings)
    await deliverer.open()
    async with receiving() as receiver:
        url = f"trust+{receiver.url('/a/./b?sp=%2Fx&t=5%3Aa')}"
        assert (
            await deliverer.deliver(notification_of(url, trust_id="t")) == Delivered()
        )
    await deliverer.close()
    (request,) = receiver.requests
    assert request.line.startswith("POST /a/./b?sp=%2Fx&t=5%3Aa ")
    assert request.headers["x-auth-token"] == "t-1"
