"""The table of the operations of version 2: one row each.

It says where each argument goes over both transports (contract, SDK section 16; REST
section 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from zaqarclient.queues.v2 import frames, shapes
from zaqarclient.queues.v2.frames import FrameSide
from zaqarclient.transport.api import Retry

JSON_PATCH = "application/openstack-messaging-v2.0-json-patch"
"""The content type of a change of queue metadata (REST 2.4)."""

PATH_NAME = re.compile(r"\{(\w+)\}")
"""An argument in the template of a path."""

_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}
_BOOLEAN = {"type": "boolean"}
_OBJECT = {"type": "object"}
_ARRAY = {"type": "array"}

_PAGE = {"marker": _STRING, "limit": _INTEGER}
_DETAILED_PAGE = {**_PAGE, "detailed": _BOOLEAN}
_LEASE = {"ttl": _INTEGER, "grace": _INTEGER}
_IDS = {"type": ["array", "string"]}
_POOL = {"uri": _STRING, "weight": _INTEGER, "flavor": _STRING, "options": _OBJECT}
_FLAVOR = {"pool_list": _ARRAY, "capabilities": _OBJECT}

_QUEUE = "queues/{queue_name}"
_MESSAGES = "queues/{queue_name}/messages"
_MESSAGE = "queues/{queue_name}/messages/{message_id}"
_CLAIMS = "queues/{queue_name}/claims"
_CLAIM = "queues/{queue_name}/claims/{claim_id}"
_SUBSCRIPTIONS = "queues/{queue_name}/subscriptions"
_SUBSCRIPTION = "queues/{queue_name}/subscriptions/{subscription_id}"
_SIGNED_URLS = "queues/{queue_name}/signed_urls"


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        name: As in ``message_post``.
        call: The HTTP method, and the path below ``/v2/`` as a template; each name in
            it is an argument.
        query: The known arguments of the query, with their JSON Schema.
        body: The known members of the body, with their JSON Schema.
        whole: The argument that is the body as a whole, in place of members.
        required: The arguments of the body that must be there.
        spill: Where arguments go that no column names: ``query`` or ``body``.
        sends_empty: Whether a body without members is sent as ``{}``.
        content_type: Of the body.
        retry: When a failed call may be sent again.
        topics: Whether it is about topics.
        reply: The shape of the answer (see `shapes`); None if nothing is taken
            from it.
        frame: How the operation looks on the WebSocket.
    """

    name: str
    call: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    whole: str | None = None
    required: tuple[str, ...] = ()
    spill: str = "query"
    sends_empty: bool = False
    content_type: str = "application/json"
    retry: Retry = Retry.SAFE
    topics: bool = False
    reply: Any = None
    frame: FrameSide = field(default_factory=FrameSide)

    @cached_property
    def method(self) -> str:
        """The HTTP method."""
        return self.call.partition(" ")[0]

    @cached_property
    def path(self) -> str:
        """The template of the path."""
        return self.call.partition(" ")[2]

    @property
    def empty(self) -> Any:
        """A new document to stand for an empty answer: its lists without items."""
        shape = self.reply
        if not isinstance(shape, dict):
            return None
        return {name: [] for name, kind in shape.items() if isinstance(kind, list)}

    @cached_property
    def path_names(self) -> tuple[str, ...]:
        """The arguments of the path."""
        return tuple(PATH_NAME.findall(self.path))

    def frame_body(self, params: Mapping[str, Any], content: Any) -> dict[str, Any]:
        """Return the body of the operation's frame.

        Args:
            params: The arguments of path and query.
            content: The body over HTTP, decoded; None for none.
        """
        side = self.frame
        known = {*self.path_names, *self.query}
        params = {k: v for k, v in params.items() if k not in side.omits}
        named = {k: v for k, v in params.items() if k in known or not side.filters}
        body = {side.names.get(k, k): v for k, v in named.items()}
        if side.filters and len(named) < len(params):
            rest = {k: v for k, v in params.items() if k not in known}
            body[side.filters] = frames.filters_of(rest)
        whole = side.names.get(self.whole or "")
        if content is not None:
            body.update({whole: content} if whole else content)
        return body

    def schema(self) -> dict[str, Any]:
        """Return the row as `Api` wants it."""
        names = self.path_names
        return {
            "ref": self.path,
            "method": self.method,
            "required": [*names, *self.required],
            "properties": {
                **dict.fromkeys(names, _STRING),
                **self.query,
                **self.body,
            },
            # The rest are metadata filters, or metadata.
            "additionalProperties": self.name in _OPEN,
        }

    def of_topics(self) -> Operation:
        """Return the row that does for topics what this one does for queues."""
        action = self.frame.action and topic_action(self.frame.action)
        reader, reply = self.frame.reader, self.reply
        if self.name == "queue_list":
            reader, reply = frames.list_of("topics"), shapes.TOPICS
        return replace(
            self,
            name=topic_action(self.name),
            call=self.call.replace("queue", "topic"),
            query={k: v for k, v in self.query.items() if k not in _NOT_OF_TOPICS},
            topics=True,
            reply=reply,
            frame=self.frame._replace(action=action, reader=reader),
        )


