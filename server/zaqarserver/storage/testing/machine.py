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

from zaqarserver.errors import KeyReused, QueueChanged, ZaqarServerError
from zaqarserver.storage.base import DeadLetter, Durability, NewMessage, Storage
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    ClaimGet,
    ClaimUpdate,
    Command,
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
from zaqarserver.storage.moving import (
    QueueSeal,
)
from zaqarserver.storage.posts import MessagePostOnce, PostGet
from zaqarserver.storage.releases import (
    MessageBury,
    MessageRedrive,
    MessageRelease,
)
from zaqarserver.storage.testing.account_rules import KEYS, SPACES, AccountRules, keys
from zaqarserver.storage.testing.model import Key, Model
from zaqarserver.storage.testing.moving import MovingBench

T = TypeVar("T")

#: An id and the queue that it was seen in.
Found = tuple[Key, str]

# What a step does must often be about something that is there, or the machine
# would spend its time on empty queues: most steps work in the first queue, ids
# travel with their queue, and what ends everything is rare.
wrong_keys = st.sampled_from([None] * 9 + KEYS)
clients = st.sampled_from(["me", "other"])
ttls = st.sampled_from([60, 120, 240, 600, 600, 600])
graces = st.sampled_from([0, 60])
claim_ttls = st.sampled_from([1, 30, 60, 61, 90, 300])
delays = st.sampled_from([0, 0, 0, 0, 1, 60, 90])
limits = st.integers(1, 3)
steps = st.sampled_from([0.25, 0.75, 1.0, 1.0, 29.5, 30.0, 60.0, 59.75, 240.0])
metadatas = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 2))
dead_letters = st.none() | st.builds(
    DeadLetter, st.just("b"), st.integers(1, 2), st.none() | ttls
)
names = st.sampled_from(["k", "k", "l"])
digests = st.sampled_from(["d", "d", "d", "e"])
#: Seconds for which idempotency keys are remembered.
WINDOW = 90.0
reasons = st.sampled_from([None, None, "why"])
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

    #: Makes a closed driver with its files, if any, in the directory.
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
        self._epoch = 0

    def teardown(self) -> None:
        self._run(self.storage.close())
        self._runner.close()
        self._directory.cleanup()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def _both(self, command: Command[Any]) -> None:
        """Execute a command on both; compare what they return or raise."""
        wanted: Any = None
        error: ZaqarServerError | None = None
        try:
            wanted = self.model.do(command)
        except ZaqarServerError as raised:
            error = raised
        if error is not None:
            with pytest.raises(type(error)):
                self._run(self.storage.do(command))
        else:
            assert self._run(self.storage.do(command)) == wanted

    # -- time ---------------------------------------------------------------

    @rule(step=steps)
    def time_passes(self, step: float) -> None:
        self.model.now += step

    @rule(what=st.sampled_from([None] * 6 + [MessagePurge, QueueDelete]), key=keys)
    def remove(self, what: type[MessagePurge | QueueDelete] | None, key: Key) -> None:
        if what is None:
            self._run(self.storage.sweep(self.model.now))
        else:
            self._both(what(*key))

    @precondition(lambda self: self.storage.durability is not Durability.MEMORY)
    @rule()
    def reopen(self) -> None:
        self._run(self.storage.close())
        self._run(self.storage.open())

    # -- queues -------------------------------------------------------------

    @rule(key=keys, metadata=metadatas)
    def queue_create(self, key: Key, metadata: dict[str, int]) -> None:
        self._both(QueueCreate(*key, metadata))

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

    @rule(target=messages, key=keys, new=sent, name=names, digest=digests)
    def message_post_once(
        self, key: Key, new: list[NewMessage], name: str, digest: str
    ) -> Any:
        now = self.model.now
        command = MessagePostOnce(*key, "me", new, now, name, digest, WINDOW)
        try:
            found = self.model.post_get(command)
        except KeyReused:
            with pytest.raises(KeyReused):
                self._run(self.storage.do(command))
            return multiple()
        if found is not None:
            assert self._run(self.storage.do(command)) == found
            return multiple()
        posted = self._run(self.storage.do(command))
        assert not posted.is_replay
        return self._posted(command, posted.ids)

    @rule(key=keys, name=names, digest=digests)
    def post_get(self, key: Key, name: str, digest: str) -> None:
        self._both(PostGet(*key, self.model.now, name, digest))

    def _post(self, key: Key, client: str, new: list[NewMessage]) -> Any:
        command = MessagePost(*key, client, new, self.model.now)
        return self._posted(command, self._run(self.storage.do(command)))

    def _posted(self, command: MessagePost | MessagePostOnce, ids: list[str]) -> Any:
        key = (command.space, command.queue)
        known = [one.id for one in self.model.queue(key).messages]
        assert ids == sorted(set(ids))
        assert max(known, default="") < ids[0]
        self.model.post(command, ids)
        return multiple(*((key, one) for one in ids))

    @rule(
        key=keys,
        after=st.none() | messages,
        options=st.fixed_dictionaries(
            {
                "limit": limits,
                "exclude_client": st.none() | clients,
                "include_claimed": st.booleans(),
                "include_delayed": st.booleans(),
                "include_postponed": st.booleans(),
            }
        ),
    )
    def message_list(
        self, key: Key, after: Found | None, options: dict[str, Any]
    ) -> None:
        marker = after[1] if after else None
        self._both(MessageList(*key, marker=marker, now=self.model.now, **options))

    @rule(key=keys, some=st.lists(messages, max_size=4, unique=True))
    def message_get(self, key: Key, some: list[Found]) -> None:
        self._both(MessageGet(*key, [one for _, one in some], self.model.now))

    @rule(one=messages, wrong_key=wrong_keys, claim=st.none() | claims)
    def message_delete(
        self, one: Found, wrong_key: Key | None, claim: Found | None
    ) -> None:
        key, claim_id = wrong_key or one[0], claim[1] if claim else None
        self._both(MessageDelete(*key, one[1], claim_id, self.model.now))

    @rule(one=consumes(messages))
    def message_delete_by_holder(self, one: Found) -> None:
        key, message_id = one
        message = self.model.find(key, message_id)
        holder = self.model.holder(key, message) if message else None
        self._both(MessageDelete(*key, message_id, holder, self.model.now))

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
        self._both(MessageDeleteMany(*key, ids, claim_ids, self.model.now))

    @rule(key=keys, limit=limits, delayed=st.booleans())
    def message_pop(self, key: Key, limit: int, delayed: bool) -> None:
        self._both(MessagePop(*key, limit, self.model.now, include_delayed=delayed))

    # -- claims -------------------------------------------------------------

    @rule(
        target=claims,
        key=keys,
        options=st.fixed_dictionaries(
            {
                "ttl": claim_ttls,
                "grace": graces,
                "limit": limits,
                "include_delayed": st.booleans(),
                "dead_letter": dead_letters,
            }
        ),
    )
    def claim_create(self, key: Key, options: dict[str, Any]) -> Any:
        dead_letter = options["dead_letter"]
        # Between queues of one store, rows that a move has renumbered by some
        # microseconds may sort after those of another queue with later ids.
        if dead_letter is not None and (dead_letter.queue == key[1] or self._epoch):
            options |= {"dead_letter": None}
        if not self.model.live(key):
            self._post(key, "other", [NewMessage(b"1", 600), NewMessage(b"2", 120)])
        command = ClaimCreate(*key, now=self.model.now, **options)
        claim = self._run(self.storage.do(command))
        claim_id = claim.id if claim else None
        assert claim == self.model.claim(command, claim_id)
        return multiple() if claim_id is None else (key, claim_id)

    @rule(claim=claims, wrong_key=wrong_keys)
    def claim_get(self, claim: Found, wrong_key: Key | None) -> None:
        self._both(ClaimGet(*(wrong_key or claim[0]), claim[1], self.model.now))

    @rule(claim=claims, wrong_key=wrong_keys, ttl=claim_ttls, grace=graces)
    def claim_update(
        self, claim: Found, wrong_key: Key | None, ttl: int, grace: int
    ) -> None:
        key, now = wrong_key or claim[0], self.model.now
        self._both(ClaimUpdate(*key, claim[1], ttl=ttl, grace=grace, now=now))

    @rule(claim=claims, wrong_key=wrong_keys, delay=delays)
    def claim_delete(self, claim: Found, wrong_key: Key | None, delay: int) -> None:
        key, now = wrong_key or claim[0], self.model.now
        self._both(ClaimDelete(*key, claim[1], now, delay))

    @rule(
        one=messages,
        claim=claims,
        by_holder=st.booleans(),
        dead_letter=dead_letters,
        delay=delays,
        reason=reasons,
    )
    def message_release_or_bury(
        self,
        one: Found,
        claim: Found,
        by_holder: bool,
        dead_letter: DeadLetter | None,
        delay: int,
        reason: str | None,
    ) -> None:
        key, message_id = one
        message = self.model.find(key, message_id)
        holder = self.model.holder(key, message) if message and by_holder else None
        held = (*key, message_id, holder or claim[1], self.model.now)
        if dead_letter is None or dead_letter.queue == key[1] or self._epoch:
            self._both(MessageRelease(*held, delay, reason))
        else:
            self._both(MessageBury(*held, dead_letter, reason))

    @rule(
        source=keys,
        to=keys,
        some=st.lists(messages, max_size=4),
        ttl=ttls,
        delay=delays,
    )
    def message_redrive(
        self, source: Key, to: Key, some: list[Found], ttl: int, delay: int
    ) -> None:
        if source[0] != to[0] or source == to or self._epoch:
            return
        ids, now = [one for _, one in some], self.model.now
        self._both(MessageRedrive(*source, ids, to[1], ttl, now, delay))

    # -- moving -------------------------------------------------------------

    @precondition(lambda self: QueueSeal in self.storage.commands)
    @rule(key=keys)
    def move_away_and_back(self, key: Key) -> None:
        bench, away = MovingBench.on(self.storage), ("away", key[1])
        for source, target in ((key, away), (away, key)):
            self._epoch += 1
            self._run(bench.move(source, target, self._epoch, self.model.now))

    # -- after each step ----------------------------------------------------

    @invariant()
    def queues_agree(self) -> None:
        for space in SPACES:
            expected = sorted(key[1] for key in self.model.queues if key[0] == space)
            listed = self._run(self.storage.do(QueueList(space, marker=None, limit=10)))
            assert [queue.name for queue in listed] == expected
            self._both(QueueCount(space))
            for queue in listed:
                assert queue == self._run(self.storage.do(QueueGet(space, queue.name)))
                assert queue.metadata == self.model.queues[space, queue.name].metadata

    @invariant()
    def statistics_agree(self) -> None:
        for key in KEYS:
            self._both(QueueStatsGet(*key, self.model.now))


def state_machine(make: Callable[[Path], Storage]) -> type[StorageMachine]:
    """Return the machine for a driver.

    Args:
        make: Makes a closed driver; gets a fresh directory for its files.
    """
    return type("DriverMachine", (StorageMachine,), {"make": staticmethod(make)})
