"""Consuming on asyncio: the consumer of threads, whose messages tasks await."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from zaqarclient.errors import LeaseLost
from zaqarclient.queues.v2.aio_calls import Workers
from zaqarclient.queues.v2.aio_resources import AsyncMessage
from zaqarclient.queues.v2.consumer import Consumer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from zaqarclient.queues.v2.consume import Action, ConsumeOptions
    from zaqarclient.queues.v2.message import Message
    from zaqarclient.queues.v2.queues import Queue

    AsyncHandler: TypeAlias = Callable[[AsyncMessage], Awaitable[object]]

#: How often the limit of `stop` is looked at while handlers run, in seconds.
_LOOK_SECONDS: Final = 0.5


class AsyncConsumer:
    """Messages of a queue, for ``async with`` and ``async for`` in it; see `Consumer`.

    Claims, renewals and deletes are made in threads of its own, so that they come in
    time also while the event loop is busy.

    Args:
        workers: Make the other calls.
        queue: The queue.
        options: How to consume.
    """

    def __init__(self, workers: Workers, queue: Queue, options: ConsumeOptions) -> None:
        self._workers = workers
        self._takers = Workers(1)  # waiting for a message may never end
        self._concurrency = options.concurrency
        if callable(options.on_error):
            chosen = functools.partial(self._choose, options.on_error)
            options = dataclasses.replace(options, on_error=chosen)
        self._consumer = Consumer(queue, options)
        self._current: Message | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._workers.run(self._consumer.start)
        return self

    async def __aexit__(
        self, kind: object, error: BaseException | None, trace: object
    ) -> None:
        # It is done also if the task is cancelled once more.
        await asyncio.shield(asyncio.to_thread(self._end, kind, error, trace))

    def __aiter__(self) -> Self:
        iter(self._consumer)
        return self

    async def __anext__(self) -> AsyncMessage:
        self._consumer.finish_current()
        found = await self._take()
        if found is None:
            self._consumer.raise_error()
            raise StopAsyncIteration
        self._consumer.current = found
        return AsyncMessage(self._workers, found)

    async def run(self, handler: AsyncHandler) -> None:
        """Give each message to a coroutine in one of some tasks, until stopped."""
        async with self:
            works = [self._work(handler) for _ in range(self._concurrency)]
            tasks = {asyncio.create_task(work) for work in works}
            running = tasks
            try:
                while running and not self._consumer.is_overdue:
                    _, running = await asyncio.wait(running, timeout=_LOOK_SECONDS)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        self._consumer.raise_error()

    def stop(self, within: float = float("inf")) -> None:
        """Claim no more, and let what runs finish; see `Consumer.stop`."""
        self._consumer.stop(within)

    async def _work(self, handler: AsyncHandler) -> None:
        while (message := await self._take()) is not None:
            try:
                await handler(AsyncMessage(self._workers, message))
            except Exception as error:  # noqa: BLE001 - on_error decides
                settle = self._consumer.settlement(message, error)
                await self._workers.run(settle)
            else:
                self._consumer.done(message)

    async def _take(self) -> Message | None:
        found = self._consumer.take(is_patient=False)
        if found is not None:
            return found
        return await self._takers.run(self._consumer.take, self._consumer.put_back)

    def _choose(
        self, choose: Callable[..., Any], message: Message, error: Exception
    ) -> Action | None:
        """Ask the caller's function, always in the thread of the event loop."""
        ask = functools.partial(choose, AsyncMessage(self._workers, message), error)
        if isinstance(error, LeaseLost):
            self._loop.call_soon_threadsafe(ask)
            return None
        answer: Action | None = ask()
        return answer

    def _end(self, *how: Any) -> None:
        self._consumer.__exit__(*how)
        self._takers.close()
