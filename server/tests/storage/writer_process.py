"""Posts without end; prints the number of each message when it is acknowledged.

Run as a program by the test that kills it: STORE URI, first number.
"""

from __future__ import annotations

import asyncio
import sys
import time

from zaqarserver.storage.base import NewMessage
from zaqarserver.storage.commands import MessagePost
from zaqarserver.storage.sqlite import SQLiteStorage

CLIENTS = 8


async def main(uri: str, first: int) -> None:
    storage = SQLiteStorage.from_uri(uri, {})
    await storage.open()
    numbers = iter(range(first, first + 1_000_000))

    async def client() -> None:
        for number in numbers:
            message = NewMessage(b"%d" % number, 3600)
            (message_id,) = await storage.do(
                MessagePost("p", "q", "c", [message], time.time())
            )
            sys.stdout.write(f"{number} {message_id}\n")
            sys.stdout.flush()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
