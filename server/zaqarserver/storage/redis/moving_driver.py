"""Queues that move between stores, of the contract, on Redis.

The seal is a field of the queue's head: every script looks at it. What arrives is put
where it will be, and nobody sees it before the seal is taken off. So sealing, opening
and leaving take the same time however much a queue has.

Seals are listed in another slot, like queues that are to be swept: before they are
made, and taken from the list after they are gone
(:mod:`zaqarserver.storage.redis.access`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.moving import (
    REMEMBERED_SECONDS,
    ClaimRecord,
    Contents,
    ExportPage,
    MessageRecord,
    NoticeRecord,
    QueueRecord,
    Record,
    Seal,
    SealKind,
    SubscriptionRecord,
)
from zaqarserver.storage.redis import transfer
from zaqarserver.storage.redis.access import REFUSED
from zaqarserver.storage.redis.account_driver import AccountsOnRedis
from zaqarserver.storage.redis.ids import revision as new_revision
from zaqarserver.storage.redis.keys import QueueKeys
from zaqarserver.storage.redis.wire import Word

#: About how many bytes of bodies a page has at most, and how many deliveries.
PAGE_BYTES = 1_000_000
PAGE_DELIVERIES = 5_000

#: How many records one script keeps.
STEP = 500

_CHANGED = b"changed"
_DROP = b"drop"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

T = TypeVar("T")


class MovingOnRedis(AccountsOnRedis):
    """What each method promises is in the contract."""

    async def _step(
        self,
        script: str,
        keys: QueueKeys,
        *args: Word,
        now: float = 0.0,
        removing: bool = False,
    ) -> Any:
        """Run a script that changes a seal; ``None`` if it refuses."""
        reply = await self._run_prepared(
            script, keys, keys.moving, now, *args, removing=removing
        )
        return None if reply == REFUSED else reply

    def _note(self, keys: QueueKeys, volumes: Sequence[Sequence[int]]) -> None:
        """Tell what is left of a queue, or what it has now."""
        messages, subscriptions = volumes
        self._volumes.messages(keys, messages)
        self._volumes.subscriptions(keys, subscriptions)

    # -- leaving ------------------------------------------------------------

    async def queue_seal(self, project: str, queue: str, epoch: int) -> bool:
        """Seal it; then nothing may be on its way to a dead letter queue."""
        keys = self._names.queue(project, queue)
        sent = await self._step("seal", keys, epoch)
        if sent is None:
            return False
        if sent:
            await self._finish_moves(keys, float(sent))
        return True

    async def queue_leave(
        self, project: str, queue: str, epoch: int, now: float
    ) -> bool:
        """Unlink a handful of keys; Redis frees them in the background."""
        keys = self._names.queue(project, queue)
        return await self._leave(keys, epoch, now + REMEMBERED_SECONDS)

    async def _leave(self, keys: QueueKeys, epoch: int, until: float) -> bool:
        volumes = await self._step(
            "leave_store", keys, epoch, repr(until), removing=True
        )
        if volumes is None:
            return False
        self._note(keys, volumes)
        self._later(self._unlist(keys))
        return True

    async def queue_retire(
        self, project: str, queue: str, epoch: int, now: float
    ) -> bool:
        """Seal it as gone if there is nothing."""
        keys = self._names.queue(project, queue)
        until = repr(now + REMEMBERED_SECONDS)
        return await self._step("retire", keys, epoch, until, now=now) is not None

    # -- arriving -----------------------------------------------------------

    async def queue_receive(self, project: str, queue: str, epoch: int) -> bool:
        """Drop what is there, and seal it."""
        keys = self._names.queue(project, queue)
        volumes = await self._step("receive", keys, epoch, removing=True)
        if volumes is None:
            return False
        self._note(keys, volumes)
        return True

    async def queue_open(
        self, project: str, queue: str, epoch: int, since: int
    ) -> bool:
        """Take the seal off, after dropping what is too old."""
        keys = self._names.queue(project, queue)
        while True:
            opened = await self._step("open", keys, epoch, since, new_revision())
            if opened is None:
                return False
            if opened[0] != _DROP:
                break
            await self._leave(keys, opened[1], 0.0)
        self._note(keys, opened)
        self._later(self._unlist(keys))
        self._noticed()
        return True

    async def queue_import(
        self, project: str, queue: str, epoch: int, records: Sequence[Record]
    ) -> None:
        """Put the records in their places, by kind."""
        keys = self._names.queue(project, queue)

        async def arrive(script: str, *args: Word) -> None:
            reply = await self._run(script, keys.moving, epoch, *args)
            if reply == _CHANGED:
                raise QueueChanged(f"queue {queue!r} does not arrive")

        heads = [_encode(one.metadata) for one in _of(QueueRecord, records)]
        claims = transfer.claim_args(_of(ClaimRecord, records))
        await arrive("arrive", heads[0] if heads else "", *claims)
        kinds: list[tuple[type[Any], str, Callable[[Any], list[Word]]]] = [
            (MessageRecord, "arrive_messages", transfer.message_args),
            (
                SubscriptionRecord,
                "arrive_subscriptions",
                transfer.subscription_args,
            ),
            (NoticeRecord, "arrive_notices", transfer.notice_args),
        ]
        for kind, script, args_of in kinds:
            wanted = _of(kind, records)
            for at in range(0, len(wanted), STEP):
                await arrive(script, *args_of(wanted[at : at + STEP]))

    # -- exporting ----------------------------------------------------------

    async def queue_export(
        self, project: str, queue: str, following: str | None, *, limit: int
    ) -> ExportPage:
        """Go on within, or after, the kind of record that is named."""
        keys = self._names.queue(project, queue)
        kind, _, position = (following or "head:").partition(":")
        if kind == "head":
            metadata = await self._depart("depart", keys)
            head = [QueueRecord(_decode(metadata))] if metadata else []
            return ExportPage(head, "message:-")
        if kind == "message":
            start, *page = await self._depart(
                "depart_messages", keys, position, limit, PAGE_BYTES
            )
            claims = transfer.read_claims(*page[3:])
            messages = transfer.read_messages(page[:3])
            return ExportPage(
                [*claims, *messages], _after("message", start, "subscription:-")
            )
        if kind == "subscription":
            start, *page = await self._depart(
                "depart_subscriptions", keys, position, limit
            )
            subscriptions = transfer.read_subscriptions(page)
            return ExportPage(subscriptions, _after("subscription", start, "notice:0"))
        number, *page = await self._depart(
            "depart_notices", keys, position, PAGE_BYTES, PAGE_DELIVERIES
        )
        notices = transfer.read_notices(page)
        return ExportPage(notices, f"notice:{number}" if number else None)

    async def queue_contents(self, project: str, queue: str, now: float) -> Contents:
        """Count the sets, and how far behind each subscription is."""
        keys = self._names.queue(project, queue)
        reply = await self._run("contents", keys.moving, repr(now))
        if reply == _CHANGED:
            raise QueueChanged(f"queue {queue!r} neither leaves nor arrives")
        return Contents(*reply)

    async def _depart(self, script: str, keys: QueueKeys, *args: Word) -> Any:
        reply = await self._run(script, keys.moving, *args)
        if reply == _CHANGED:
            raise QueueChanged(f"queue {keys.queue!r} is not sealed")
        return reply

    # -- the list of seals --------------------------------------------------

    async def queue_seals(
        self, *, marker: tuple[str, str] | None, limit: int
    ) -> list[Seal]:
        """Read the list, which is short, and look at each queue."""
        listed = await self._link.do("ZRANGE", self._names.seals, 0, -1)
        queues = (self._names.by_tag(tag.decode()) for tag in listed)
        found: list[Seal] = []
        for keys in sorted(queues, key=lambda one: (one.project, one.queue)):
            if len(found) == limit:
                break
            if marker is not None and (keys.project, keys.queue) <= marker:
                continue
            sealed = await self._unlist(keys)
            if sealed is not None:
                kind, epoch = sealed
                found.append(Seal(keys.project, keys.queue, epoch, kind))
        return found

    async def _unlist(self, keys: QueueKeys) -> tuple[SealKind, int] | None:
        """Take a queue from the list of seals unless it is sealed; return how it is."""
        read = await self._link.do("ZSCORE", self._names.seals, keys.tag)
        sealed = await self._link.run("sealed", (keys.head,))
        if sealed is not None:
            return SealKind(sealed[0].decode()), sealed[1]
        if read is not None:
            await self._agenda_move(self._names.seals, keys.tag, read, b"")
        return None


def _of(kind: type[T], records: Iterable[Record]) -> list[T]:
    return [record for record in records if isinstance(record, kind)]


def _after(kind: str, start: bytes, following: str) -> str:
    """Return where the next page begins: within this kind, or with what follows."""
    return f"{kind}:{start.decode()}" if start else following