def topic_action(name: str) -> str:
    """Return what an operation of queues is called for topics."""
    return "topic_" + name.removeprefix("queue_")


_OPEN = {"queue_list", "queue_create", "topic_list", "topic_create"}
_NOT_OF_TOPICS = {
    *("include_claimed", "claim_id", "claim_ids", "check_claims", "with_count")
}
"""What is about claims, and the number of queues (REST 2.11)."""

_MANY = {"ids": "message_ids"}


def _admin_rows(
    kind: str, body: Mapping[str, Any], one: Any, page: Any
) -> Iterator[Operation]:
    """Yield the rows of pools or flavors."""
    path, whole = f"{kind}s/{{{kind}_name}}", f"{kind}_data"
    yield Operation(f"{kind}_list", f"GET {kind}s", query=_DETAILED_PAGE, reply=page)
    yield Operation(f"{kind}_create", f"PUT {path}", whole=whole, body=body)
    detailed = {"detailed": _BOOLEAN}
    yield Operation(f"{kind}_get", f"GET {path}", query=detailed, reply=one)
    yield Operation(
        f"{kind}_update", f"PATCH {path}", whole=whole, body=body, reply=one
    )
    yield Operation(f"{kind}_delete", f"DELETE {path}", query={"force": _BOOLEAN})


