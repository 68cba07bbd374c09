"""Flipped bits: never a wrong body, never a silent loss."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import sqlite3  # another SQLite, without checksums
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest
from zaqarserver.__main__ import main
from zaqarserver.errors import StoreDamaged, StoreRefused
from zaqarserver.storage.commands import (
    MessagePop,
    MessagePurge,
    QueueStatsGet,
    VolumeGet,
)
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.sqlite.damage import SINCE
from zaqarserver.storage.sqlite.database import prepare_schema
from zaqarserver.storage.sqlite.files import PAGE
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench

pytestmark = pytest.mark.anyio

PLACES = 50


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def make(path: Path) -> SQLiteStorage:
    return SQLiteStorage.from_uri(f"sqlite://{path}", {})


def body(number: int) -> bytes:
    return b"%d " % number + random.Random(number).randbytes(300 + number % 7 * 2000)


async def written(path: Path) -> list[bytes]:
    """Write a store; return the bodies in it."""
    storage = make(path)
    await storage.open()
    bodies = [body(number) for number in range(60)]
    for one in bodies:
        await Bench.on(storage).post(one)
    await Bench.on(storage).claim(limit=5)
    await storage.close()
    return bodies


async def killed(path: Path) -> list[bytes]:
    """Leave a store as a server that is killed does; return the bodies in it."""
    live = path.with_name("live.db")
    storage = make(live)
    await storage.open()
    bodies = [body(number) for number in range(60)]
    for one in bodies:
        await Bench.on(storage).post(one)
    for suffix in ("", "-wal"):
        shutil.copy(f"{live}{suffix}", f"{path}{suffix}")
    await storage.close()
    return bodies


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def damage(path: Path, body: bytes) -> None:
    """Flip a bit of a body."""
    flip(path, path.read_bytes().index(body[100:300]) * 8 + 3)


async def seen(path: Path) -> list[bytes] | None:
    """Return the bodies that a store gives, ``None`` if it says that it is damaged."""
    storage = make(path)
    try:
        await storage.open()
        found = await Bench.on(storage).everything()
        stats = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        assert stats.free + stats.claimed == len(found)
        return [one.body for one in found]
    except (StoreRefused, StoreDamaged):
        return None
    finally:
        await storage.close()


async def test_a_bit_that_flips_in_the_file_is_never_served_nor_loses_anything(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    bodies = await written(path)
    sound = path.read_bytes()
    used = int.from_bytes(sound[28:32]) * PAGE  # behind it is room kept in advance
    rng = random.Random(1)
    damaged = 0
    for _ in range(PLACES):
        path.write_bytes(sound)
        flip(path, rng.randrange(used * 8))
        found = await seen(path)
        damaged += found is None
        assert found in (None, bodies)
    assert damaged > PLACES // 2


async def test_a_bit_that_flips_in_the_log_is_never_served_nor_loses_anything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, log = tmp_path / "store.db", tmp_path / "store.db-wal"
    bodies = await killed(path)
    main, sound = path.read_bytes(), log.read_bytes()
    used = len(sound.rstrip(b"\0"))
    assert used > 60 * PAGE
    rng = random.Random(2)
    last = (used - 32) // (PAGE + 24) * (PAGE + 24) + 40  # in the last frame
    places = [rng.randrange(used * 8) for _ in range(PLACES)]
    refused = 0
    for place in [*places, last * 8, 5, 32 * 8 + 70]:
        path.write_bytes(main)
        log.write_bytes(sound)
        flip(log, place)
        caplog.clear()
        found = await seen(path)
        if found is None:
            refused += 1
            assert log.read_bytes() != sound  # it is as it was
            assert path.read_bytes() == main
        else:
            assert found == bodies[: len(found)]
            said = "1 transaction that cannot be read" in caplog.text
            assert said or found == bodies
    assert refused > PLACES // 2


async def test_a_refused_log_is_told_and_can_be_given_up(tmp_path: Path) -> None:
    path, log = tmp_path / "store.db", tmp_path / "store.db-wal"
    bodies = await killed(path)
    flip(log, (len(log.read_bytes().rstrip(b"\0")) // 2) * 8)
    with pytest.raises(StoreRefused, match=r"\d+ transactions behind it") as told:
        await make(path).open()
    words = str(told.value).split("truncate -s ")[1].split()
    os.truncate(words[1], int(words[0]))
    found = await seen(path)
    assert found
    assert found == bodies[: len(found)]


@pytest.mark.parametrize("cut", [1, 24, 2000, PAGE + 25])
async def test_a_transaction_that_was_being_written_is_left_out(
    tmp_path: Path, cut: int
) -> None:
    """As a kill leaves it in the middle of a commit, or a machine that goes down."""
    path, log = tmp_path / "store.db", tmp_path / "store.db-wal"
    bodies = await killed(path)
    used = (len(log.read_bytes().rstrip(b"\0")) - 32) // (PAGE + 24) + 1
    os.truncate(log, 32 + used * (PAGE + 24) - cut)
    assert await seen(path) == bodies[:-1]


async def test_an_empty_file_beside_a_log_is_refused(tmp_path: Path) -> None:
    path, log = tmp_path / "store.db", tmp_path / "store.db-wal"
    await killed(path)
    content = log.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(StoreRefused, match="is empty, but its log"):
        await make(path).open()
    path.unlink()
    with pytest.raises(StoreRefused, match="is empty, but its log"):
        await make(path).open()
    assert log.read_bytes() == content


USES: dict[str, Callable[[SQLiteStorage], Awaitable[object]]] = {
    "list": lambda storage: Bench.on(storage).everything(),
    "claim": lambda storage: Bench.on(storage).claim(limit=10),
    "pop": lambda storage: storage.do(MessagePop(PROJECT, QUEUE, 10, NOW)),
}


async def damaged_store(path: Path) -> SQLiteStorage:
    """Open a store of which one body is damaged."""
    bodies = await written(path)
    damage(path, bodies[10])
    storage = make(path)
    await storage.open()
    return storage


@pytest.mark.parametrize("use", USES)
async def test_a_damaged_body_is_an_error_and_other_queues_go_on(
    tmp_path: Path, use: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = await damaged_store(tmp_path / "store.db")
    assert storage.trouble is None

    async def use_all() -> None:
        for _ in range(10):
            await USES[use](storage)

    with pytest.raises(StoreDamaged) as raised:
        await use_all()
    assert (raised.value.status, raised.value.retry_after) == (500, None)
    assert "run zaqarserver check" in caplog.text
    assert caplog.records[-1].levelno == logging.ERROR
    assert "damaged" in (storage.trouble or "")
    await storage.ping()
    await Bench.on(storage).post(b"1", queue="other")
    held = await Bench.on(storage).claim(queue="other")
    assert [one.body for one in held.messages] == [b"1"]
    await storage.close()


async def test_a_purge_makes_a_damaged_queue_usable_and_the_sweeper_goes_on(
    tmp_path: Path,
) -> None:
    storage = await damaged_store(tmp_path / "store.db")
    await storage.do(MessagePurge(PROJECT, QUEUE))
    await Bench.on(storage).post(b"1")
    assert [one.body for one in await Bench.on(storage).everything()] == [b"1"]
    await Bench.on(storage).post(b"2", queue="other", ttl=60)
    await Bench.on(storage).sweep_all(NOW + 100)
    assert (await storage.do(VolumeGet())).free == 1
    assert [one.body for one in (await Bench.on(storage).claim()).messages] == [b"1"]
    await storage.close()


async def test_who_shares_a_batch_with_a_damaged_one_is_served(tmp_path: Path) -> None:
    storage = await damaged_store(tmp_path / "store.db")
    popping = [storage.do(MessagePop(PROJECT, QUEUE, 20, NOW)) for _ in range(3)]
    posting = [Bench.on(storage).post(b"1", queue="other") for _ in range(3)]
    results = await asyncio.gather(*popping, *posting, return_exceptions=True)
    assert all(isinstance(one, list) for one in results[3:])
    assert all(isinstance(one, StoreDamaged | list) for one in results[:3])
    assert any(isinstance(one, StoreDamaged) for one in results[:3])
    await storage.close()


# -- files that other programs wrote ----------------------------------------------


async def test_an_older_file_gets_its_checksums(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    db = apsw.Connection(str(path))
    prepare_schema(db, "old", version=SINCE - 1)
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    before = path.read_bytes()
    bodies = await written(path)
    after = path.read_bytes()
    assert (before[20], after[20]) == (0, 8)
    assert await seen(path) == bodies
    damage(path, bodies[10])
    assert await seen(path) is None


@pytest.mark.parametrize("how", ["VACUUM INTO", "backup"])
async def test_a_copy_by_a_program_that_keeps_no_checksums_can_be_used(
    tmp_path: Path, how: str
) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    bodies = await written(path)
    other = sqlite3.connect(path)
    if how == "backup":
        target = sqlite3.connect(copy)
        other.backup(target)
        target.close()
    else:
        other.execute("VACUUM INTO ?", (str(copy),))
    other.close()
    assert await seen(copy) == bodies
    damage(copy, bodies[10])
    assert await seen(copy) is None


async def test_a_header_that_denies_its_checksums_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await written(path)
    flip(path, 20 * 8 + 3)
    with pytest.raises(StoreRefused, match="damaged"):
        await make(path).open()


# -- zaqarserver check --------------------------------------------------------------


def checked(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    before = path.read_bytes()
    status = main(["check", f"sqlite://{path}"])
    assert path.read_bytes() == before
    told = capsys.readouterr()
    return status, told.out + told.err


async def test_a_check_of_a_sound_store_finds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "store.db"
    await written(path)
    assert checked(path, capsys) == (0, f"sqlite://{path}: nothing is wrong\n")
    await killed(path)  # with a log
    log = (tmp_path / "store.db-wal").read_bytes()
    assert checked(path, capsys)[0] == 0
    assert (tmp_path / "store.db-wal").read_bytes() == log


async def test_a_check_says_what_a_damaged_page_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "store.db"
    bodies = await written(path)
    damage(path, bodies[10])
    status, told = checked(path, capsys)
    assert status == 1
    assert "has a wrong checksum, part of message" in told
    assert f"queue {QUEUE} of project {PROJECT}: " in told
    assert "of 60 messages cannot be read" in told


async def test_a_check_finds_a_flipped_bit_wherever_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "store.db"
    await written(path)
    sound = path.read_bytes()
    used = int.from_bytes(sound[28:32]) * PAGE
    rng = random.Random(3)
    for _ in range(15):
        path.write_bytes(sound)
        flip(path, rng.randrange(used * 8))
        assert checked(path, capsys)[0] == 1


async def test_a_check_finds_a_damaged_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, log = tmp_path / "store.db", tmp_path / "store.db-wal"
    await killed(path)
    sound = log.read_bytes()
    for place, words in (
        (len(sound.rstrip(b"\0")) // 2, "transactions behind byte"),
        (5, "the header of the log"),
    ):
        log.write_bytes(sound)
        flip(log, place * 8)
        damaged = log.read_bytes()
        status, told = checked(path, capsys)
        assert (status, words in told) == (1, True)
        assert log.read_bytes() == damaged


async def test_a_check_finds_wrong_counters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "store.db"
    await written(path)
    db = apsw.Connection(str(path))
    db.execute("UPDATE backlog SET messages = messages + 1")
    db.close()
    status, told = checked(path, capsys)
    assert (status, "counted [61, 5," in told) == (1, True)


async def test_what_cannot_be_checked_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "store.db"
    storage = make(path)
    await storage.open()
    status, told = checked(path, capsys)
    assert (status, "in use by another server" in told) == (2, True)
    await storage.close()
    for uri in (f"sqlite://{tmp_path}/missing", "sqlite://:memory:", "redis://h", "x"):
        assert main(["check", uri]) == 2
        assert capsys.readouterr().err.startswith("zaqarserver check: ")
    assert not (tmp_path / "missing").exists()
