"""The synchronous driver of flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from zaqarclient.transport.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from zaqarclient.queues.v2.operations.flow import Flow
    from zaqarclient.transport.base import Transport
    from zaqarclient.transport.request import Request

__all__ = ["drive", "run"]

T = TypeVar("T")


class Sender(Protocol):
    """What a flow needs of a client."""

    def _request_and_transport(self) -> tuple[Request, Transport]: ...


def run(client: Sender, flow: Flow[T]) -> T:
    """Run a flow with the requests and the transport of a client.

    Args:
        client: Asked for a new request at each call.
        flow: A flow that has not been started.

    Returns:
        What the flow returns.

    Raises:
        zaqarclient.errors.ZaqarError: A call failed, and the flow had no
            answer to that.
    """
    return drive(client._request_and_transport, flow)  # noqa: SLF001 - the seam


def drive(
    prepare: Callable[[], tuple[Request, Transport]],
    flow: Flow[T],
) -> T:
    """Run a flow, preparing a request and a transport for each of its calls."""
    try:
        call = next(flow)
    except StopIteration as done:
        return cast("T", done.value)
    while True:
        request, transport = prepare()
        call.bind(request)
        failure: Exception | None = None
        try:
            # The transports of callers' tests may have nothing to answer.
            response = transport.send(request) or Response(request, None)
        except StopIteration:
            raise  # of a mock without answers: a generator cannot be told of it
        except Exception as error:  # noqa: BLE001 - the flow knows what to do
            failure = error
        try:
            call = flow.send(response) if failure is None else flow.throw(failure)
        except StopIteration as done:
            return cast("T", done.value)
