"""The server's time, whatever becomes of the clocks around it."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zaqarserver.clock import RATE, Clock
from zaqarserver.errors import Unavailable
from zaqarserver.process.app import load_driver
from zaqarserver.process.timekeeping import Timekeeper
from zaqarserver.storage.base import StoreTime
from zaqarserver.storage.sqlite import maintenance

pytestmark = pytest.mark.anyio

HOUR, DAY = 3600.0, 86400.0
STEPS = [HOUR, -HOUR, DAY, -DAY]
NOW = 1_750_000_000.0


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Machine:
    """What a machine's clocks show; a test moves them."""

    def __init__(self, wall=NOW, steady=1000.0):
        self.wall, self.steady = wall, steady

    def clock(self):
        return Clock(lambda: self.wall, lambda: self.steady)

    def wait(self, seconds):
        self.wall += seconds
        self.steady += seconds


class Shelf:
    """A store that knows what it is told to know."""

    def __init__(self, *known):
        self.known, self.left = list(known), []

    async def store_time(self, now=None):
        self.left.append(now)
        found = self.known.pop(0) if len(self.known) > 1 else self.known[0]
        if isinstance(found, Exception):
            raise found
        return found


async def keep(clock, storage):
    """Let a timekeeper look once."""
    await Timekeeper(clock, storage)._steer()


@pytest.mark.parametrize("step", STEPS)
def test_the_time_does_not_jump_when_the_system_clock_does(step):
    machine = Machine()
    clock = machine.clock()
    machine.wait(10)
    machine.wall += step
    assert clock.now() == NOW + 10
    assert clock.ahead() == step
    clock.steer(clock.wall())
    machine.wait(60)
    assert clock.now() == pytest.approx(NOW + 70, abs=60 * RATE)


def test_a_small_difference_is_made_up_for_within_minutes():
    machine = Machine()
    clock = machine.clock()
    machine.wall += 0.02
    for _ in range(600):
        clock.steer(clock.wall())
        machine.wait(1)
    assert abs(clock.ahead()) < 0.001


@given(
    st.lists(
        st.tuples(
            st.floats(0, 100),
            st.sampled_from([0.0, 0.0, 0.3, -0.3, *STEPS, 365 * DAY]),
            st.booleans(),
        )
    )
)
def test_the_time_follows_the_steady_clock_and_never_goes_back(moves):
    machine = Machine()
    clock = machine.clock()
    last, begun = clock.now(), machine.steady
    for seconds, step, looks in moves:
        machine.wait(seconds)
        machine.wall += step
        assert clock.now() >= last
        if looks:
            before = clock.now()
            clock.steer(clock.wall())
            assert clock.now() == before
        last = clock.now()
        passed = machine.steady - begun
        assert abs(last - NOW - passed) <= RATE * passed + 1e-6


async def test_a_server_begins_where_the_last_one_was_and_not_at_the_system_clock():
    machine = Machine(wall=NOW - DAY)
    clock = machine.clock()
    await Timekeeper(clock, Shelf(StoreTime(NOW, 5.0))).begin()
    assert clock.now() == NOW + 5


async def test_an_empty_store_begins_with_the_clock_that_all_its_servers_see():
    clock = Machine(wall=NOW + HOUR).clock()
    await Timekeeper(clock, Shelf(StoreTime(reference=NOW))).begin()
    assert clock.now() == NOW
    alone = Machine().clock()
    await Timekeeper(alone, Shelf(StoreTime())).begin()
    assert alone.now() == NOW


async def test_a_server_that_fell_behind_the_others_goes_on_from_where_they_are():
    machine = Machine()
    clock = machine.clock()
    await keep(clock, Shelf(StoreTime(NOW + 7, 0.5, NOW + 7.5)))
    assert clock.now() == NOW + 7
    await keep(clock, Shelf(StoreTime(NOW - 7, 0.5, NOW + 7.5)))
    assert clock.now() == NOW + 7


@pytest.mark.parametrize("step", STEPS)
async def test_a_jump_of_the_system_clock_is_logged_once(step, caplog):
    machine = Machine()
    clock = machine.clock()
    keeper = Timekeeper(clock, Shelf(StoreTime()))
    await keeper.begin()
    with caplog.at_level(logging.WARNING):
        machine.wait(1)
        keeper._system.observe(clock.wall())
        assert not caplog.records
        machine.wall += step
        keeper._system.observe(clock.wall())
        machine.wait(1)
        keeper._system.observe(clock.wall())
    (record,) = caplog.records
    way = "forward" if step > 0 else "back"
    assert f"the system's clock was set {way} by {abs(step):.1f} s" in record.message


