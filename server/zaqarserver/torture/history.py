"""The history of a run, and the broken promises that it proves.

Only certain facts count: a failed request may or may not have been executed, and an
operation happens at some time between a request and its answer. All times are of one
monotonic clock, in seconds.
"""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Iterator

import msgspec

from zaqarserver.storage.subscriptions import DELIVERY_MESSAGES


class Mark(msgspec.Struct, frozen=True, order=True):
    """The body of a message: its producer and number.

    Attributes:
        run: The id of the run of the program.
        producer: The producer.
        number: The number among the producer's messages to one queue, from 0.
    """

    run: str
    producer: int
    number: int

    def __str__(self) -> str:
        return f"{self.producer}/{self.number}"


class Accepted(msgspec.Struct, frozen=True):
    """A message whose post was answered 201.

    Attributes:
        queue: The queue.
        id: The message's id in the answer.
        mark: The body.
        at: When the answer arrived.
    """

    queue: str
    id: str
    mark: Mark
    at: float


class HeldMessage(msgspec.Struct):
    """A message that a consumer claimed.

    Attributes:
        queue: The queue.
        id: The message.
        mark: Its body.
        claim: The claim.
        asked: When the request for the claim was sent.
        answered: When the answer arrived.
        until: When the consumer released it, or the claim may have expired.
    """

    queue: str
    id: str
    mark: Mark
    claim: str
    asked: float
    answered: float
    until: float


class Deleted(msgspec.Struct, frozen=True):
    """A requested deletion.

    Attributes:
        queue: The queue.
        id: The message.
        done: When it was answered 204; ``None`` if the outcome is unknown.
    """

    queue: str
    id: str
    done: float | None


class Fault(msgspec.Struct, frozen=True):
    """An injected fault.

    Attributes:
        what: Its description.
        at: When it was injected.
    """

    what: str
    at: float


class Finding(msgspec.Struct, frozen=True):
    """A broken promise.

    Attributes:
        promise: One of :data:`PROMISES`.
        queue: The queue.
        id: The message.
        text: The description.
        window: For a lost message: seconds from its 201 to the next fault.
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
    """Everything that clients observed in one run.

    Args:
        batch: The messages of a post.
    """

    def __init__(self, batch: int = 1) -> None:
        self._batch = batch
        self.accepted: list[Accepted] = []
        self.held: list[HeldMessage] = []
        self.deleted: list[Deleted] = []
        self.faults: list[Fault] = []
        #: The messages at the end of the run, by queue and id.
        self.present: dict[str, dict[str, Mark]] = {}
        self.looked: float = 0.0
        #: The messages that each webhook received, in order, by queue and path.
        self.heard: dict[tuple[str, str], list[Mark]] = {}

    def findings(self) -> list[Finding]:
        """Return every promise that was certainly broken."""
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

    # -- accepted messages exist until they are deleted -------------------------

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
            text = f"accepted ({one.mark}), never deleted, and gone"
            yield Finding("lost", one.queue, one.id, text, window)

    # -- a message that was posted once exists once -----------------------------

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
                text = f"{mark} was posted once and has the ids {shown}"
                yield Finding("duplicated", queue, min(found), text)

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
                    text = f"number {after} sorts before number {before}"
                    yield Finding("reordered", queue, numbered[after], text)
        yield from self._claims_out_of_order()

    def _claims_out_of_order(self) -> Iterator[Finding]:
        claims: dict[tuple[str, str], list[HeldMessage]] = defaultdict(list)
        for one in self.held:
            claims[one.queue, one.claim].append(one)
        for (queue, claim), members in claims.items():
            ids = [one.id for one in members]
            if ids != sorted(ids):
                text = f"claim {claim} is not in order"
                yield Finding("reordered", queue, ids[0], text)

    # -- deleted messages stay deleted ------------------------------------------

    def _resurrected(self) -> Iterator[Finding]:
        done = {
            (one.queue, one.id): one.done
            for one in self.deleted
            if one.done is not None
        }
        for held in self.held:
            moment = done.get((held.queue, held.id))
            if moment is not None and held.asked > moment:
                text = f"claimed {held.asked - moment:.3f} s after its deletion"
                yield Finding("resurrected", held.queue, held.id, text)
        for (queue, message_id), moment in done.items():
            if moment < self.looked and message_id in self.present.get(queue, {}):
                text = "there after its deletion"
                yield Finding("resurrected", queue, message_id, text)

    # -- a message has one live claim at most -----------------------------------

    def _double_claimed(self) -> Iterator[Finding]:
        holders: dict[tuple[str, str], list[HeldMessage]] = defaultdict(list)
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

    # -- each webhook receives each message, in order; after faults maybe again --

    def _ids(self, queue: str) -> dict[Mark, str]:
        return {one.mark: one.id for one in self.accepted if one.queue == queue}

    def unheard(self) -> Iterator[Finding]:
        """Yield the accepted messages that a webhook has not received."""
        for (queue, path), marks in self.heard.items():
            ids = self._ids(queue)
            for mark in ids.keys() - set(marks):
                text = f"{path} never received {mark}"
                yield Finding("not_notified", queue, ids[mark], text)

    def _heard_out_of_order(self) -> Iterator[Finding]:
        for (queue, path), marks in self.heard.items():
            ids = self._ids(queue)
            # The position of a post without an answer is not known.
            first = [ids[mark] for mark in dict.fromkeys(marks) if mark in ids]
            for before, after in itertools.pairwise(first):
                if before > after:
                    text = f"{path} received it after {before}"
                    yield Finding("notified_out_of_order", queue, after, text)

    def _heard_too_often(self) -> Iterator[Finding]:
        # A delivery has one post, or several up to so many messages; after a fault it
        # is sent again from where it was recorded last.
        in_flight = max(self._batch, DELIVERY_MESSAGES) * len(self.faults)
        for (queue, path), marks in self.heard.items():
            again = len(marks) - len(set(marks))
            if again > in_flight:
                text = f"{path} received {again} again; {in_flight} were in flight"
                yield Finding("notified_too_often", queue, "", text)