_ROWS = (
    Operation(
        "queue_list",
        "GET queues",
        query={**_DETAILED_PAGE, "with_count": _BOOLEAN, "name": _STRING},
        reply=shapes.QUEUES,
        frame=FrameSide(filters="filters", reader=frames.list_of("queues")),
    ),
    Operation(
        "queue_create",
        f"PUT {_QUEUE}",
        whole="metadata",
        reply=object,
        frame=FrameSide(names={"metadata": "metadata"}),
    ),
    Operation("queue_get", f"GET {_QUEUE}", reply={}),
    Operation(
        "queue_exists",
        f"HEAD {_QUEUE}",
        frame=FrameSide("queue_get", reader=frames.nothing),
    ),
    Operation("queue_delete", f"DELETE {_QUEUE}"),
    Operation(
        "queue_update",
        f"PATCH {_QUEUE}",
        whole="metadata",
        content_type=JSON_PATCH,
        # A second `remove` of the same key is a conflict.
        retry=Retry.UNACCEPTED,
        reply={},
        frame=FrameSide(names={"metadata": "operations"}),
    ),
    Operation(
        "queue_get_stats",
        f"GET {_QUEUE}/stats",
        reply=shapes.STATS,
        frame=FrameSide(reader=frames.queue_get_stats, answers_missing=True),
    ),
    Operation(
        "queue_purge",
        f"POST {_QUEUE}/purge",
        body={"resource_types": _ARRAY},
        # Sent twice, it takes what was posted in between as well.
        retry=Retry.UNACCEPTED,
    ),
    Operation(
        "queue_redrive",
        f"POST {_QUEUE}/redrive",
        body={
            "target": _STRING,
            "ids": _ARRAY,
            "filter": _OBJECT,
            "marker": _STRING,
            "limit": _INTEGER,
            "delay": _INTEGER,
            "dry_run": _BOOLEAN,
        },
        sends_empty=True,
        # Sent twice, it counts only what the first left.
        retry=Retry.UNACCEPTED,
        reply=shapes.REDRIVEN,
    ),
    Operation(
        "message_list",
        f"GET {_MESSAGES}",
        query={
            **_PAGE,
            "echo": _BOOLEAN,
            "include_claimed": _BOOLEAN,
            "include_delayed": _BOOLEAN,
            "wait": _INTEGER,
        },
        reply=shapes.MESSAGES,
        frame=FrameSide(reader=frames.message_list),
    ),
    Operation(
        "message_post",
        f"POST {_MESSAGES}",
        body={"messages": _ARRAY},
        required=("messages",),
        retry=Retry.UNACCEPTED,
        reply=shapes.POSTED,
        frame=FrameSide(reader=frames.message_post),
    ),
    Operation(
        "message_get",
        f"GET {_MESSAGE}",
        reply=shapes.MESSAGE,
        frame=FrameSide(reader=frames.message_get),
    ),
    Operation(
        "message_get_many",
        f"GET {_MESSAGES}",
        query={"ids": _IDS},
        reply=shapes.MESSAGES,
        frame=FrameSide(names=_MANY, reader=frames.message_get_many),
    ),
    Operation("message_delete", f"DELETE {_MESSAGE}", query={"claim_id": _STRING}),
    Operation(
        "message_release",
        f"POST {_MESSAGE}/release",
        query={"claim_id": _STRING},
        body={"delay": _INTEGER, "reason": _STRING},
        sends_empty=True,
        # Sent twice, the claim does not hold the message any more.
        retry=Retry.UNACCEPTED,
    ),
    Operation(
        "message_bury",
        f"POST {_MESSAGE}/bury",
        query={"claim_id": _STRING},
        body={"reason": _STRING},
        sends_empty=True,
        retry=Retry.UNACCEPTED,
    ),
    Operation(
        "message_delete_many",
        f"DELETE {_MESSAGES}",
        query={
            "ids": _IDS,
            "claim_ids": _IDS,
            "check_claims": _BOOLEAN,
            "pop": _INTEGER,
            "wait": _INTEGER,
        },
        reply=shapes.MESSAGES,
        frame=FrameSide(names=_MANY),
    ),
    Operation(
        "message_pop",
        f"DELETE {_MESSAGES}",
        query={"pop": _INTEGER, "wait": _INTEGER},
        # The messages of a lost answer are gone; no more must follow them.
        retry=Retry.UNACCEPTED,
        reply=shapes.MESSAGES,
        frame=FrameSide("message_delete_many"),
    ),
    Operation(
        "claim_create",
        f"POST {_CLAIMS}",
        query={"limit": _INTEGER, "wait": _INTEGER},
        body=_LEASE,
        spill="body",
        sends_empty=True,
        # The messages of a lost answer stay claimed until its ttl ends.
        retry=Retry.UNACCEPTED,
        reply=shapes.MESSAGES,
        frame=FrameSide(reader=frames.claim_create),
    ),
    Operation(
        "claim_get",
        f"GET {_CLAIM}",
        reply=shapes.CLAIM,
        frame=FrameSide(reader=frames.claim_get),
    ),
    Operation(
        "claim_update", f"PATCH {_CLAIM}", body=_LEASE, spill="body", sends_empty=True
    ),
    Operation("claim_delete", f"DELETE {_CLAIM}", query={"delay": _INTEGER}),
    Operation(
        "subscription_list",
        f"GET {_SUBSCRIPTIONS}",
        query=_DETAILED_PAGE,
        reply=shapes.SUBSCRIPTIONS,
        frame=FrameSide(
            omits=("detailed",), reader=frames.items_of_queue("subscriptions")
        ),
    ),
    Operation(
        "subscription_create",
        f"POST {_SUBSCRIPTIONS}",
        whole="subscription_data",
        body={"subscriber": _STRING, "ttl": _INTEGER, "options": _OBJECT},
        # Sent twice, a confirmed one is a conflict with itself.
        retry=Retry.UNACCEPTED,
        reply=shapes.SUBSCRIBED,
        frame=FrameSide(reader=frames.subscription_create),
    ),
    Operation("subscription_get", f"GET {_SUBSCRIPTION}", reply=shapes.SUBSCRIPTION),
    Operation(
        "subscription_update",
        f"PATCH {_SUBSCRIPTION}",
        whole="subscription_data",
        body={"subscriber": _STRING, "ttl": _INTEGER, "options": _OBJECT},
    ),
    Operation("subscription_delete", f"DELETE {_SUBSCRIPTION}"),
    Operation(
        "subscription_confirm",
        f"PUT {_SUBSCRIPTION}/confirm",
        body={"confirmed": _BOOLEAN},
        required=("confirmed",),
    ),
    Operation(
        "signed_url_create",
        f"POST {_QUEUE}/share",
        body={"paths": _ARRAY, "methods": _ARRAY, "expires": _STRING},
        spill="body",
        sends_empty=True,
        reply=shapes.SIGNED_URL,
    ),
    Operation(
        "signed_url_list",
        f"GET {_SIGNED_URLS}",
        query=_PAGE,
        reply=shapes.SIGNED_URLS,
        frame=FrameSide(reader=frames.items_of_queue("signed_urls")),
    ),
    Operation("signed_url_revoke", f"DELETE {_SIGNED_URLS}/{{signed_url_id}}"),
    *_admin_rows("pool", _POOL, shapes.POOL, shapes.POOLS),
    Operation(
        "pool_drain",
        "POST pools/{pool_name}/drain",
        query={"wait": _INTEGER},
        reply=shapes.DRAIN,
    ),
    *_admin_rows("flavor", _FLAVOR, shapes.FLAVOR, shapes.FLAVORS),
    Operation("quota_show", "GET quotas", reply=shapes.QUOTAS),
    Operation("quota_show_project", "GET quotas/{project_id}", reply=shapes.QUOTAS),
    Operation("limits_get", "GET limits", reply=shapes.LIMITS),
    Operation("ping", "GET ping", retry=Retry.NEVER),
    Operation("health", "GET health", retry=Retry.NEVER, reply=dict),
    Operation("homedoc", "GET ", reply=dict, frame=FrameSide("homedoc_get")),
)

_ALSO_OF_TOPICS = ("queue_", "message_", "subscription_")
_QUEUES_ONLY = ("queue_redrive", "message_release", "message_bury")

OPERATIONS: Mapping[str, Operation] = {
    row.name: row
    for row in (
        *_ROWS,
        *(
            row.of_topics()
            for row in _ROWS
            if row.name.startswith(_ALSO_OF_TOPICS) and row.name not in _QUEUES_ONLY
        ),
    )
}
"""Every operation by its name."""