@pytest.mark.parametrize("step", STEPS)
async def test_a_jump_of_the_clock_that_servers_share_moves_none_of_them(step, caplog):
    machine = Machine()
    clock = machine.clock()
    keeper = Timekeeper(clock, Shelf(StoreTime(reference=NOW)))
    await keeper.begin()
    await keeper._steer()
    machine.wait(1)
    keeper._storage.known = [StoreTime(NOW, 1.0 + step, NOW + 1 + step)]
    with caplog.at_level(logging.WARNING):
        await keeper._steer()
    assert clock.now() == NOW + 1
    assert "the clock of the store's server was set" in caplog.text


async def test_the_clock_goes_on_while_the_store_is_away():
    machine = Machine()
    clock = machine.clock()
    keeper = Timekeeper(clock, Shelf(Unavailable("away")))
    keeping = asyncio.create_task(keeper.keep())
    await asyncio.sleep(0)
    machine.wait(30)
    assert not keeping.done()
    assert clock.now() == NOW + 30
    keeping.cancel()


# -- what stores keep ---------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch):
    """The clocks that the SQLite driver sees."""
    made = Machine()
    monkeypatch.setattr(maintenance, "wall", lambda: made.wall)
    monkeypatch.setattr(maintenance, "steady", lambda: made.steady)
    return made


async def reopened(uri, now):
    """Leave a time with a store, close it, and return a driver that opens it again."""
    first = load_driver(uri, {})
    await first.open()
    await first.store_time(now)
    await first.close()
    second = load_driver(uri, {})
    await second.open()
    return second


@pytest.mark.parametrize("step", STEPS)
async def test_sqlite_counts_what_passed_while_no_server_ran(step, tmp_path, machine):
    storage = await reopened(f"sqlite:///{tmp_path}/zaqar.db", NOW)
    machine.wait(20)
    machine.wall += step
    found = await storage.store_time()
    await storage.close()
    assert found == StoreTime(NOW, 20.0)


async def test_sqlite_goes_by_the_system_clock_after_the_machine_was_off(
    tmp_path, machine, monkeypatch
):
    storage = await reopened(f"sqlite:///{tmp_path}/zaqar.db", NOW)
    monkeypatch.setattr(maintenance, "BOOT", "another")
    machine.wall, machine.steady = NOW + HOUR, 3.0
    assert await storage.store_time() == StoreTime(NOW, HOUR)
    machine.wall = 0.0  # the clock's battery is empty
    assert await storage.store_time() == StoreTime(NOW, 0.0)
    await storage.close()


async def test_sqlite_is_written_once_a_minute_and_when_the_time_is_off(
    tmp_path, machine
):
    storage = await reopened(f"sqlite:///{tmp_path}/zaqar.db", NOW)

    async def kept(now):
        await storage.store_time(now)
        return (await storage.store_time()).latest

    machine.wait(30)
    assert await kept(NOW + 30) == NOW
    assert await kept(NOW + 30.5) == NOW + 30.5
    machine.wait(61)
    assert await kept(NOW + 91.5) == NOW + 91.5
    await storage.close()


async def test_an_empty_sqlite_store_knows_no_time(tmp_path):
    storage = load_driver(f"sqlite:///{tmp_path}/zaqar.db", {})
    await storage.open()
    assert await storage.store_time() == StoreTime()
    await storage.close()


async def test_redis_tells_its_own_time_and_keeps_the_latest(redis_server):
    uri = f"{redis_server.uri}?prefix=time"
    storage = await reopened(uri, NOW)
    found = await storage.store_time(NOW - HOUR)  # a server that is behind
    assert found.latest == NOW
    assert (await storage.store_time()).latest == NOW
    assert 0 <= found.passed < 60
    assert found.reference > 1_700_000_000
    await storage.close()


async def test_servers_on_one_redis_agree_whatever_their_system_clocks_show(
    redis_server,
):
    uri = f"{redis_server.uri}?prefix=agree"
    storage = load_driver(uri, {})
    await storage.open()
    times = []
    for step in (0.0, *STEPS):
        clock = Clock(lambda step=step: NOW + step)
        await Timekeeper(clock, storage).begin()
        await keep(clock, storage)
        times.append(clock)
    shown = [clock.now() for clock in times]
    reference = (await storage.store_time()).reference
    await storage.close()
    assert max(shown) - min(shown) < 1
    assert max(shown) == pytest.approx(reference, abs=5)
