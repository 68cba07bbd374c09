"""A file of an older schema keeps all it holds, and is counted as any other."""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec
import pytest
from zaqarserver.storage.accounts import (
    Grant,
    GrantAdd,
    GrantCheck,
    GrantRevoke,
    Usage,
    UsageGet,
)
from zaqarserver.storage.commands import (
    MessagePop,
    QueueCount,
    QueueDelete,
    QueueGet,
    QueueList,
)
from zaqarserver.storage.moving import QueueOpen
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.sqlite.database import VERSION, prepare_schema
from zaqarserver.storage.subscriptions import (
    DeliveryDue,
    NoticeMessage,
    SubscriptionList,
)
from zaqarserver.storage.testing.suite import NOW, Bench, bodies

pytestmark = pytest.mark.anyio

#: A project with two queues, one of them with 3 messages (one of them claimed, one
#: dead), another project with an empty queue, and a purged backlog that is to be
#: swept, as the first schema has them.
FIRST = f"""
    UPDATE store SET reserved = 9000000;
    INSERT INTO project VALUES ('p', 2), ('q', 1);
    INSERT INTO queue VALUES ('p', 'a', 1, 11, '{{"team":"x"}}'),
                             ('p', 'b', 2, 12, '{{}}'), ('q', 'a', 3, 13, '{{}}');
    INSERT INTO backlog (id, messages, claimed, dead, due) VALUES
        (1, 3, 1, 0, {NOW - 5}), (2, 0, 0, 0, NULL), (3, 0, 0, 0, NULL),
        (4, 2, 0, 1, -9e999);
    INSERT INTO claim VALUES (100, 1, 5, 600, 60, {NOW - 5}, {NOW + 595});
    INSERT INTO message (seq, backlog, state, claims, claim, secret, created, expires,
                         visible, ttl, client, checksum, body) VALUES
        (10, 1, 0, 0, NULL, 1, {NOW - 10}, {NOW + 590}, NULL, 600, 'c', NULL, x'3131'),
        (11, 1, 2, 1, 100, 2, {NOW - 10}, {NOW + 655}, NULL, 600, 'c', NULL, x'32'),
        (12, 1, 0, 0, NULL, 3, {NOW - 90}, {NOW - 5}, NULL, 60, 'c', NULL, x'33333333'),
        (20, 4, 0, 0, NULL, 4, {NOW - 10}, {NOW + 590}, NULL, 600, 'c', NULL, x'34'),
        (21, 4, 0, 0, NULL, 5, {NOW - 10}, {NOW + 590}, NULL, 600, 'c', NULL, x'35');
"""  # noqa: S608 - constants only

#: A live subscription, one that has ended, and one that was deleted.
SECOND = f"""
    INSERT INTO subscription (seq, secret, project, source, subscriber, ttl, created,
                              expires, options, confirmed, volatile) VALUES
        (200, 6, 'p', 'a', 'http://a/', 600, {NOW - 10}, {NOW + 590}, '{{}}', 1, 0),
        (201, 7, 'p', 'a', 'http://b/', 60, {NOW - 90}, {NOW - 30}, '{{}}', 1, 0),
        (202, 8, 'p', 'a', 'http://c/', 600, {NOW - 10}, 0, '{{}}', 1, 0);
"""  # noqa: S608 - constants only

#: Posts to a queue with four subscriptions: the first two were spread to all, the
#: third to the first two, the last to none. One subscription failed at the second
#: message of the first, one has only the third yet, one came after the second, and one
#: has finished all that was spread to it.
NOTICES = f"""
    INSERT INTO subscription (seq, secret, project, source, subscriber, ttl, created,
                              expires, options, confirmed, volatile, due) VALUES
        (300, 1, 'n', 'a', 'http://a/', 600, {NOW}, {NOW + 600}, '{{}}', 1, 0,
         {NOW + 9}),
        (301, 2, 'n', 'a', 'http://b/', 600, {NOW}, {NOW + 600}, '{{}}', 1, 0, 0),
        (302, 3, 'n', 'a', 'http://c/', 600, {NOW}, {NOW + 600}, '{{}}', 1, 0, NULL),
        (305, 4, 'n', 'a', 'http://d/', 600, {NOW}, {NOW + 600}, '{{}}', 1, 0, NULL);
    INSERT INTO notice (id, project, source, messages, count, newest, reached, open)
    VALUES (5, 'n', 'a', messages('1', '2'), 2, 304, NULL, 1),
           (6, 'n', 'b', messages('x'), 1, 304, 0, 0),
           (7, 'n', 'a', messages('3'), 1, 304, NULL, 1),
           (8, 'n', 'a', messages('4'), 1, 306, 301, 2),
           (9, 'n', 'a', messages('5'), 1, 306, 0, 0);
    INSERT INTO delivery (id, notice, subscription, position, attempt) VALUES
        (1, 5, 300, 1, 3), (2, 7, 300, 0, 0), (3, 8, 300, 0, 0), (4, 8, 301, 0, 0);
"""  # noqa: S608 - constants only


