"""Who may send now: bounded slots, shared fairly between endpoints.

A slot is held while something is being sent, never while it waits for a retry.
There are two lanes. Sending to an endpoint that is *sick* -- it failed last time,
or has let somebody wait for long just now -- starts in the slow lane only, and
what takes long moves over there from the quick one. So endpoints that are dead or
slow do not hold up the others, in the slots as little as in what waits for them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from zaqarserver.clock import Clock
from zaqarserver.common.lru import LRU

LONG: Final = 2.0  # seconds after which sending counts as slow
_WINDOW = 2  # jobs that are held in all, for each slot
_SICK = 10_000  # endpoints that are remembered as failing
_PUT_OFF = (1.0, 60.0)  # seconds


class Job(Protocol):
    """Something to send to an endpoint; neither method raises."""

    async def run(self) -> bool:
        """Send, and return whether the endpoint is well."""

    async def put_off(self, seconds: float) -> None:
        """Take the job back: too much waits for its endpoint.

        Args:
            seconds: After which it may be worth offering it again.
        """


class _Endpoint:
    """What is sent, or waits to be sent, to one endpoint."""

    __slots__ = ("active", "away", "last", "name", "queued", "sick", "waiting")

    def __init__(self, name: str, *, sick: bool) -> None:
        self.name = name
        self.sick = sick
        self.active = 0
        self.away = 0  # put off, and not seen again so far
        self.queued = False
        self.last = 0.0
        self.waiting: deque[Job] = deque()


class _Lane:
    """Where one running job counts."""

    __slots__ = ("slow",)

    def __init__(self, *, slow: bool) -> None:
        self.slow = slow


class Slots:
    """Runs jobs in a bounded number of slots.

    Args:
        total: The slots, at least 2; half of them are the slow lane. As many
            again may be added to the slow lane by what takes long.
        per_endpoint: How many of them one endpoint may hold.
        clock: The time.
        freed: Called whenever there may be room again.
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
        self._sick: LRU[str, None] = LRU(_SICK)
        self._ready: deque[_Endpoint] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._errands: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._sick_waiting = 0
        self._slow = 0
        self._closed = False

    @property
    def room(self) -> int:
        """How many more jobs can be held, running and waiting ones together."""
        held = len(self._tasks) - self._slow + self._waiting
        return 0 if self._closed else max(0, self._window - held)

    def offer(self, endpoint: str, job: Job) -> None:
        """Run a job as soon as there is a slot for it, or put it off.

        Args:
            endpoint: What the job sends to.
            job: The job.
        """
        place = self._endpoints.get(endpoint)
        if place is None:
            place = _Endpoint(endpoint, sick=endpoint in self._sick)
            self._endpoints[endpoint] = place
        place.waiting.append(job)
        self._waiting += 1
        self._sick_waiting += place.sick
        self._queue(place)
        self._start()
        self._shed(place)

    def _queue(self, place: _Endpoint) -> None:
        """Let an endpoint have its turn, if something waits for it."""
        if place.waiting and not place.queued:
            place.queued = True
            self._ready.append(place)

    def _start(self) -> None:
        """Start what fits, one job an endpoint in turn."""
        started = True
        while started and not self._closed:
            started = False
            for _ in range(len(self._ready)):
                place = self._ready.popleft()
                place.queued = False
                if place.waiting and self._fits(place):
                    self._launch(place)
                    started = True
                self._queue(place)

    def _fits(self, place: _Endpoint) -> bool:
        if place.active >= self._per_endpoint:
            return False
        if place.sick:
            return self._slow < self._slow_slots
        return len(self._tasks) - self._slow < self._quick_slots

    def _shed(self, place: _Endpoint) -> None:
        """Put off what an endpoint may not keep waiting."""
        while self._crowded(place):
            job = place.waiting.pop()
            self._left(place)
            shortest, longest = _PUT_OFF
            place.away += 1
            ahead = len(place.waiting) + place.away
            wait = place.last * ahead / self._per_endpoint
            seconds = min(max(shortest, wait), longest)
            self._track(job.put_off(seconds), self._errands)
        self._forget(place)

    def _forget(self, place: _Endpoint) -> None:
        if not place.active and not place.waiting:
            self._endpoints.pop(place.name, None)

    def _crowded(self, place: _Endpoint) -> bool:
        if self._closed or not place.waiting:
            return False
        if place.sick:
            crowd = self._sick_waiting > self._window // 2
            return crowd or len(place.waiting) > self._per_endpoint
        crowd = self._waiting > self._window
        return crowd or len(place.waiting) > max(1, self._window // 4)

    def _left(self, place: _Endpoint) -> None:
        """One job less waits for an endpoint."""
        self._waiting -= 1
        self._sick_waiting -= place.sick

    def _launch(self, place: _Endpoint) -> None:
        job = place.waiting.popleft()
        self._left(place)
        place.active += 1
        place.away = max(0, place.away - 1)
        lane = _Lane(slow=place.sick)
        self._slow += lane.slow
        task = self._track(self._run(place, job, lane), self._tasks)
        task.add_done_callback(lambda _: self._ended(place, lane))

    @staticmethod
    def _track(
        work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]
    ) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)
        return task

    async def _run(self, place: _Endpoint, job: Job, lane: _Lane) -> None:
        begun = self._clock.now()
        timer = self._clock.call_at(begun + LONG, lambda: self._takes_long(place, lane))
        try:
            well = await job.run()
        finally:
            timer.cancel()
        place.last = self._clock.now() - begun
        self._judge(place, well=well)

    def _takes_long(self, place: _Endpoint, lane: _Lane) -> None:
        """Let a job that takes long make room in the quick lane."""
        self._judge(place, well=False)
        if not lane.slow and self._slow < self._slow_most:
            lane.slow = True
            self._slow += 1
        self._go_on()

    def _judge(self, place: _Endpoint, *, well: bool) -> None:
        if place.sick == well:
            place.sick = not well
            moved = len(place.waiting)
            self._sick_waiting += moved if place.sick else -moved
        self._sick.pop(place.name, None)
        if place.sick:
            self._sick[place.name] = None
            self._shed(place)

    def _ended(self, place: _Endpoint, lane: _Lane) -> None:
        self._slow -= lane.slow
        place.active -= 1
        self._forget(place)
        self._go_on()

    def _go_on(self) -> None:
        if not self._closed:
            self._start()
            self._freed()

    async def close(self, seconds: float) -> None:
        """Start nothing more; let what runs end, and cancel it after a while.

        Args:
            seconds: How long it may take.
        """
        self._closed = True
        self._ready.clear()
        running = self._tasks | self._errands
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
