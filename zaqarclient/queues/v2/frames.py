"""The WebSocket side of the operations.

A frame has all arguments of an operation in one body, and its answer has no
paths and no links. The readers here bring an answer into the shape of the one over
HTTP, so that calls and resources need not know the transport (contract, WebSocket
sections 6 and 10).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlencode


class Answer(NamedTuple):
    """Status and body of an answer."""

    status: int
    body: Any


Arguments: TypeAlias = Mapping[str, Any]
Reader: TypeAlias = Callable[[Arguments, Answer], Answer]
"""Makes the answer of HTTP from the arguments and the answer of the frame."""


def _plain(_arguments: Arguments, answer: Answer) -> Answer:
    """Both transports answer alike, but HTTP has no sentences and no empty bodies."""
    nothing = answer.status == 204 or isinstance(answer.body, str) or not answer.body
    return Answer(answer.status, None if nothing else answer.body)


class FrameSide(NamedTuple):
    """How an operation looks in frames, where that differs from HTTP.

    Attributes:
        action: The name of the action, if not that of the operation.
        names: The member of the body for each argument of another name.
        filters: The member that holds the arguments that the row does not
            name; None to leave them beside the rest.
        omits: The arguments that mean nothing to the action, and may be refused.
        reader: Makes the answer of HTTP from that of the frame.
        answers_missing: Whether a 404 may hold an answer, where HTTP has no
            404.
    """

    action: str = ""
    names: Mapping[str, str] = {}
    filters: str | None = None
    omits: tuple[str, ...] = ()
    reader: Reader = _plain
    answers_missing: bool = False

    def read(self, arguments: Arguments, answer: Answer) -> Answer:
        """Return the answer of HTTP; one that is an error stays as it is."""
        if answer.status >= 400 and not self._is_empty(answer):
            return answer
        return self.reader(arguments, answer)

    def _is_empty(self, answer: Answer) -> bool:
        missing = self.answers_missing and answer.status == 404
        return missing and isinstance(answer.body, dict) and "error" not in answer.body


def arguments_of(query: Mapping[str, Any], given: Arguments) -> dict[str, Any]:
    """Return arguments with the types that frames want.

    Args:
        query: The JSON Schema of those whose type is known.
        given: The arguments, perhaps as texts of a link.
    """
    return {
        name: _typed(query.get(name, {}).get("type"), value)
        for name, value in given.items()
    }


def _typed(kind: object, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if kind == "integer" and value.isdecimal():
        return int(value)
    if kind == "boolean" and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if kind == ["array", "string"]:
        return value.split(",")
    return value


def filters_of(given: Arguments) -> dict[str, list[str]]:
    """Return each argument as the list of texts that a filter is in a frame."""
    return {
        name: [str(one) for one in value]
        if isinstance(value, list | tuple)
        else str(value).split(",")
        for name, value in given.items()
    }


# -- readers ------------------------------------------------------------------


def _path(arguments: Arguments) -> str:
    """Return the path of the queue or topic that the arguments name."""
    if "topic_name" in arguments:
        return f"/v2/topics/{arguments['topic_name']}"
    return f"/v2/queues/{arguments['queue_name']}"


def _next_link(path: str, arguments: Arguments, marker: str) -> list[dict[str, str]]:
    """Return the link to the page behind the marker, as HTTP answers have it."""
    query = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in arguments.items()
        if name != "marker"
    }
    href = f"{path}?{urlencode({**query, 'marker': marker}, doseq=True)}"
    return [{"rel": "next", "href": href}]


def _query_of(arguments: Arguments) -> dict[str, Any]:
    """Return the arguments of a list in a queue that are not in its path."""
    own = {"queue_name", "topic_name"}
    return {name: value for name, value in arguments.items() if name not in own}


def _with_href(arguments: Arguments, message: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(message)
    claim_id = shown.pop("claim_id", None)
    claim = f"?claim_id={claim_id}" if claim_id else ""
    href = f"{_path(arguments)}/messages/{shown['id']}{claim}"
    return {**shown, "href": href}


def _messages(arguments: Arguments, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_with_href(arguments, message) for message in body.get("messages") or ()]


def list_of(kind: str) -> Reader:
    """Return the reader of a page of queues or topics."""

    def read(arguments: Arguments, answer: Answer) -> Answer:
        path = f"/v2/{kind}"
        found = [
            {**item, "href": f"{path}/{item['name']}"} for item in answer.body[kind]
        ]
        links = []
        if found:
            links = _next_link(path, arguments, found[-1]["name"])
        return Answer(answer.status, {**answer.body, kind: found, "links": links})

    return read


def queue_get_stats(arguments: Arguments, answer: Answer) -> Answer:
    """Over HTTP a queue that does not exist has no messages."""
    counts = dict(answer.body["messages"])
    for edge in ("oldest", "newest"):
        if edge in counts:
            found = dict(counts[edge])
            href = f"{_path(arguments)}/messages/{found.pop('id')}"
            counts[edge] = {"href": href, **found}
    return Answer(200, {"messages": counts})


def message_post(arguments: Arguments, answer: Answer) -> Answer:
    """Name the messages by their paths, as HTTP does."""
    path = f"{_path(arguments)}/messages"
    ids = answer.body["message_ids"]
    return Answer(answer.status, {"resources": [f"{path}/{id_}" for id_ in ids]})


def message_list(arguments: Arguments, answer: Answer) -> Answer:
    """Add the paths of messages, and the link of the page."""
    found = _messages(arguments, answer.body)
    links = []
    if found:
        path = f"{_path(arguments)}/messages"
        links = _next_link(path, _query_of(arguments), found[-1]["id"])
    return Answer(answer.status, {"messages": found, "links": links})


def message_get(arguments: Arguments, answer: Answer) -> Answer:
    """Add the path of the message."""
    return Answer(answer.status, _with_href(arguments, answer.body["messages"]))


def message_get_many(arguments: Arguments, answer: Answer) -> Answer:
    """Over HTTP it is an error if none of the messages exists."""
    found = _messages(arguments, answer.body)
    if not found:
        kind, name = _path(arguments).split("/")[2:]
        text = f"The {kind[:-1]} {name} has none of these messages."
        return Answer(404, {"error": text})
    return Answer(answer.status, {"messages": found})


def claim_create(arguments: Arguments, answer: Answer) -> Answer:
    """Add the paths of messages; over HTTP an empty claim has no body."""
    found = _messages(arguments, answer.body)
    return Answer(answer.status, {"messages": found} if found else None)


def claim_get(arguments: Arguments, answer: Answer) -> Answer:
    """Add the paths of the claim and its messages."""
    href = f"{_path(arguments)}/claims/{arguments['claim_id']}"
    found = _messages(arguments, answer.body)
    return Answer(answer.status, {**answer.body, "href": href, "messages": found})


def items_of_queue(kind: str) -> Reader:
    """Return the reader of a page of these items, whose last id is the marker."""

    def read(arguments: Arguments, answer: Answer) -> Answer:
        found = answer.body[kind]
        links = []
        if found:
            path = f"{_path(arguments)}/{kind}"
            links = _next_link(path, _query_of(arguments), found[-1]["id"])
        return Answer(answer.status, {kind: found, "links": links})

    return read


def subscription_create(_arguments: Arguments, answer: Answer) -> Answer:
    """Keep the id only, as HTTP does."""
    identity = answer.body["subscription_id"]
    return Answer(answer.status, {"subscription_id": identity})


def nothing(_arguments: Arguments, answer: Answer) -> Answer:
    """Drop the body: over HTTP the answer has none."""
    return Answer(answer.status, None)
