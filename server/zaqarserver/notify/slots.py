"""Bounded slots for sending, shared fairly between endpoints.

A slot is occupied while something is being sent, never while it waits for a retry.
There are two lanes. Jobs for a *failing* endpoint (the last send failed, or takes
long) start in the slow lane only, and a job that takes long moves there from the quick
lane. So dead or slow endpoints do not delay the others, neither in the slots nor in the
queues in front of them: jobs above the share of an endpoint are postponed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from zaqarserver.clock import Clock
from zaqarserver.common.lru import LRU

LONG: Final = 2.0  # seconds after which sending counts as slow
_WINDOW = 2  # jobs, running and waiting, for each slot
_MAX_FAILING = 10_000  # failing endpoints that are remembered
_POSTPONE_SECONDS = (1.0, 60.0)  # seconds


class Job(Protocol):
    """A job: something to send to an endpoint. Its methods never raise."""

    async def run(self) -> bool:
        """Send; return True if the endpoint is healthy."""

    async def postpone(self, seconds: float) -> None:
        """Take the job back, because too many wait for its endpoint.

        Args:
            seconds: When to offer it again.
        """


class _Endpoint:
    """The running and waiting jobs of one endpoint."""

    __slots__ = ("active", "failing", "last", "name", "postponed", "queued", "waiting")

    def __init__(self, name: str, *, failing: bool) -> None:
        self.name = name
        self.failing = failing
        self.active = 0
        self.postponed = 0  # jobs that were postponed and not offered again yet
        self.queued = False
        self.last = 0.0
        self.waiting: deque[Job] = deque()


class _Lane:
    """The lane in which a running job counts."""

    __slots__ = ("slow",)

    def __init__(self, *, slow: bool) -> None:
        self.slow = slow


class Slots:
    """Runs jobs in a bounded number of slots.

    Args:
        total: The number of slots, at least 2; half of them are the slow lane. Jobs
            that take long may extend the slow lane by the same number.
        per_endpoint: The number of slots that one endpoint may occupy.
        clock: The clock.
        freed: Called whenever more jobs may fit.
    """

    def __init__(
        self,
        total: int,
        per_endpoint: int,
        clock: Clock,
        freed: Callable[[], None],
    ) -> None:
        self._slow_slots = max(1, total // 2)
        self._quick_slots = max(1, total - self._slow_slots)
        self._slow_most = self._slow_slots + total
        self._window = total * _WINDOW
        self._per_endpoint = per_endpoint
        self._clock = clock
        self._freed = freed
        self._endpoints: dict[str, _Endpoint] = {}
        self._failing: LRU[str, None] = LRU(_MAX_FAILING)
        self._ready: deque[_Endpoint] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._postponing: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._failing_waiting = 0
        self._slow = 0
        self._closed = False

    @property
    def free(self) -> int:
        """The number of jobs that still fit, running and waiting ones together."""
        held = len(self._tasks) - self._slow + self._waiting
        return 0 if self._closed else max(0, self._window - held)

    def offer(self, name: str, job: Job) -> None:
        """Run a job as soon as a slot is free, or postpone it.

        Args:
            name: The endpoint that the job sends to.
            job: The job.
        """
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            endpoint = _Endpoint(name, failing=name in self._failing)
            self._endpoints[name] = endpoint
        endpoint.waiting.append(job)
        self._waiting += 1
        self._failing_waiting += endpoint.failing
        self._queue(endpoint)
        self._start()
        self._postpone_excess(endpoint)

    def _queue(self, endpoint: _Endpoint) -> None:
        """Add an endpoint with waiting jobs to the round-robin queue."""
        if endpoint.waiting and not endpoint.queued:
            endpoint.queued = True
            self._ready.append(endpoint)

    def _start(self) -> None:
        """Start the jobs that fit, one for each endpoint in turn."""
        started = True
        while started and not self._closed:
            started = False
            for _ in range(len(self._ready)):
                endpoint = self._ready.popleft()
                endpoint.queued = False
                if endpoint.waiting and self._fits(endpoint):
                    self._launch(endpoint)
                    started = True
                self._queue(endpoint)

    def _fits(self, endpoint: _Endpoint) -> bool:
        if endpoint.active >= self._per_endpoint:
            return False
        if endpoint.failing:
            return self._slow < self._slow_slots
        return len(self._tasks) - self._slow < self._quick_slots

    def _postpone_excess(self, endpoint: _Endpoint) -> None:
        """Postpone the newest jobs above an endpoint's share."""
        while self._crowded(endpoint):
            job = endpoint.waiting.pop()
            self._count_one_less(endpoint)
            shortest, longest = _POSTPONE_SECONDS
            endpoint.postponed += 1
            ahead = len(endpoint.waiting) + endpoint.postponed
            wait = endpoint.last * ahead / self._per_endpoint
            seconds = min(max(shortest, wait), longest)
            self._track(job.postpone(seconds), self._postponing)
        self._forget(endpoint)

    def _forget(self, endpoint: _Endpoint) -> None:
        if not endpoint.active and not endpoint.waiting:
            self._endpoints.pop(endpoint.name, None)

    def _crowded(self, endpoint: _Endpoint) -> bool:
        if self._closed or not endpoint.waiting:
            return False
        if endpoint.failing:
            crowd = self._failing_waiting > self._window // 2
            return crowd or len(endpoint.waiting) > self._per_endpoint
        crowd = self._waiting > self._window
        return crowd or len(endpoint.waiting) > max(1, self._window // 4)

    def _count_one_less(self, endpoint: _Endpoint) -> None:
        """Count one waiting job less."""
        self._waiting -= 1
        self._failing_waiting -= endpoint.failing

    def _launch(self, endpoint: _Endpoint) -> None:
        job = endpoint.waiting.popleft()
        self._count_one_less(endpoint)
        endpoint.active += 1
        endpoint.postponed = max(0, endpoint.postponed - 1)
        lane = _Lane(slow=endpoint.failing)
        self._slow += lane.slow
        task = self._track(self._run(endpoint, job, lane), self._tasks)
        task.add_done_callback(lambda _: self._ended(endpoint, lane))

    @staticmethod
    def _track(
        work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]
    ) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)
        return task

    async def _run(self, endpoint: _Endpoint, job: Job, lane: _Lane) -> None:
        begun = self._clock.now()
        timer = self._clock.call_at(
            begun + LONG, lambda: self._takes_long(endpoint, lane)
        )
        try:
            healthy = await job.run()
        finally:
            timer.cancel()
        endpoint.last = self._clock.now() - begun
        self._set_health(endpoint, healthy=healthy)

    def _takes_long(self, endpoint: _Endpoint, lane: _Lane) -> None:
        """Move a job that takes long to the slow lane."""
        self._set_health(endpoint, healthy=False)
        if not lane.slow and self._slow < self._slow_most:
            lane.slow = True
            self._slow += 1
        self._continue()

    def _set_health(self, endpoint: _Endpoint, *, healthy: bool) -> None:
        if endpoint.failing == healthy:
            endpoint.failing = not healthy
            moved = len(endpoint.waiting)
            self._failing_waiting += moved if endpoint.failing else -moved
        self._failing.pop(endpoint.name, None)
        if endpoint.failing:
            self._failing[endpoint.name] = None
            self._postpone_excess(endpoint)

    def _ended(self, endpoint: _Endpoint, lane: _Lane) -> None:
        self._slow -= lane.slow
        endpoint.active -= 1
        self._forget(endpoint)
        self._continue()

    def _continue(self) -> None:
        if not self._closed:
            self._start()
            self._freed()

    async def close(self, seconds: float) -> None:
        """Start nothing more; wait for running jobs, then cancel the rest.

        Args:
            seconds: How long to wait.
        """
        self._closed = True
        self._ready.clear()
        running = self._tasks | self._postponing
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
