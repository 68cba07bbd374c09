"""Every operation of the table as a request, on both transports.

The requests are made from the rows, so that a new operation is tried too; a field
that is not known here fails the tests until it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from zaqarserver.operations import OPERATIONS, Body, Operation
from zaqarserver.operations.fields import RequestPart, members

PATCH = [{"op": "add", "path": "/metadata/intruder", "value": 1}]
POOL = {"uri": "sqlite:////nowhere/pool.db", "weight": 1}

#: What an operation is sent as its body, by the end of its name.
DOCUMENTS: dict[str, Any] = {
    "queue_create": {"intruder": 1},
    "topic_create": {"intruder": 1},
    "queue_update": PATCH,
    "topic_update": PATCH,
    "purge": {"resource_types": ["messages", "subscriptions"]},
    "signed_url_create": {"paths": ["messages", "claims"], "methods": ["GET", "POST"]},
    "message_post": {"messages": [{"body": "intruder"}]},
    "message_release": {"delay": 1, "reason": "intruder"},
    "message_bury": {"reason": "intruder"},
    "queue_redrive": {"target": "intruder"},
    "claim_create": {"ttl": 60, "grace": 60},
    "claim_update": {"ttl": 600, "grace": 60},
    "subscription_create": {"subscriber": "http://203.0.113.1/intruder"},
    "subscription_update": {"ttl": 90},
    "subscription_confirm": {"confirmed": True},
    "pool_create": POOL,
    "pool_update": POOL,
    "pool_drain": {},
    "flavor_create": {"pool_list": ["nothing"]},
    "flavor_update": {"pool_list": ["nothing"]},
}

#: Fields that are no one's: they are sent as they are.
COMMON: dict[str, Any] = {
    # A marker is a place between texts: it says nothing of what is there.
    "marker": "0",
    "limit": 20,
    "detailed": True,
    "with_count": True,
    "echo": True,
    "include_claimed": True,
    "include_delayed": True,
    "force": True,
    "wait": 0,
}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The names and ids of what a project has, or of nothing.

    Attributes:
        queue: The values of fields for rows of queues.
        topic: The same for rows of topics.
    """

    queue: Mapping[str, Any]
    topic: Mapping[str, Any]

    def of(self, row: Operation) -> Mapping[str, Any]:
        """Return the values for a row."""
        return self.topic if "{topic_name}" in row.path else self.queue

    def texts(self) -> list[str]:
        """Return all names and ids, the longest first."""
        found: set[str] = set()
        for values in (self.queue, self.topic):
            for value in values.values():
                found.update(value if isinstance(value, list) else [value])
        return sorted(found, key=len, reverse=True)


class Request(msgspec.Struct, frozen=True):
    """A request for one row.

    Attributes:
        name: The action.
        method: The method of REST.
        path: The path of REST with its query.
        document: The body of REST.
        content_type: Its type.
        frame: The body of the frame.
    """

    name: str
    method: str
    path: str
    document: Any
    content_type: str
    frame: dict[str, Any]


def _document(row: Operation) -> Any:
    name = row.name.removeprefix("topic_")
    for key, document in DOCUMENTS.items():
        if key in (row.name, name) or name.endswith(key):
            return document
    assert row.body is Body.NONE, f"{row.name}: what is its body?"
    return None


def _variants(row: Operation, values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the values of the fields of a row; deletes by id, and pops."""
    known = {**COMMON, **values}
    found: dict[str, Any] = {}
    for member in members(row.fields):
        if member.spec.part in (RequestPart.PATH, RequestPart.QUERY):
            if member.name in known:
                found[member.name] = known[member.name]
            else:
                # A number or a switch names nothing of anybody's.
                plain = member.type in (int, bool) or member.name in ("name", "pop")
                optional = member.optional and plain
                assert optional, f"{row.name}: what is {member.name}?"
    if row.name.endswith("message_delete_many"):
        ids = {"message_ids", "claim_ids"}
        yield found
        yield {k: v for k, v in found.items() if k not in ids} | {"pop": 5}
    else:
        yield found


def requests_of(row: Operation, target: Target) -> Iterator[Request]:
    """Give the requests for a row that name what a target has."""
    document = _document(row)
    for values in _variants(row, target.of(row)):
        path, query = row.path, {}
        for member in members(row.fields):
            if member.name not in values:
                continue
            value = values[member.name]
            if member.spec.part is RequestPart.PATH:
                path = path.replace(f"{{{member.name}}}", quote(str(value), safe=""))
            else:
                query[member.spec.rest_name or member.name] = value
        text = {
            key: ",".join(value) if isinstance(value, list) else str(value)
            for key, value in query.items()
        }
        frame = dict(values)
        if isinstance(document, dict):
            frame |= {"metadata": document} if "create" in row.name else document
            frame |= document if "metadata" not in row.fields.__struct_fields__ else {}
        elif document is not None:
            frame["operations"] = document
        yield Request(
            row.name,
            row.method,
            f"{path}?{urlencode(text)}" if text else path,
            document,
            row.content_type or "application/json",
            frame,
        )


def all_requests(target: Target) -> list[Request]:
    """Return requests for every row."""
    return [one for row in OPERATIONS for one in requests_of(row, target)]


def nothing_like(target: Target) -> Target:
    """Return names and ids of the same shape that nobody has."""

    def other(value: Any) -> Any:
        if isinstance(value, list):
            return [other(one) for one in value]
        digits = uuid.uuid4().hex * 3
        kept = "-" if "-" in value else ""
        made = "".join(
            kept if sign == "-" else digits[index] for index, sign in enumerate(value)
        )
        return made[: len(value)]

    return Target(
        queue={key: other(value) for key, value in target.queue.items()},
        topic={key: other(value) for key, value in target.topic.items()},
    )
