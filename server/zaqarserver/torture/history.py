"""What clients saw, and what it proves.

Only what is certain counts: a request that failed may or may not have done its
work, and a moment lies somewhere between the sending of a request and its answer.
All times are of one monotonic clock, in seconds.
"""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Iterator

import msgspec


class Mark(msgspec.Struct, frozen=True, order=True):
    """What the body of a message says: who posted it, as its how manieth.

    Attributes:
        run: Tells one run of the program from another.
        producer: The producer.
        number: Counts the producer's messages to one queue, from 0 on.
    """

    run: str
    producer: int
    number: int


class Accepted(msgspec.Struct, frozen=True):
    """A message whose post was answered 201.

    Attributes:
        queue: The queue.
        id: As answered.
        mark: What was posted.
        at: When the answer was there.
    """

    queue: str
    id: str
    mark: Mark
    at: float


class Held(msgspec.Struct):
    """A message that a claim gave to a consumer.

    Attributes:
        queue: The queue.
        id: The message.
        mark: Its body.
        claim: The claim.
        asked: When the claim was asked for.
        answered: When the answer was there.
        until: When the consumer let go of it, or the claim may have expired.
    """

    queue: str
    id: str
    mark: Mark
    claim: str
    asked: float
    answered: float
    until: float


class Deleted(msgspec.Struct, frozen=True):
    """A deletion that was asked for.

    Attributes:
        queue: The queue.
        id: The message.
        done: When it was answered 204; ``None`` if that is unknown.
    """

    queue: str
    id: str
    done: float | None


class Fault(msgspec.Struct, frozen=True):
    """A fault that was injected.

    Attributes:
        what: In words.
        at: When.
    """

    what: str
    at: float


class Finding(msgspec.Struct, frozen=True):
    """A broken promise.

    Attributes:
        promise: One of :data:`PROMISES`.
        queue: The queue.
        id: The message.
        text: What was seen.
        window: For what was lost: seconds from its 201 to the next fault.
    """

    promise: str
    queue: str
    id: str
    text: str
    window: float | None = None


PROMISES = (
    "lost",
    "duplicated",
    "reordered",
    "resurrected",
    "double_claimed",
    "not_notified",
    "notified_out_of_order",
    "notified_too_often",
)


