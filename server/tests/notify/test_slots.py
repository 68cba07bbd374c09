"""Slots: who may send now, and that nobody holds up the others."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zaqarserver.notify.slots import LONG, Slots

from .doubles import FakeClock, turns

pytestmark = pytest.mark.anyio


class Work:
    """A job that ends when it is told to."""

    def __init__(self):
        self.end = asyncio.Event()
        self.well = True
        self.started = False
        self.ended = False
        self.postponed_for = None

    async def run(self):
        self.started = True
        await self.end.wait()
        self.ended = True
        return self.well

    async def postpone(self, seconds):
        self.postponed_for = seconds

    def finish(self, *, well=True):
        self.well = well
        self.end.set()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def make(clock):
    made = []

    def make(total=8, per_endpoint=2):
        made.append(Slots(total, per_endpoint, clock, lambda: None))
        return made[-1]

    yield make
    for slots in made:
        await slots.close(0)


def offer(slots, endpoint, number=1):
    jobs = [Work() for _ in range(number)]
    for job in jobs:
        slots.offer(endpoint, job)
    return jobs


async def test_an_endpoint_holds_no_more_than_its_slots(make):
    slots = make()
    jobs = offer(slots, "a", 4)
    await turns()
    assert [job.started for job in jobs] == [True, True, False, False]
    jobs[0].finish()
    await turns()
    assert [job.started for job in jobs] == [True, True, True, False]


async def test_endpoints_take_turns(make):
    slots = make(total=2)
    first = offer(slots, "first")
    many, few = offer(slots, "many", 2), offer(slots, "few")
    first[0].finish()
    await turns()
    many[0].finish()
    await turns()
    assert few[0].started
    assert not many[1].started


async def test_what_takes_long_makes_room(make, clock):
    slots = make()
    hanging = [offer(slots, f"h{number}")[0] for number in range(4)]
    (well,) = offer(slots, "well")
    await clock.advance(LONG - 0.1)
    assert all(job.started for job in hanging)
    assert not well.started
    await clock.advance(0.2)
    assert well.started


async def test_many_that_hang_for_the_first_time_hold_up_nobody_for_long(make, clock):
    slots = make()
    for number in range(12):
        offer(slots, f"h{number}")
    (well,) = offer(slots, "well")
    await clock.advance(3 * LONG + 0.1)
    assert well.started


async def test_what_failed_last_time_starts_in_the_slow_lane_only(make):
    slots = make()
    for number in range(10):
        (job,) = offer(slots, f"s{number}")
        job.finish(well=False)
        await turns()
    sick = [offer(slots, f"s{number}")[0] for number in range(10)]
    well = [offer(slots, f"w{number}")[0] for number in range(4)]
    await turns()
    assert sum(job.started for job in sick) == 4
    assert all(job.started for job in well)


async def test_an_endpoint_that_works_again_is_well_again(make):
    slots = make()
    for well in (False, True):
        (job,) = offer(slots, "a")
        job.finish(well=well)
        await turns()
    hanging = [offer(slots, f"h{number}")[0] for number in range(3)]
    (job,) = offer(slots, "a")
    await turns()
    assert job.started
    assert all(one.started for one in hanging)


async def test_what_waits_for_an_endpoint_that_turns_sick_is_put_off(make, clock):
    slots = make()
    jobs = offer(slots, "a", 6)
    await clock.advance(LONG)
    assert [job.postponed_for is not None for job in jobs] == [False] * 4 + [True] * 2
    assert all(1 <= job.postponed_for <= 60 for job in jobs[4:])


async def test_sick_endpoints_leave_room_for_others_to_wait(make, clock):
    slots = make()
    for number in range(50):
        (job,) = offer(slots, f"s{number}")
        job.finish(well=False)
        await turns()
    for number in range(50):
        offer(slots, f"s{number}", 3)
    await clock.advance(60)
    assert slots.free > 0
    (well,) = offer(slots, "well")
    await turns()
    assert well.started


async def test_an_endpoint_gets_a_share_of_what_may_wait(make):
    slots = make()
    jobs = offer(slots, "a", 20)
    await turns()
    assert sum(job.postponed_for is None for job in jobs) == 2 + 4
    assert slots.free > 0


async def test_the_more_is_put_off_the_later_it_comes_back(make, clock):
    slots = make()
    (job,) = offer(slots, "a")
    offer(slots, "a")
    await clock.advance(1)
    job.finish()
    await turns()
    jobs = offer(slots, "a", 100)
    await turns()
    waits = [job.postponed_for for job in jobs if job.postponed_for is not None]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (2.5, 49.5)


async def test_closing_waits_a_while_then_ends_what_runs(make):
    slots = make()
    jobs = offer(slots, "a", 3)
    await turns()
    jobs[0].finish()
    await slots.close(0.01)
    assert [job.ended for job in jobs] == [True, False, False]
    assert [job.started for job in jobs] == [True, True, False]
    assert slots.free == 0


steps = st.lists(
    st.tuples(
        st.sampled_from(["offer", "well", "sick", "wait"]),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(steps)
async def test_everything_is_run_or_put_off_and_nothing_stays_counted(taken):
    clock = FakeClock()
    slots = Slots(4, 2, clock, lambda: None)
    jobs = []
    for step, number in taken:
        if step == "offer":
            jobs += offer(slots, f"e{number}", 2)
        elif step == "wait":
            await clock.advance(number)
        elif open_jobs := [job for job in jobs if job.started and not job.ended]:
            open_jobs[number % len(open_jobs)].finish(well=step == "well")
        await turns()
        assert slots._slow <= slots._slow_most
        assert len(slots._tasks) <= slots._slow_most + slots._quick_slots
    for _ in range(len(jobs)):
        for job in jobs:
            job.finish()
        await turns()
    assert all(job.ended or job.postponed_for is not None for job in jobs)
    assert (slots._waiting, slots._failing_waiting, slots._slow) == (0, 0, 0)
    assert slots._endpoints == {}
    assert slots.free == 8
    await slots.close(0)
