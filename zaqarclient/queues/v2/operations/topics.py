"""Flows of topics: those of queues, with other calls (contract, REST 2.11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from zaqarclient.queues.v2.api import Call
from zaqarclient.queues.v2.frames import topic_action
from zaqarclient.queues.v2.operations import flow
from zaqarclient.transport import errors

if TYPE_CHECKING:
    from zaqarclient.queues.v2.operations.flow import Document, Flow

T = TypeVar("T")


def on_topics(about_queues: Flow[T]) -> Flow[T]:
    """Return a flow that does with a topic what a flow does with a queue.

    Args:
        about_queues: A flow of queues, of their messages or subscriptions, that
            has not been started.
    """
    try:
        call = next(about_queues)
        while True:
            try:
                response = yield _about_topic(call)
            except errors.TransportError as error:
                call = about_queues.throw(error)
            else:
                call = about_queues.send(response)
    except StopIteration as done:
        return cast("T", done.value)


def _about_topic(call: Call) -> Call:
    if not call.operation:  # a link says itself what it is about
        return call
    arguments = {
        "topic_name" if name == "queue_name" else name: value
        for name, value in call.arguments.items()
    }
    return Call(topic_action(call.operation), arguments)


def topic_list(**query: Any) -> Flow[Document]:
    """Return one page of topics."""
    return (yield from flow.page("topics", "topic_list", **query))