class History:
    """All that was seen in one run.

    Args:
        batch: How many messages a post has: so many are in flight to a webhook at a
            time, and may be told again after a fault.
    """

    def __init__(self, batch: int = 1) -> None:
        self._batch = batch
        self.accepted: list[Accepted] = []
        self.held: list[Held] = []
        self.deleted: list[Deleted] = []
        self.faults: list[Fault] = []
        #: Ids that were there at the end, by queue, with when that was asked.
        self.present: dict[str, dict[str, Mark]] = {}
        self.looked: float = 0.0
        #: What each webhook heard, in order, by the queue and its path.
        self.heard: dict[tuple[str, str], list[Mark]] = {}

    def findings(self) -> list[Finding]:
        """Return every promise that was broken for certain."""
        return [
            *self._lost(),
            *self._duplicated(),
            *self._reordered(),
            *self._resurrected(),
            *self._double_claimed(),
            *self.unheard(),
            *self._heard_out_of_order(),
            *self._heard_too_often(),
        ]

    # -- what was accepted is there until somebody deletes it -------------------

    def _lost(self) -> Iterator[Finding]:
        touched = {(one.queue, one.id) for one in self.deleted}
        moments = sorted(fault.at for fault in self.faults)
        for one in self.accepted:
            if (one.queue, one.id) in touched:
                continue
            if one.id in self.present.get(one.queue, {}):
                continue
            index = bisect.bisect_left(moments, one.at)
            window = moments[index] - one.at if index < len(moments) else None
            yield Finding(
                "lost",
                one.queue,
                one.id,
                f"accepted ({one.mark.producer}/{one.mark.number}), never deleted, "
                "and gone",
                window,
            )

    # -- what was posted once is there once -------------------------------------

    def _all_seen(self) -> Iterator[tuple[str, str, Mark]]:
        for accepted in self.accepted:
            yield accepted.queue, accepted.id, accepted.mark
        for held in self.held:
            yield held.queue, held.id, held.mark
        for queue, messages in self.present.items():
            for message_id, mark in messages.items():
                yield queue, message_id, mark

    def _duplicated(self) -> Iterator[Finding]:
        ids: dict[tuple[str, Mark], set[str]] = defaultdict(set)
        for queue, message_id, mark in self._all_seen():
            ids[queue, mark].add(message_id)
        for (queue, mark), found in ids.items():
            if len(found) > 1:
                shown = ", ".join(sorted(found))
                yield Finding(
                    "duplicated",
                    queue,
                    min(found),
                    f"{mark.producer}/{mark.number} was posted once and has the ids "
                    f"{shown}",
                )

    # -- order is the order of acceptance ---------------------------------------

    def _reordered(self) -> Iterator[Finding]:
        lines: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)
        for one in self.accepted:
            lines[one.queue, one.mark.producer][one.mark.number] = one.id
        for (queue, _), numbered in lines.items():
            # A producer posts one after the other: later numbers, later ids. A post
            # without an answer is left out: it may have arrived late.
            for before, after in itertools.pairwise(sorted(numbered)):
                if numbered[before] >= numbered[after]:
                    yield Finding(
                        "reordered",
                        queue,
                        numbered[after],
                        f"number {after} sorts before number {before}",
                    )
        yield from self._claims_out_of_order()

    def _claims_out_of_order(self) -> Iterator[Finding]:
        claims: dict[tuple[str, str], list[Held]] = defaultdict(list)
        for one in self.held:
            claims[one.queue, one.claim].append(one)
        for (queue, claim), members in claims.items():
            ids = [one.id for one in members]
            if ids != sorted(ids):
                yield Finding(
                    "reordered", queue, ids[0], f"claim {claim} is not in order"
                )

    # -- what was deleted stays deleted -----------------------------------------

    def _resurrected(self) -> Iterator[Finding]:
        done = {
            (one.queue, one.id): one.done
            for one in self.deleted
            if one.done is not None
        }
        for held in self.held:
            moment = done.get((held.queue, held.id))
            if moment is not None and held.asked > moment:
                yield Finding(
                    "resurrected",
                    held.queue,
                    held.id,
                    f"claimed {held.asked - moment:.3f} s after its deletion",
                )
        for (queue, message_id), moment in done.items():
            if moment < self.looked and message_id in self.present.get(queue, {}):
                yield Finding(
                    "resurrected", queue, message_id, "there after its deletion"
                )

    # -- a message has one live claim at most -----------------------------------

    def _double_claimed(self) -> Iterator[Finding]:
        holders: dict[tuple[str, str], list[Held]] = defaultdict(list)
        for one in self.held:
            holders[one.queue, one.id].append(one)
        for (queue, message_id), members in holders.items():
            for first, second in itertools.combinations(members, 2):
                if first.claim == second.claim:
                    continue
                overlap = min(first.until, second.until) - max(
                    first.answered, second.answered
                )
                if overlap > 0:
                    yield Finding(
                        "double_claimed",
                        queue,
                        message_id,
                        f"claims {first.claim} and {second.claim} both held it for "
                        f"{overlap:.3f} s",
                    )

    # -- each webhook hears of each message, in order, after faults again --------

    def _ids(self, queue: str) -> dict[Mark, str]:
        return {one.mark: one.id for one in self.accepted if one.queue == queue}

    def unheard(self) -> Iterator[Finding]:
        """Return of what was accepted what a webhook has not heard, as findings."""
        for (queue, path), marks in self.heard.items():
            ids = self._ids(queue)
            for mark in ids.keys() - set(marks):
                text = f"{path} never heard of {mark.producer}/{mark.number}"
                yield Finding("not_notified", queue, ids[mark], text)

    def _heard_out_of_order(self) -> Iterator[Finding]:
        for (queue, path), marks in self.heard.items():
            ids = self._ids(queue)
            # Of a post without an answer nobody knows the place.
            first = [ids[mark] for mark in dict.fromkeys(marks) if mark in ids]
            for before, after in itertools.pairwise(first):
                if before > after:
                    text = f"{path} heard of it after {before}"
                    yield Finding("notified_out_of_order", queue, after, text)

    def _heard_too_often(self) -> Iterator[Finding]:
        in_flight = self._batch * len(self.faults)
        for (queue, path), marks in self.heard.items():
            again = len(marks) - len(set(marks))
            if again > in_flight:
                text = f"{path} heard {again} again; {in_flight} were in flight"
                yield Finding("notified_too_often", queue, "", text)
