"""Names: the keys of the store, ids, and names of requests.

**Keys.** All keys of a queue and of its subscriptions carry one hash tag, made of the
space and the queue: they are in one slot of a cluster, so that one script changes them
at once. Keys of a space have their own tag, and so have the schedules that cross
spaces. Names are percent-encoded in tags, so that a name cannot end a tag early, and
``:``, ``@`` and ``!`` distinguish the three kinds.

**Ids** are 30 lower-case hexadecimal digits: 14 of a number and 16 of random bits. The
number is the microsecond of acceptance, or one more than the last one of the queue if
that is later: the script that stores decides, this module proposes. It shows when a
message was posted, which its reader knows anyway, and not how many others were. The
random half is looked up as a part of the whole id, in a hash table that Redis keys with
its own secret: the time that a wrong guess takes reveals nothing.

**Requests.** A post, a pop and a claim must not be done twice. If the outcome of one is
unknown it is sent again under the same name, and the script replies as it did the first
time (``lua/once.lua``). The name is a key that no other request of this process to the
queue has at the same time, and a number that rises. So a queue keeps one record for
each request that is under way at a time, not for each that there ever was, and a late
duplicate is recognized, too.
"""

from __future__ import annotations

import binascii
import functools
import itertools
import math
import os
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from zaqarserver.storage.redis.location import RedisLocation

SLOTS: Final = 16384

#: The suffixes of a queue's keys, in the order in which scripts get them.
_QUEUE: Final = (
    "",  # the head: metadata, revision, counters
    ":meta",  # message id: what changes, packed
    ":body",  # message id: body
    ":free",  # ids that can be claimed, by id
    ":hidden",  # ids that are delayed, by id
    ":late",  # the same by the time at which they show
    ":held",  # ids under a claim, by id
    ":expiry",  # all ids by expiry
    ":claims",  # claim id: its terms and messages; n + claim id: messages left
    ":ends",  # claim ids by expiry
    ":out",  # on the way to another queue: id; b + id: body; t: where; k: token
    ":in",  # ids with tokens that came from such a way, by when
    ":postponed",  # ids that were released or redriven with a delay, by id
)
_LISTENERS: Final = (
    ":sub",  # counters of subscriptions and notices
    ":sub:expiry",  # subscriptions that are not volatile, by expiry
    ":sub:volatile",  # volatile ones, by expiry
    ":sub:notices",  # number: the messages of a post
    ":sub:records",  # subscription id: what it is, packed
    ":sub:order",  # ids by id
    ":sub:uris",  # subscriber: id
    ":sub:idle",  # ids that wait for the next notice, by the last one they had
    ":sub:busy",  # ids with a delivery, by the notice before it
    ":sub:due",  # the same by when to look at them again
    ":sub:state",  # subscription id: how far its delivery is
)
_CATALOG: Final = (
    "",  # the last revision and epoch
    ":pools",  # pool: what it is, packed
    ":flavors",  # projects with flavors, by name
    ":named",  # flavor: how many projects have it
    ":placed",  # project and queue: the placement, packed
    ":at",  # pools with places, by name
    ":towards",  # the same of the pools that queues are moved to
    ":moves",  # places of queues that are being moved, by lease
)
_GRANTS: Final = (":grants", ":grants:order", ":grants:expiry")
_KEYS: Final = (
    ":keys",  # idempotency key: its post, packed
    ":keys:expiry",  # idempotency keys by expiry
)


#: For how many queues the keys are cached: some kilobytes each, some microseconds to
#: make.
MOST_KEPT = 2_000


class QueueKeys(msgspec.Struct, frozen=True, gc=False):
    """The keys of a queue, as scripts take them.

    Attributes:
        tag: The hash tag, which also names the queue in schedules.
        space: The space.
        queue: The queue.
        head: The queue itself.
        messages: Head, messages and claims.
        listeners: Head, subscriptions and notices.
        posting: All that a post touches.
        grants: Head and grants.
        everything: All of them.
        moving: What a queue takes along, and what is kept while it arrives.
    """

    tag: str
    space: str
    queue: str
    head: str
    messages: tuple[str, ...]
    listeners: tuple[str, ...]
    posting: tuple[str, ...]
    grants: tuple[str, ...]
    everything: tuple[str, ...]
    moving: tuple[str, ...]


def slot_of(key: str) -> int:
    """Return the slot of a key that has a hash tag."""
    tag = key[key.index("{") + 1 : key.index("}")]
    return binascii.crc_hqx(tag.encode(), 0) % SLOTS