def messages(*bodies: str) -> bytes:
    """Return the messages of a notice as the fourth schema has them."""
    made = [NoticeMessage(body, body.encode(), 600, 0, NOW + 600) for body in bodies]
    return msgspec.msgpack.encode(made)


async def test_no_delivery_is_lost_when_notices_become_a_log(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    db = apsw.Connection(str(path))
    prepare_schema(db, "old", version=4)
    db.create_scalar_function("messages", messages)
    db.execute(NOTICES)
    db.close()
    storage = SQLiteStorage.from_uri(f"sqlite://{path}", {})
    await storage.open()
    bench = Bench.on(storage)
    heard = {}
    for now in (NOW, NOW + 9):
        for one in await bench.take(now=now):
            left = [message.body.decode() for message in one.messages[one.position :]]
            heard[one.subscription.subscriber[7]] = (now - NOW, one.attempt, left)
            await bench.done(one)
    assert heard == {
        "a": (9, 3, ["2", "3", "4", "5"]),
        "b": (0, 0, ["4", "5"]),
        "c": (0, 0, ["4", "5"]),
        "d": (0, 0, ["4", "5"]),
    }
    assert await storage.do(DeliveryDue(NOW)) is None
    await bench.sweep_all(NOW)
    await storage.close()
    db = apsw.Connection(str(path))
    assert db.execute("SELECT count(*) FROM notice").fetchall() == [(0,)]
    db.close()


STEPS = {1: [FIRST], 2: [FIRST, SECOND]}

#: Two queues that were arriving: one with a message and a subscription, one with only
#: a subscription. The records of queues were kept apart.
FOURTH = f"""
    INSERT INTO backlog (id, project, messages, bytes) VALUES
        (5, char(0) || 'arriving', 1, 2), (6, char(0) || 'arriving', 0, 0);
    INSERT INTO message (seq, backlog, state, claims, claim, secret, created, expires,
                         visible, ttl, client, checksum, body) VALUES
        (10, 5, 0, 0, NULL, 1, {NOW - 10}, {NOW + 590}, NULL, 600, 'c', NULL, x'3131');
    INSERT INTO seal (id, project, queue, epoch, kind, backlog) VALUES
        (1, 'p', 'a', 7, 'arriving', 5), (2, 'p', 'b', 8, 'arriving', 6);
    INSERT INTO subscription (seq, secret, project, source, subscriber, ttl, created,
                              expires, options, confirmed, volatile) VALUES
        (200, 6, char(0) || 'arriving', '1', 'http://a/', 600, {NOW - 10}, {NOW + 590},
         '{{}}', 1, 0),
        (201, 6, char(0) || 'arriving', '2', 'http://a/', 600, {NOW - 10}, {NOW + 590},
         '{{}}', 1, 0);
"""  # noqa: S608 - constants only


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=STEPS)
def old_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file as an older server left it."""
    path = tmp_path / "store.db"
    db = apsw.Connection(str(path))
    for version, rows in enumerate(STEPS[request.param], start=1):
        prepare_schema(db, "old", version=version)
        db.execute(rows)
    db.close()
    return path


async def test_an_older_file_keeps_all_it_holds(old_file: Path) -> None:
    storage = SQLiteStorage.from_uri(f"sqlite://{old_file}", {})
    await storage.open()
    subscriptions = len(
        await storage.do(SubscriptionList("p", "a", marker=None, limit=9, now=NOW))
    )
    found = await Bench.on(storage).everything(project="p", queue="a", now=NOW)
    assert bodies(found) == [b"11", b"2"]
    assert [one.claim_id is not None for one in found] == [False, True]
    queues = await storage.do(QueueList("p", marker=None, limit=9))
    assert [(one.name, one.metadata) for one in queues] == [
        ("a", {"team": "x"}),
        ("b", {}),
    ]
    unswept = await storage.do(UsageGet("p", NOW))
    assert (unswept.queues, unswept.messages, unswept.bytes) == (2, 3, 7)
    await Bench.on(storage).sweep_all(NOW)
    assert await storage.do(UsageGet("p", NOW)) == Usage(2, 2, 3, subscriptions)
    assert await storage.do(UsageGet("q", NOW)) == Usage(1)
    assert await storage.do(QueueCount("p")) == 2
    await storage.close()


async def test_an_upgraded_file_counts_on_from_there(old_file: Path) -> None:
    uri = f"sqlite://{old_file}"
    for turn in range(2):
        storage = SQLiteStorage.from_uri(uri, {})
        await storage.open()
        await Bench.on(storage).sweep_all(NOW)
        before = await storage.do(UsageGet("p", NOW))
        popped = await storage.do(MessagePop("p", "a", 1, NOW))
        await storage.do(QueueDelete("p", "b"))
        after = await storage.do(UsageGet("p", NOW))
        gone = sum(len(one.body) for one in popped)
        assert after.bytes == before.bytes - gone
        assert after.messages == before.messages - len(popped)
        assert after.queues == 1
        assert len(popped) == (1 if turn == 0 else 0)
        await storage.close()


async def test_an_upgraded_file_takes_grants(old_file: Path) -> None:
    storage = SQLiteStorage.from_uri(f"sqlite://{old_file}", {})
    await storage.open()
    grant = Grant("a" * 32, ["/p"], ["GET"], NOW, NOW + 60)
    assert await storage.do(GrantAdd("p", "a", grant, most=1, now=NOW)) == grant
    assert await storage.do(GrantRevoke("p", "a", grant.id, NOW))
    await storage.close()
    await storage.open()
    assert await storage.do(GrantCheck("p", "a", grant.id, NOW))
    await storage.close()


async def test_an_upgrade_leaves_nothing_of_a_purge_behind(old_file: Path) -> None:
    storage = SQLiteStorage.from_uri(f"sqlite://{old_file}", {})
    await storage.open()
    await Bench.on(storage).sweep_all(NOW)
    await storage.close()
    db = apsw.Connection(str(old_file))
    assert db.execute("PRAGMA user_version").fetchall() == [(VERSION,)]
    assert db.execute("SELECT seq FROM message ORDER BY 1").fetchall() == [(10,), (11,)]
    assert db.execute("SELECT id FROM backlog ORDER BY 1").fetchall() == [
        (1,),
        (2,),
        (3,),
    ]
    db.close()


async def test_a_queue_that_was_arriving_is_opened_by_a_later_version(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store.db"
    db = apsw.Connection(str(path))
    prepare_schema(db, "old", version=4)
    db.execute(FOURTH)
    record = msgspec.msgpack.encode({"type": "queue", "metadata": {"team": "x"}})
    db.execute("INSERT INTO arrival VALUES (1, 1, 'queue', ?)", (record,))
    db.close()
    storage = SQLiteStorage.from_uri(f"sqlite://{path}", {})
    await storage.open()
    assert await storage.do(UsageGet("p", NOW)) == Usage()
    assert await storage.do(QueueOpen("p", "a", 7, 7))
    assert await storage.do(QueueOpen("p", "b", 8, 8))
    queue = await storage.do(QueueGet("p", "a"))
    assert queue is not None
    assert queue.metadata == {"team": "x"}
    found = await Bench.on(storage).everything(project="p", queue="a", now=NOW)
    assert bodies(found) == [b"11"]
    assert await storage.do(QueueGet("p", "b")) is None
    assert await storage.do(UsageGet("p", NOW)) == Usage(1, 1, 2, 2)
    await storage.close()
