"""Opening the file: who may, which versions, which library."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import anyio
import apsw
import pytest
from zaqarserver.errors import SettingsError, StoreRefused, Unavailable
from zaqarserver.storage.base import Capability, Durability
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.sqlite.database import (
    APPLICATION_ID,
    VERSION,
    check_library,
    prepare_schema,
)
from zaqarserver.storage.testing.suite import Bench

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def make(path: Path, **options: str) -> SQLiteStorage:
    return SQLiteStorage.from_uri(f"sqlite://{path}", options)


async def make_file(path: Path) -> None:
    storage = make(path)
    await storage.open()
    await Bench.on(storage).post_one()
    await storage.close()


# -- the URI ----------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:///dir/",
        "mysql:///a",
        "/a",
        "",
        "sqlite:///a%00b",
    ],
)
def test_a_uri_that_names_no_file_is_refused(uri: str) -> None:
    with pytest.raises(SettingsError, match="names no SQLite store"):
        SQLiteStorage.from_uri(uri, {})


@pytest.mark.parametrize(
    "options", [{"synchronous": "off"}, {"synchronous": ""}, {"cache": "1"}]
)
def test_an_unknown_option_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        SQLiteStorage.from_uri("sqlite://:memory:", options)


async def test_paths_may_be_relative_and_have_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for uri in ("sqlite://a b/c.db", "sqlite://a%20b/d.db"):
        storage = SQLiteStorage.from_uri(uri, {})
        await storage.open()
        await storage.close()
    assert {path.name for path in (tmp_path / "a b").glob("*.db")} == {"c.db", "d.db"}


def test_durability_follows_the_options(tmp_path: Path) -> None:
    assert make(tmp_path / "a").durability is Durability.POWER_LOSS
    normal = make(tmp_path / "a", synchronous="normal")
    assert normal.durability is Durability.PROCESS_CRASH
    memory = SQLiteStorage.from_uri("sqlite://:memory:", {})
    assert memory.durability is Durability.MEMORY
    assert Capability.DURABILITY not in memory.capabilities


# -- the file ---------------------------------------------------------------


async def test_the_file_and_its_directory_are_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.db"
    storage = make(path)
    await storage.open()
    await Bench.on(storage).post_one()
    modes = {
        one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()
    }
    await storage.close()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert "store.db-wal" in modes


async def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot open"):
        await make(tmp_path / "file" / "store.db").open()


async def test_a_second_server_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    (tmp_path / "link.db").symlink_to(path)
    first = make(path)
    await first.open()
    (tmp_path / "hard.db").hardlink_to(path)
    for name in ("store.db", "link.db", "hard.db"):
        with pytest.raises(StoreRefused, match=f"process {os.getpid()}"):
            await make(tmp_path / name).open()
    await Bench.on(first).post_one()
    await first.close()
    second = make(tmp_path / "link.db")
    await second.open()
    assert len(await Bench.on(second).everything()) == 1
    await second.close()


@pytest.mark.parametrize("name", ["store.db", "hard.db"])
async def test_another_process_is_kept_out_by_the_file_itself(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "store.db"
    first = make(path)
    await first.open()
    (tmp_path / "hard.db").hardlink_to(path)
    (tmp_path / "store.db.lock").unlink()
    code = f"""if True:
        import asyncio
        from zaqarserver.storage.sqlite import SQLiteStorage
        asyncio.run(SQLiteStorage.from_uri("sqlite://{tmp_path / name}", {{}}).open())
    """
    done = await anyio.run_process([sys.executable, "-c", code], check=False)
    assert done.returncode == 1
    assert b"in use by another server" in done.stderr.splitlines()[-1]
    await first.close()


@pytest.mark.parametrize("content", [b"not a database " * 300, b"x"])
async def test_a_file_that_is_no_database_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(StoreRefused, match="damaged or not a SQLite file"):
        await make(path).open()
    assert path.read_bytes() == content


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await make_file(path)
    content = bytearray(path.read_bytes())
    content[100:4096] = os.urandom(3996)
    path.write_bytes(content)
    with pytest.raises(StoreRefused, match="damaged"):
        await make(path).open()


async def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with apsw.Connection(str(path)) as other:
        other.execute("CREATE TABLE browser_history (url)")
    other.close()
    with pytest.raises(StoreRefused, match="another program"):
        await make(path).open()


async def test_a_file_without_its_tables_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await make_file(path)
    with apsw.Connection(str(path)) as db:
        db.execute("DROP TABLE store")
    db.close()
    with pytest.raises(StoreRefused, match="lacks"):
        await make(path).open()


async def test_a_refused_file_can_be_opened_when_mended(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database " * 300)
    storage = make(path)
    with pytest.raises(StoreRefused):
        await storage.open()
    path.unlink()
    await storage.open()
    await Bench.on(storage).post_one()
    await storage.close()


# -- versions ---------------------------------------------------------------


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await make_file(path)
    with apsw.Connection(str(path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(StoreRefused, match="newer server"):
        await make(path).open()


def test_an_older_schema_is_brought_up_step_by_step() -> None:
    db = apsw.Connection(":memory:")
    prepare_schema(db, "test")
    steps = {
        VERSION: "CREATE TABLE added (a); INSERT INTO added VALUES (1)",
        VERSION + 1: "ALTER TABLE added ADD COLUMN b DEFAULT 2",
    }
    for _ in range(2):
        prepare_schema(db, "test", steps=steps, version=VERSION + 2)
    assert db.execute("SELECT a, b FROM added").fetchall() == [(1, 2)]
    assert db.execute("PRAGMA user_version").fetchall() == [(VERSION + 2,)]
    assert db.execute("PRAGMA application_id").fetchall() == [(APPLICATION_ID,)]


def test_a_step_that_fails_leaves_the_file_as_it_was() -> None:
    db = apsw.Connection(":memory:")
    prepare_schema(db, "test")
    steps = {VERSION: "CREATE TABLE added (a)", VERSION + 1: "DROP TABLE missing"}
    with pytest.raises(StoreRefused):
        prepare_schema(db, "test", steps=steps, version=VERSION + 2)
    assert db.execute("PRAGMA user_version").fetchall() == [(VERSION,)]
    tables = db.execute("SELECT name FROM sqlite_schema").fetchall()
    assert ("added",) not in tables


@pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "3.54.1", "3.50.7", "3.44.6"])
def test_a_sound_library_is_accepted(version: str) -> None:
    assert check_library(version) is None


@pytest.mark.parametrize("version", ["3.51.2", "3.50.6", "3.49.9", "3.44.5", "3.40.1"])
def test_a_library_that_can_damage_the_file_is_refused(version: str) -> None:
    with pytest.raises(StoreRefused, match=r"3\.51\.3 or newer"):
        check_library(version)
