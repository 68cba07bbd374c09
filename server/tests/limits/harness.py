"""A server driven to a bound: the memory that it takes, and how long it stalls."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import websocket

HEARTBEAT = Path(__file__).with_name("heartbeat.py")
HEADERS = {
    "Client-ID": "9f3d3c1c-6a52-4b86-9f4d-1d4f3f1b0c55",
    "X-Project-ID": "limits",
}
MIB = 1024 * 1024
TEXT, BINARY, PING = 1, 2, 9


class Watch:
    """The observations while a server was under load.

    Attributes:
        stall: Seconds for which its event loop kept others waiting at most.
        growth: Bytes by which its memory grew at most.
    """

    stall = 0.0
    growth = 0


def _memory(pid: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@contextlib.contextmanager
def watch(server: Any) -> Iterator[Watch]:
    """Watch a server process from another one."""
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the peak begins anew
    before = _memory(server.pid, "VmRSS")
    with subprocess.Popen(
        [sys.executable, HEARTBEAT, str(server.port), str(server.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as heartbeat:
        assert heartbeat.stdout is not None
        assert heartbeat.stdout.readline() == "ready\n"
        seen = Watch()
        yield seen
        answer, _ = heartbeat.communicate()
        seen.stall = float(answer)
        seen.growth = _memory(server.pid, "VmHWM") - before


# -- peers ------------------------------------------------------------------------


def dial(server: Any, *, deaf: bool = False) -> websocket.WebSocket:
    """Open a WebSocket; a deaf one takes next to nothing into its own buffer."""
    options = ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),) if deaf else ()
    return websocket.create_connection(
        server.websocket_url, timeout=20, sockopt=options
    )


def deaf_connection(port: int) -> socket.socket:
    """Open a connection that takes next to nothing into its own buffer."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.connect(("127.0.0.1", port))
    return peer


def frame(opcode: int, payload: bytes = b"", *, last: bool = True) -> bytes:
    """Return a frame of a client, masked with zeros."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + struct.pack(">H", size)
    else:
        length = b"\xff" + struct.pack(">Q", size)
    return bytes([last << 7 | opcode]) + length + bytes(4) + payload


def request(action: str, request_id: int | None = None, **body: Any) -> dict[str, Any]:
    """Return the envelope of a request."""
    headers = dict(HEADERS)
    if request_id is not None:
        headers["X-Request-ID"] = str(request_id)
    return {"action": action, "headers": headers, "body": body}


def ask(peer: websocket.WebSocket, action: str, **body: Any) -> dict[str, Any]:
    """Send a request and return its answer."""
    peer.send(json.dumps(request(action, **body)))
    answer: dict[str, Any] = json.loads(peer.recv())
    return answer


def fill(server: Any, queue: str, count: int, body: str) -> None:
    """Post messages of this body, one by one."""
    peer = dial(server)
    for _ in range(count):
        text = json.dumps(request("message_post", queue_name=queue, messages=[]))
        text = text.replace('"messages": []', f'"messages": [{{"body": {body}}}]')
        peer.send(text)
        assert json.loads(peer.recv())["headers"]["status"] == 201
    peer.close()


def pour(peer: websocket.WebSocket, data: bytes) -> None:
    """Send all of it, or what the server takes before it ends the connection."""
    with contextlib.suppress(OSError):
        peer.sock.sendall(data)


def close_code(peer: websocket.WebSocket) -> int | None:
    """Read on to the end; return the code of the close, if one came."""
    try:
        while True:
            opcode, data = peer.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                code: int = struct.unpack(">H", data[:2])[0]
                return code
    except (OSError, websocket.WebSocketException):
        return None
