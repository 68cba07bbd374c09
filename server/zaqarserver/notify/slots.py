"""Who may send now: bounded slots, shared fairly between endpoints.

A slot is held while something is being sent, never while it waits for a retry.
There are two lanes. Sending to an endpoint that failed last time, or that takes
long already, counts in the slow lane; everything else in the quick one. So
endpoints that are dead or slow, however many, cannot hold up the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from zaqarserver.notify.clock import Clock

Job = Callable[[], Awaitable[bool]]

LONG: Final = 2.0  # seconds after which sending counts as slow
_WINDOW = 4  # jobs that are held in all, in slots
_SICK = 10_000  # endpoints that are remembered as failing
_PUT_OFF = (1.0, 30.0)  # seconds


class _Endpoint:
    """What is sent, or waits to be sent, to one endpoint."""

    __slots__ = ("active", "last", "name", "sick", "waiting")

    def __init__(self, name: str, *, sick: bool) -> None:
        self.name = name
        self.sick = sick
        self.active = 0
        self.last = 0.0
        self.waiting: deque[Job] = deque()


class Slots:
    """Runs jobs in a bounded number of slots.

    Args:
        total: The slots, at least 2; half of them are the slow lane.
        per_endpoint: How many of them one endpoint may hold.
        clock: The time.
        freed: Called whenever there is room again.
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
        self._window = total * _WINDOW
        self._per_endpoint = per_endpoint
        self._clock = clock
        self._freed = freed
        self._endpoints: dict[str, _Endpoint] = {}
        self._sick: dict[str, None] = {}
        self._ready: deque[_Endpoint] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slow = 0
        self._held = 0
        self._closed = False

    @property
    def room(self) -> int:
        """How many more jobs can be held, running and waiting ones together."""
        return 0 if self._closed else max(0, self._window - self._held)

    def offer(self, endpoint: str, job: Job) -> float | None:
        """Run a job as soon as there is a slot for it.

        Args:
            endpoint: What the job sends to.
            job: Sends, and returns whether the endpoint is well.

        Returns:
            ``None`` if the job was accepted, otherwise in how many seconds it
            may be worth offering it again: too many wait for the endpoint.
        """
        place = self._endpoints.get(endpoint)
        if place is None:
            place = _Endpoint(endpoint, sick=endpoint in self._sick)
        most = self._per_endpoint if place.sick else max(1, self._window // 4)
        if not self.room or len(place.waiting) >= most:
            shortest, longest = _PUT_OFF
            wait = place.last * (len(place.waiting) + 1) / self._per_endpoint
            return min(max(shortest, wait), longest)
        self._endpoints[endpoint] = place
        self._held += 1
        if not place.waiting:
            self._ready.append(place)
        place.waiting.append(job)
        self._start()
        return None

    def _start(self) -> None:
        """Start what fits, one job an endpoint in turn."""
        started = True
        while started and not self._closed:
            started = False
            for _ in range(len(self._ready)):
                place = self._ready.popleft()
                if self._fits(place):
                    self._launch(place, place.waiting.popleft())
                    started = True
                if place.waiting:
                    self._ready.append(place)

    def _fits(self, place: _Endpoint) -> bool:
        if place.active >= self._per_endpoint:
            return False
        if place.sick:
            return self._slow < self._slow_slots
        return len(self._tasks) - self._slow < self._quick_slots

    def _launch(self, place: _Endpoint, job: Job) -> None:
        place.active += 1
        lane = _Lane(self, slow=place.sick)
        task = asyncio.get_running_loop().create_task(self._run(place, job, lane))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            lane.leave()
            self._ended(place)

        task.add_done_callback(ended)

    async def _run(self, place: _Endpoint, job: Job, lane: _Lane) -> None:
        begun = self._clock.now()
        timer = self._clock.call_at(begun + LONG, lane.slow_down)
        try:
            well = await job()
        finally:
            timer.cancel()
        place.last = self._clock.now() - begun
        self._judge(place, well=well)

    def _judge(self, place: _Endpoint, *, well: bool) -> None:
        place.sick = not well
        self._sick.pop(place.name, None)
        if place.sick:
            self._sick[place.name] = None
            if len(self._sick) > _SICK:
                del self._sick[next(iter(self._sick))]

    def _ended(self, place: _Endpoint) -> None:
        self._held -= 1
        place.active -= 1
        if not place.active and not place.waiting:
            self._endpoints.pop(place.name, None)
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
        running = set(self._tasks)
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def enter_slow(self) -> bool:
        """Count one more in the slow lane, if it has room."""
        if self._slow >= self._slow_slots:
            return False
        self._slow += 1
        return True

    def leave_slow(self) -> None:
        """Count one less in the slow lane."""
        self._slow -= 1

    def changed_lane(self) -> None:
        """Use the room in the quick lane."""
        if not self._closed:
            self._start()
            self._freed()


class _Lane:
    """The lane that one running job is counted in."""

    __slots__ = ("_over", "_slots", "_slow")

    def __init__(self, slots: Slots, *, slow: bool) -> None:
        self._slots = slots
        self._slow = slow and slots.enter_slow()
        self._over = False

    def slow_down(self) -> None:
        """Move to the slow lane: this takes long."""
        if self._slow or self._over:
            return
        self._slow = self._slots.enter_slow()
        if self._slow:
            self._slots.changed_lane()

    def leave(self) -> None:
        """Leave the lane for good."""
        self._over = True
        if self._slow:
            self._slow = False
            self._slots.leave_slow()
