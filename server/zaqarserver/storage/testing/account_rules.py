"""The steps of the machine that are about grants, subscriptions and use."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from zaqarserver.storage.accounts import (
    Grant,
    GrantAdd,
    GrantCheck,
    GrantList,
    GrantRevoke,
    UsageGet,
)
from zaqarserver.storage.base import Storage
from zaqarserver.storage.commands import Command
from zaqarserver.storage.subscriptions import SubscriptionCreate, SubscriptionDelete
from zaqarserver.storage.testing.model import Key, Model

T = TypeVar("T")

KEYS: list[Key] = [("p", "a"), ("p", "b"), ("q", "a")]
SPACES = ("p", "q")

keys = st.sampled_from([KEYS[0]] * 4 + KEYS)
#: Seconds that grants and subscriptions live.
lives = st.sampled_from([30, 60, 240])
grant_ids = st.sampled_from(["a", "b", "c"])
subscribers = st.sampled_from(["http://a/", "http://b/"])


class AccountRules(RuleBasedStateMachine):
    """Compares what is on record, and what is used, with the model."""

    storage: Storage
    model: Model

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        raise NotImplementedError

    def _both(self, command: Command[Any]) -> None:
        raise NotImplementedError

    # -- grants -------------------------------------------------------------

    @rule(key=keys, id_=grant_ids, life=lives, most=st.integers(1, 3))
    def grant_add(self, key: Key, id_: str, life: int, most: int) -> None:
        now = self.model.now
        grant = Grant(id_, ["/p"], ["GET"], now, now + life)
        self._both(GrantAdd(*key, grant, most=most, now=now))

    @rule(key=keys, id_=grant_ids)
    def grant_revoke(self, key: Key, id_: str) -> None:
        self._both(GrantRevoke(*key, id_, self.model.now))

    @rule(key=keys, marker=st.none() | grant_ids, limit=st.integers(1, 2))
    def grant_list(self, key: Key, marker: str | None, limit: int) -> None:
        self._both(GrantList(*key, marker=marker, limit=limit, now=self.model.now))

    @invariant()
    def revocations_agree(self) -> None:
        for key in KEYS:
            for one in self.model.live_grants(key):
                revoked = self._run(
                    self.storage.do(GrantCheck(*key, one.id, self.model.now))
                )
                assert revoked is one.revoked

    # -- subscriptions ------------------------------------------------------

    @rule(key=keys, subscriber=subscribers, ttl=lives)
    def subscription_create(self, key: Key, subscriber: str, ttl: int) -> None:
        made, created = self._run(
            self.storage.do(
                SubscriptionCreate(
                    *key, subscriber=subscriber, ttl=ttl, options={}, now=self.model.now
                )
            )
        )
        assert created is self.model.subscribe(key, subscriber, made.id, ttl)

    @rule(key=keys, subscriber=subscribers)
    def subscription_delete(self, key: Key, subscriber: str) -> None:
        id_ = self.model.unsubscribe(key, subscriber)
        if id_ is not None:
            self._run(self.storage.do(SubscriptionDelete(*key, id_)))

    # -- use ----------------------------------------------------------------

    @invariant()
    def use_is_never_less_than_what_is_live(self) -> None:
        for space in SPACES:
            asked = UsageGet(space, self.model.now)
            found, least = self._run(self.storage.do(asked)), self.model.do(asked)
            assert found.queues == least.queues
            assert found.messages >= least.messages
            assert found.bytes >= least.bytes
            assert found.subscriptions >= least.subscriptions

    @rule()
    def use_is_what_is_live_once_all_else_is_swept(self) -> None:
        while self._run(self.storage.sweep(self.model.now)):
            pass
        for space in SPACES:
            self._both(UsageGet(space, self.model.now))
