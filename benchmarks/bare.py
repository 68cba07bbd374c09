"""The least that a server in Python can do: read a post, answer that it is stored.

One function of ASGI on uvicorn, uvloop and httptools. ``load.py`` measures it in the
same rounds as the server, so that the ratio of both says what the server adds,
whatever the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import uvicorn

_BODY = b'{"resources":["/v2/queues/q/messages/0123456789abcdefghijkl"]}'
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(_BODY)),
    (b"location", b"/v2/queues/q/messages?ids=0123456789abcdefghijkl"),
]


async def serve(
    _scope: Any,
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    """Answer one request."""
    body, is_whole = b"", False
    while not is_whole:
        message = await receive()
        body += message["body"]
        is_whole = not message["more_body"]
    msgspec.json.decode(body)
    await send({"type": "http.response.start", "status": 201, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    uvicorn.run(
        serve,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        timeout_keep_alive=600,  # other scenarios run in between
        access_log=False,
        log_level="warning",
    )
