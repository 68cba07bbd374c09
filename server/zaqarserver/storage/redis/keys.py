"""The names of the keys.

All keys of a queue, and of what listens to it, carry one hash tag, made of the
project and the queue: they are in one slot of a cluster, so that one script changes
them at once. What belongs to a project has a tag of its own, and so have the lists
that cross projects. Names are percent-encoded in tags: none can end a tag early, and
``:``, ``@`` and ``!`` keep the three kinds apart.
"""

from __future__ import annotations

import binascii
import functools
from typing import Final
from urllib.parse import quote, unquote

import msgspec

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
    ":out",  # on the way to a dead letter queue: id; b + id: body; t + id: where
    ":in",  # ids that came from such a way, by when
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


#: How many queues' keys are kept made: some kilobytes each, some microseconds to make.
MOST_KEPT = 2_000


class QueueKeys(msgspec.Struct, frozen=True, gc=False):
    """The keys of a queue, as scripts take them.

    Attributes:
        tag: The hash tag, which also names the queue in lists that cross queues.
        project: The project.
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
    project: str
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


class Names:
    """Makes keys.

    Args:
        prefix: What all of them begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.queue = functools.lru_cache(MOST_KEPT)(self._queue)
        self.sweep = self._list("sweep")
        self.notify = self._list("notify")
        self.servers = self._list("servers")
        self.seals = self._list("seals")
        self.time = self._list("time")
        self.catalog = tuple(self._list("catalog") + suffix for suffix in _CATALOG)
        self.channel = f"{prefix}:posts"

    def _list(self, name: str) -> str:
        return f"{self._prefix}:{{!{name}}}"

    def _queue(self, project: str, queue: str) -> QueueKeys:
        tag = f"{quote(project, safe='')}:{quote(queue, safe='')}"
        base = f"{self._prefix}:{{{tag}}}"
        messages = tuple(base + suffix for suffix in _QUEUE)
        listeners = tuple(base + suffix for suffix in _LISTENERS)
        grants = tuple(base + suffix for suffix in _GRANTS)
        return QueueKeys(
            tag=tag,
            project=project,
            queue=queue,
            head=base,
            messages=messages,
            listeners=(base, *listeners),
            posting=messages + listeners,
            grants=(base, *grants),
            everything=messages + listeners + grants,
            moving=(*messages, *listeners, f"{base}:arrived"),
        )

    def by_tag(self, tag: str) -> QueueKeys:
        """Return the keys of the queue that a list names."""
        project, _, queue = tag.partition(":")
        return self.queue(unquote(project), unquote(queue))

    def index(self, project: str) -> tuple[str, str]:
        """Return the names of a project's queues, and those being made or removed."""
        base = f"{self._prefix}:{{@{quote(project, safe='')}}}"
        return f"{base}:queues", f"{base}:pending"

    def use(self, project: str) -> str:
        """Return what adds up what the queues of a project hold."""
        return f"{self._prefix}:{{@{quote(project, safe='')}}}:use"

    def server(self, uid: str) -> tuple[str, str]:
        """Return a server's sign of life, and the queues that its sockets listen to."""
        base = f"{self._prefix}:{{!{uid}}}"
        return f"{base}:alive", f"{base}:queues"
