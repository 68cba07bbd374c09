"""Encrypted connections, through a real TLS listener in front of the server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from receivers import listening, streams
from redis_service import RedisServer
from zaqarserver.errors import Unavailable
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.testing.suite import Bench

from ..notify.certificates import make_certificate  # noqa: TID252 - tests have no name

pytestmark = pytest.mark.anyio

Make = Callable[[str], RedisStorage]


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def encrypted(
    redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[tuple[int, str]]:
    """A port that speaks TLS, and the file that vouches for it."""
    context, ca_file = make_certificate(tmp_path)

    async def serve(connection: socket.socket) -> None:
        async with streams(connection, context) as (reader, writer):
            with socket.create_connection(("127.0.0.1", redis_server.port)) as server:
                server.setblocking(False)
                async with streams(server) as (behind, ahead):
                    await asyncio.gather(pipe(reader, ahead), pipe(behind, writer))

    async with listening(serve) as port:
        yield port, ca_file


async def test_a_store_is_used_through_tls(
    uri: str, encrypted: tuple[int, str], make_storage: Make
) -> None:
    port, ca_file = encrypted
    _, _, options = uri.partition("?")
    storage = make_storage(f"rediss://127.0.0.1:{port}?{options}&ca_file={ca_file}")
    await storage.open()
    await Bench.on(storage).post_one()
    assert len(await Bench.on(storage).everything()) == 1
    await storage.close()


async def test_a_server_that_nobody_vouches_for_is_not_used(
    encrypted: tuple[int, str], make_storage: Make
) -> None:
    port, _ = encrypted
    with pytest.raises(Unavailable, match="certificate"):
        await make_storage(f"rediss://127.0.0.1:{port}?retry=0").open()
