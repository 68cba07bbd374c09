"""The budget that all connections share: who waits, who is refused, who is dropped."""

import asyncio

import pytest
from zaqarserver.common import budget as module
from zaqarserver.common.budget import Budget
from zaqarserver.errors import Overloaded


class Peer:
    """A transport with this much in its buffer."""

    def __init__(self, budget):
        self.unsent = 0
        self.dropped = False
        self.account = budget.account(lambda: self.unsent, self.drop)

    def drop(self):
        self.dropped = True
        self.account.close()

    def owe(self, size):
        self.unsent = size
        self.account.measure()


@pytest.fixture
def clock(monkeypatch):
    moment = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: moment[0])
    return moment


def test_what_connections_keep_is_counted_until_they_end():
    budget = Budget(100)
    one, other = Peer(budget), Peer(budget)
    one.account.keep(30)
    other.owe(70)
    assert budget.held == 100
    assert budget.is_full
    other.owe(20)
    one.account.close()
    assert budget.held == 20
    assert not budget.is_full


def test_room_is_given_in_the_order_of_asking_as_it_becomes_free():
    budget = Budget(100)
    order = []

    async def ask(name, size):
        with budget.allocate() as lease:
            await lease.take(size)
            order.append(name)

    async def run():
        with budget.allocate() as first:
            await first.take(80)
            asked = [
                asyncio.create_task(ask(name, size))
                for name, size in (("large", 90), ("small", 10))
            ]
            await asyncio.sleep(0)
            assert order == []
        await asyncio.gather(*asked)

    asyncio.run(run())
    assert order == ["large", "small"]
    assert budget.held == 0


def test_a_request_without_room_is_refused_and_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(module, "WAIT", 0.01)
    budget = Budget(100)

    async def run():
        peer = Peer(budget)
        peer.owe(100)
        with budget.allocate() as lease, pytest.raises(Overloaded):
            await lease.take(1)
        peer.owe(0)

    asyncio.run(run())
    assert budget.held == 0


def test_a_cancelled_request_gives_its_turn_back():
    budget = Budget(100)

    async def run():
        first = budget.allocate()
        await first.take(100)
        waits = asyncio.create_task(budget.allocate().take(50))
        await asyncio.sleep(0)
        with first:
            pass
        waits.cancel()  # it has its room, and did not run yet
        with pytest.raises(asyncio.CancelledError):
            await waits

    asyncio.run(run())
    assert budget.held == 0


def test_an_answer_larger_than_all_room_is_made_when_there_is_nothing_else():
    budget = Budget(100)

    async def run():
        with budget.allocate() as lease:
            await lease.take(1000)
            assert budget.is_full

    asyncio.run(run())
    assert budget.held == 0


def test_a_peer_that_reads_nothing_is_dropped_after_its_time(clock):
    budget = Budget(100)
    deaf, done = Peer(budget), Peer(budget)
    deaf.owe(50)
    done.owe(50)
    done.owe(0)
    clock[0] += 29
    assert budget.drop_slow(30) == 0
    clock[0] += 2
    assert budget.drop_slow(30) == 1
    assert (deaf.dropped, done.dropped) == (True, False)
    assert budget.held == 0


@pytest.mark.parametrize(("rate", "dropped"), [(16384, False), (1, True)])
def test_reading_prolongs_the_time_by_how_much_was_read(clock, rate, dropped):
    budget = Budget(10 * module.MIB)
    peer = Peer(budget)
    peer.owe(5 * module.MIB)
    for _ in range(100):
        clock[0] += 1
        peer.unsent -= rate
        budget.drop_slow(30)
    assert peer.dropped is dropped


def test_who_finds_no_room_gets_that_of_peers_that_do_not_read(clock):
    budget = Budget(100)

    async def run():
        deaf = Peer(budget)
        deaf.owe(100)
        clock[0] += module.PATIENCE + 1
        with budget.allocate() as lease:
            await lease.take(50)
            assert deaf.dropped

    asyncio.run(run())