class Keyspace:
    """Makes the keys of a store.

    Args:
        prefix: What all of them begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.queue = functools.lru_cache(MOST_KEPT)(self._queue)
        self.sweep = self._shared("sweep")
        self.notify = self._shared("notify")
        self.seals = self._shared("seals")
        self.servers = self._shared("servers")
        self.time = self._shared("time")
        self.catalog = tuple(self._shared("catalog") + suffix for suffix in _CATALOG)
        self.channel = f"{prefix}:posts"

    def _shared(self, name: str) -> str:
        return f"{self._prefix}:{{!{name}}}"

    def _queue(self, space: str, queue: str) -> QueueKeys:
        tag = f"{quote(space, safe='')}:{quote(queue, safe='')}"
        base = f"{self._prefix}:{{{tag}}}"
        messages = tuple(base + suffix for suffix in _QUEUE)
        listeners = tuple(base + suffix for suffix in _LISTENERS)
        grants = tuple(base + suffix for suffix in _GRANTS)
        keys = tuple(base + suffix for suffix in _KEYS)
        return QueueKeys(
            tag=tag,
            space=space,
            queue=queue,
            head=base,
            messages=messages,
            listeners=(base, *listeners),
            posting=messages + listeners + keys,
            grants=(base, *grants),
            everything=messages + listeners + keys + grants,
            moving=(*messages, *listeners, *keys, f"{base}:arrived"),
        )

    def by_tag(self, tag: str) -> QueueKeys:
        """Return the keys of the queue that a schedule names."""
        space, _, queue = tag.partition(":")
        return self.queue(unquote(space), unquote(queue))

    def index(self, space: str) -> tuple[str, str]:
        """Return the names of a space's queues, and those being made or removed."""
        base = f"{self._prefix}:{{@{quote(space, safe='')}}}"
        return f"{base}:queues", f"{base}:pending"

    def usage(self, space: str) -> str:
        """Return the sums of what the queues of a space hold."""
        return f"{self._prefix}:{{@{quote(space, safe='')}}}:use"

    def server(self, uid: str) -> tuple[str, str]:
        """Return a server's liveness key, and the queues of its connections."""
        base = f"{self._prefix}:{{!{uid}}}"
        return f"{base}:alive", f"{base}:queues"


# -- ids ------------------------------------------------------------------------

_TICKS_PER_SECOND = 1_000_000
_SECRET_BYTES = 4096


def encode_id(number: int, secret: str) -> str:
    """Return the id made of a number and random digits."""
    return f"{number:014x}{secret}"


def new_claim_id() -> str:
    """Return an id for a claim, all random: claims are never ordered."""
    return os.urandom(15).hex()


def new_revision() -> int:
    """Return a revision of a queue: 63 random bits, never used again."""
    return int.from_bytes(os.urandom(8), "big") >> 1


class IdNumbers:
    """Proposes numbers of ids, each greater than all before it in this process.

    Attributes:
        last: The last number that was proposed or learned of.
    """

    def __init__(self) -> None:
        self.last = 0
        self._secrets: list[str] = []

    def take(self, now: float, count: int) -> int:
        """Propose ``count`` numbers in a row; return the first."""
        first = max(int(now * _TICKS_PER_SECOND), self.last + 1)
        self.last = first + count - 1
        return first

    def learn(self, last: int) -> None:
        """Propose only numbers above one that the store has assigned."""
        self.last = max(self.last, last)

    def secret(self) -> str:
        """Return 64 random bits as 16 digits."""
        if not self._secrets:
            text = os.urandom(_SECRET_BYTES).hex()
            self._secrets = [text[at : at + 16] for at in range(0, len(text), 16)]
        return self._secrets.pop()


# -- requests -------------------------------------------------------------------


class RequestName:
    """The name of a request.

    Args:
        head: The key of its queue.
        process: Distinguishes the names of this process from others.
        place: Distinguishes it from other requests to the queue that are under way.
        number: Rises from request to request.
        seconds: How long the store remembers it.

    Attributes:
        head: See above.
        place: See above.
        key: Where it is remembered.
    """

    __slots__ = ("_number", "_seconds", "head", "key", "place")

    def __init__(
        self, head: str, process: str, place: int, number: int, seconds: int
    ) -> None:
        self.head = head
        self.place = place
        self.key = f"{head}:asked:{process}:{place}"
        self._number = number
        self._seconds = seconds

    def argument(self, *, again: bool) -> str:
        """Return the last argument of the script.

        Args:
            again: Whether the request may have been executed before.
        """
        return f"{self._number:016d}{'+' if again else '-'}{self._seconds}"


class _Places:
    """The places of a queue: those that are free again, and how many there are."""

    __slots__ = ("free", "made")

    def __init__(self) -> None:
        self.free: list[int] = []
        self.made = 0


class RequestNames:
    """Names the requests of this process.

    Args:
        location: The settings: a name is remembered for twice the time for which a
            request may be under way with them.
    """

    def __init__(self, location: RedisLocation) -> None:
        longest = location.timeout + location.wait_timeout
        longest += location.connect_timeout + location.retry
        self._seconds = math.ceil(2 * longest)
        self._process = os.urandom(6).hex()
        self._numbers = itertools.count(1)
        self._places: dict[str, _Places] = {}

    def take(self, head: str) -> RequestName:
        """Name a request to a queue; the caller releases the name at its end."""
        places = self._places.get(head)
        if places is None:
            places = self._places[head] = _Places()
        if places.free:
            place = places.free.pop()
        else:
            place = places.made
            places.made += 1
        number = next(self._numbers)
        return RequestName(head, self._process, place, number, self._seconds)

    def release(self, name: RequestName) -> None:
        """Make the place of a request free for another one."""
        places = self._places[name.head]
        places.free.append(name.place)
        if len(places.free) == places.made:
            del self._places[name.head]
