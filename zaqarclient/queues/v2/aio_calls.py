"""Makes calls of the synchronous client awaitable.

Each call runs whole in a thread, so there is one implementation of calls,
resources, transports, retries and tokens. The task that waits may be
cancelled: nothing further is sent then, and what arrives too late can be
taken back.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Self,
    TypeVar,
)

from zaqarclient import errors
from zaqarclient.common import interrupts
from zaqarclient.queues.v2 import client as v2_client

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from zaqarclient.queues.v2.aio_resources import AsyncListener
    from zaqarclient.queues.v2.iterator import Listing
    from zaqarclient.transport.base import Transport
    from zaqarclient.transport.request import Request

_LOG = logging.getLogger(__name__)

C = TypeVar("C", bound="Callable[..., object]")
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
T = TypeVar("T")


class _Cancelled(BaseException):
    """The call was cancelled; passes every handler of errors."""


class StoppableClient(v2_client.Client):
    """A client that sends nothing more for a cancelled call."""

    def _request_and_transport(self) -> tuple[Request, Transport]:
        if interrupts.current().is_set:
            raise _Cancelled
        return super()._request_and_transport()


class _Job(Generic[T]):
    """One call, whose result is either handed over or taken back.

    Args:
        work: The call.
        take_back: Undoes the result of a cancelled call; None if there is
            nothing to undo.
    """

    def __init__(
        self, work: Callable[[], T], take_back: Callable[[T], object] | None
    ) -> None:
        self._work = work
        self._take_back = take_back
        self._abandoned = interrupts.Interrupt()
        self._lock = threading.Lock()
        self._results: list[T] = []

    def run(self) -> T:
        """Do it, in a thread and a context of its own."""
        with self._abandoned.using():
            result = self._work()
        with self._lock:
            self._results.append(result)
            late = self._abandoned.is_set
        if late:
            self.undo()
        return result

    def abandon(self) -> bool:
        """End its waiting; return True if the caller has to undo the result."""
        with self._lock:
            self._abandoned.set()
            return bool(self._results)

    def undo(self) -> None:
        """Take the result back."""
        if self._take_back is None:
            return
        try:
            self._take_back(self._results[0])
        except errors.ZaqarError as error:
            _LOG.warning(
                "The result of a cancelled call could not be taken back: %s", error
            )


class Workers:
    """Threads that run calls for tasks.

    Args:
        most: How many calls run at once; more wait for their turn.
    """

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="zaqar-aio")
        self._listeners: list[AsyncListener] = []

    async def run(
        self, work: Callable[[], T], take_back: Callable[[T], object] | None = None
    ) -> T:
        """Run a call in a thread and return its result.

        Args:
            work: The call.
            take_back: Run in a thread with the result if the task was
                cancelled before it got it.

        Raises:
            zaqarclient.errors.InvalidOperation: The client is closed.
        """
        job = _Job(work, take_back)
        context = contextvars.copy_context()
        try:
            future = self._pool.submit(context.run, job.run)
        except RuntimeError as error:
            raise errors.InvalidOperation("this client is closed") from error
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if job.abandon():
                self._pool.submit(job.undo)
            raise

    def add(self, listener: AsyncListener) -> None:
        """Remember a listener that is to be closed too."""
        self._listeners = [one for one in self._listeners if not one.closed]
        self._listeners.append(listener)

    def close(self) -> None:
        """Close the listeners; wait for calls under way and what they take back."""
        for listener in self._listeners:
            listener.shut()
        self._pool.shutdown()


class Resource(Generic[R_co]):
    """A resource of the synchronous client, with its calls awaitable.

    What a subclass annotates is read from that resource.
    """

    def __init__(self, workers: Workers, resource: R_co) -> None:
        self._workers = workers
        self._resource = resource

    def __repr__(self) -> str:
        return f"<Async{repr(self._resource)[1:]}"

    if not TYPE_CHECKING:  # what is not annotated shall not pass mypy

        def __getattr__(self, name: str) -> Any:
            classes = type(self).__mro__
            if any(name in vars(cls).get("__annotations__", ()) for cls in classes):
                return getattr(self._resource, name)
            raise AttributeError(f"{type(self).__name__} has no {name}")

    async def _run(
        self,
        work: Callable[[R_co], T],
        take_back: Callable[[T], object] | None = None,
    ) -> T:
        return await self._workers.run(lambda: work(self._resource), take_back)


class AsyncListing(Generic[T]):
    """The items of a list, read from the service when they are needed.

    Iterate with ``async for``: by default over one page, after `stream` over
    all of them. Awaiting it reads the first page and returns it. It yields
    its items once.
    """

    def __init__(
        self,
        workers: Workers,
        load: Callable[[], Listing[Any]],
        convert: Callable[[Any], T],
    ) -> None:
        self._workers = workers
        self._load = load
        self._convert = convert
        self._streaming: bool | None = None
        self._listing: Listing[Any] | None = None

    def __repr__(self) -> str:
        if self._listing is None:
            return "<AsyncListing, nothing read yet>"
        return f"<Async{repr(self._listing)[1:]}"

    def __await__(self) -> Generator[Any, None, Self]:
        return self._loaded().__await__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        await self._loaded()
        assert self._listing is not None  # noqa: S101 - for mypy
        listing = self._listing
        if self._streaming is not None:
            listing.stream(self._streaming)
        end = object()
        if listing.needs_page:
            item = await self._workers.run(lambda: next(listing, end))
        else:
            item = next(listing, end)
        if item is end:
            raise StopAsyncIteration
        return self._convert(item)

    def stream(self, enabled: bool = True) -> Self:
        """Go on to further pages, to the end of the list.

        Args:
            enabled: False to stop at the end of the page again.
        """
        self._streaming = enabled
        return self

    async def _loaded(self) -> Self:
        if self._listing is None:
            self._listing = await self._workers.run(self._load)
        return self


def awaited(
    method: Callable[Concatenate[R, P], T],
) -> Callable[Concatenate[Resource[R], P], Coroutine[Any, Any, T]]:
    """Return a method of the synchronous client as a coroutine."""

    @functools.wraps(method)
    async def call(self: Resource[R], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(lambda resource: method(resource, *args, **kwargs))

    return call


def awaited_as(
    wrap: Callable[[Workers, S], T],
    method: Callable[Concatenate[R, P], S],
    take_back: Callable[[S], object] | None = None,
) -> Callable[Concatenate[Resource[R], P], Coroutine[Any, Any, T]]:
    """Return a method as a coroutine that gives its result another class.

    Args:
        wrap: Makes the object of the other class.
        method: The method.
        take_back: Run with the result if the task was cancelled before it got it.
    """

    async def call(self: Resource[R], /, *args: P.args, **kwargs: P.kwargs) -> T:
        found = await self._run(
            lambda resource: method(resource, *args, **kwargs), take_back
        )
        return wrap(self._workers, found)

    return _described(call, method, wrap.__name__)


def listed(
    wrap: Callable[[Workers, S], T], method: Callable[Concatenate[R, P], Listing[S]]
) -> Callable[Concatenate[Resource[R], P], AsyncListing[T]]:
    """Return a method that lists as one whose items are read by ``async for``."""

    def call(
        self: Resource[R], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncListing[T]:
        workers = self._workers
        return AsyncListing(
            workers,
            lambda: method(self._resource, *args, **kwargs),
            functools.partial(wrap, workers),
        )

    return _described(call, method, f"AsyncListing[{wrap.__name__}]")


def _described(call: C, method: Callable[..., object], result: str) -> C:
    """Copy the description of a method to a function, with another result."""
    functools.update_wrapper(call, method)
    known = inspect.signature(method)
    shown = known.replace(return_annotation=result)
    call.__signature__ = shown  # type: ignore[attr-defined]
    return call
