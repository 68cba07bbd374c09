"""Compares a driver with the model, in random steps.

::

    from zaqarserver.storage.testing.machine import state_machine

    TestModel = state_machine(
        lambda path: MyStorage.from_uri(f"mine://{path}", {})
    ).TestCase

Needs ``hypothesis``.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from zaqarserver.errors import QueueChanged, ZaqarServerError
from zaqarserver.storage.base import DeadLetter, Durability, NewMessage, Storage
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    ClaimGet,
    ClaimUpdate,
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessageList,
    MessagePop,
    MessagePost,
    MessagePurge,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueList,
    QueueStatsGet,
    QueueUpdate,
)
from zaqarserver.storage.testing.account_rules import KEYS, AccountRules, keys
from zaqarserver.storage.testing.model import Held, Key, Model, Shelf

T = TypeVar("T")

#: An id and the queue that it was seen in.
Found = tuple[Key, str]

# What a step does must often be about something that is there, or the machine
# would spend its time on empty queues: most steps work in the first queue, ids
# travel with their queue, and what ends everything is rare.
wrong_keys = st.sampled_from([None] * 9 + KEYS)
clients = st.sampled_from(["me", "other"])
ttls = st.sampled_from([60, 120, 240, 600, 600, 600])
claim_ttls = st.sampled_from([1, 30, 60, 61, 90, 300])
delays = st.sampled_from([0, 0, 0, 0, 1, 60, 90])
limits = st.integers(1, 3)
steps = st.sampled_from([0.25, 0.75, 1.0, 1.0, 29.5, 30.0, 60.0, 59.75, 240.0])
metadatas = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 2))
dead_letters = st.none() | st.builds(
    DeadLetter, st.just("b"), st.integers(1, 2), st.none() | ttls
)
sent = st.lists(
    st.builds(
        NewMessage,
        body=st.binary(max_size=4),
        ttl=ttls,
        delay=delays,
        checksum=st.none() | st.just("MD5:0"),
    ),
    min_size=1,
    max_size=5,
)


class StorageMachine(AccountRules):
    """The steps; each compares the answer, and after each all is compared."""

    #: Makes a closed driver whose files, if any, are in the directory.
    make: Callable[[Path], Storage]

    messages = Bundle("messages")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner()
        self.storage = type(self).make(Path(self._directory.name))
        self._run(self.storage.open())
        self.model = Model(1_000_000.0)

    def teardown(self) -> None:
        self._run(self.storage.close())
        self._runner.close()
        self._directory.cleanup()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def _same(
        self, expected: Callable[[], Any], coroutine: Coroutine[Any, Any, Any]
    ) -> None:
        """Compare what both return or raise."""
        wanted: Any = None
        error: ZaqarServerError | None = None
        try:
            wanted = expected()
        except ZaqarServerError as raised:
            error = raised
        if error is not None:
            with pytest.raises(type(error)):
                self._run(coroutine)
        else:
            assert self._run(coroutine) == wanted

    # -- time ---------------------------------------------------------------

    @rule(step=steps)
    def time_passes(self, step: float) -> None:
        self.model.now += step

    @rule(what=st.sampled_from(["sweep"] * 6 + ["purge", "delete"]), key=keys)
    def remove(self, what: str, key: Key) -> None:
        if what == "sweep":
            self._run(self.storage.sweep(self.model.now))
        elif what == "purge":
            self._run(self.storage.do(MessagePurge(*key)))
            self.model.purge(key)
        else:
            self._run(self.storage.do(QueueDelete(*key)))
            self.model.queues.pop(key, None)

    @precondition(lambda self: self.storage.durability is not Durability.MEMORY)
    @rule()
    def reopen(self) -> None:
        self._run(self.storage.close())
        self._run(self.storage.open())

    # -- queues -------------------------------------------------------------

    @rule(key=keys, metadata=metadatas)
    def queue_create(self, key: Key, metadata: dict[str, int]) -> None:
        made = self._run(self.storage.do(QueueCreate(*key, metadata)))
        assert made is (key not in self.model.queues)
        if made:
            self.model.queues[key] = Shelf(metadata)

    @rule(key=keys, metadata=metadatas, stale=st.booleans())
    def queue_update(self, key: Key, metadata: dict[str, int], stale: bool) -> None:
        queue = self._run(self.storage.do(QueueGet(*key)))
        revision = queue.revision if queue else 0
        try:
            self._run(
                self.storage.do(
                    QueueUpdate(*key, metadata, revision + (1 if stale else 0))
                )
            )
        except QueueChanged:
            assert stale or queue is None
        else:
            assert queue is not None
            assert not stale
            self.model.queues[key].metadata = metadata

    # -- messages -----------------------------------------------------------

    @initialize(target=messages, new=sent)
    def begin(self, new: list[NewMessage]) -> Any:
        return self._post(KEYS[0], "me", new)

    @rule(target=messages, key=keys, client=clients, new=sent)
    def message_post(self, key: Key, client: str, new: list[NewMessage]) -> Any:
        return self._post(key, client, new)

    @rule(target=messages, key=keys, new=sent)
    def message_post_if_empty(self, key: Key, new: list[NewMessage]) -> Any:
        if self.model.free(key, include_delayed=False):
            return multiple()
        return self._post(key, "other", new)

    def _post(self, key: Key, client: str, new: list[NewMessage]) -> Any:
        known = [one.id for one in self.model.shelf(key).messages]
        ids = self._run(self.storage.do(MessagePost(*key, client, new, self.model.now)))
        assert ids == sorted(set(ids))
        assert max(known, default="") < ids[0]
        self.model.post(key, client, new, ids)
        return multiple(*((key, one) for one in ids))

    @rule(
        key=keys,
        after=st.none() | messages,
        limit=limits,
        client=st.none() | clients,
        claimed=st.booleans(),
        delayed=st.booleans(),
    )
    def message_list(
        self,
        key: Key,
        after: Found | None,
        limit: int,
        client: str | None,
        claimed: bool,
        delayed: bool,
    ) -> None:
        marker = after[1] if after else None
        self._same(
            lambda: self.model.page(
                key,
                marker,
                limit,
                client,
                include_claimed=claimed,
                include_delayed=delayed,
            ),
            self.storage.do(
                MessageList(
                    *key,
                    marker=marker,
                    limit=limit,
                    now=self.model.now,
                    exclude_client=client,
                    include_claimed=claimed,
                    include_delayed=delayed,
                )
            ),
        )

    @rule(key=keys, some=st.lists(messages, max_size=4, unique=True))
    def message_get(self, key: Key, some: list[Found]) -> None:
        ids = [one for _, one in some]
        found = [self.model.find(key, one) for one in ids]
        self._same(
            lambda: [self.model.show(key, one) for one in found if one],
            self.storage.do(MessageGet(*key, ids, self.model.now)),
        )

    @rule(one=messages, wrong_key=wrong_keys, claim=st.none() | claims)
    def message_delete(
        self, one: Found, wrong_key: Key | None, claim: Found | None
    ) -> None:
        self._delete(wrong_key or one[0], one[1], claim[1] if claim else None)

    @rule(one=consumes(messages))
    def message_delete_by_holder(self, one: Found) -> None:
        key, message_id = one
        message = self.model.find(key, message_id)
        holder = self.model.holder(key, message) if message else None
        self._delete(key, message_id, holder)

    def _delete(self, key: Key, message_id: str, claim_id: str | None) -> None:
        self._same(
            lambda: self.model.delete(key, message_id, claim_id),
            self.storage.do(MessageDelete(*key, message_id, claim_id, self.model.now)),
        )

    @rule(
        key=keys,
        some=st.lists(messages, max_size=4),
        named=st.none() | st.lists(claims, max_size=2),
    )
    def message_delete_many(
        self, key: Key, some: list[Found], named: list[Found] | None
    ) -> None:
        ids = [one for _, one in some]
        claim_ids = None if named is None else [one for _, one in named]
        self._same(
            lambda: self.model.delete_many(key, ids, claim_ids),
            self.storage.do(MessageDeleteMany(*key, ids, claim_ids, self.model.now)),
        )

    @rule(key=keys, limit=limits, delayed=st.booleans())
    def message_pop(self, key: Key, limit: int, delayed: bool) -> None:
        self._same(
            lambda: self.model.pop(key, limit, include_delayed=delayed),
            self.storage.do(
                MessagePop(*key, limit, self.model.now, include_delayed=delayed)
            ),
        )

    # -- claims -------------------------------------------------------------

    @rule(
        target=claims,
        key=keys,
        ttl=claim_ttls,
        grace=st.sampled_from([0, 60]),
        limit=limits,
        delayed=st.booleans(),
        dead_letter=dead_letters,
    )
    def claim_create(
        self,
        key: Key,
        ttl: int,
        grace: int,
        limit: int,
        delayed: bool,
        dead_letter: DeadLetter | None,
    ) -> Any:
        if dead_letter is not None and dead_letter.queue == key[1]:
            dead_letter = None
        if not self.model.live(key):
            self._post(key, "other", [NewMessage(b"1", 600), NewMessage(b"2", 120)])
        claim = self._run(
            self.storage.do(
                ClaimCreate(
                    *key,
                    ttl=ttl,
                    grace=grace,
                    limit=limit,
                    now=self.model.now,
                    include_delayed=delayed,
                    dead_letter=dead_letter,
                )
            )
        )
        claim_id = claim.id if claim else None
        held = Held(ttl, grace, self.model.now)
        expected = self.model.claim(
            key, held, limit, dead_letter, claim_id, include_delayed=delayed
        )
        assert claim == expected
        return multiple() if claim_id is None else (key, claim_id)

    @rule(claim=claims, wrong_key=wrong_keys)
    def claim_get(self, claim: Found, wrong_key: Key | None) -> None:
        key = wrong_key or claim[0]
        self._same(
            lambda: self.model.claim_get(key, claim[1]),
            self.storage.do(ClaimGet(*key, claim[1], self.model.now)),
        )

    @rule(
        claim=claims,
        wrong_key=wrong_keys,
        ttl=claim_ttls,
        grace=st.sampled_from([0, 60]),
    )
    def claim_update(
        self, claim: Found, wrong_key: Key | None, ttl: int, grace: int
    ) -> None:
        key = wrong_key or claim[0]
        held = Held(ttl, grace, self.model.now)
        self._same(
            lambda: self.model.claim_update(key, claim[1], held),
            self.storage.do(
                ClaimUpdate(*key, claim[1], ttl=ttl, grace=grace, now=self.model.now)
            ),
        )

    @rule(claim=claims, wrong_key=wrong_keys)
    def claim_delete(self, claim: Found, wrong_key: Key | None) -> None:
        key = wrong_key or claim[0]
        self._same(
            lambda: self.model.claim_delete(key, claim[1]),
            self.storage.do(ClaimDelete(*key, claim[1], self.model.now)),
        )

    # -- after each step ----------------------------------------------------

    @invariant()
    def queues_agree(self) -> None:
        for project in ("p", "q"):
            expected = sorted(key[1] for key in self.model.queues if key[0] == project)
            listed = self._run(
                self.storage.do(QueueList(project, marker=None, limit=10))
            )
            assert [queue.name for queue in listed] == expected
            assert self._run(self.storage.do(QueueCount(project))) == len(expected)
            for queue in listed:
                assert queue == self._run(
                    self.storage.do(QueueGet(project, queue.name))
                )
                assert queue.metadata == self.model.queues[project, queue.name].metadata

    @invariant()
    def statistics_agree(self) -> None:
        for key in KEYS:
            self._same(
                lambda key=key: self.model.stats(key),  # type: ignore[misc]
                self.storage.do(QueueStatsGet(*key, self.model.now)),
            )


def state_machine(make: Callable[[Path], Storage]) -> type[StorageMachine]:
    """Return the machine for a driver.

    Args:
        make: Makes a closed driver; gets a fresh directory for its files.
    """
    return type("DriverMachine", (StorageMachine,), {"make": staticmethod(make)})
