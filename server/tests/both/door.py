"""A server that lets in by token, and a caller of it over both transports."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
from zaqarserver.errors import IdentityUnavailable, Unauthorized
from zaqarserver.identity.auth import Headers, Identity

from .bench import Bench, Dialog
from .service import CLIENT

SECRET = "s3cret"
OPTIONS = f"[DEFAULT]\nadmin_mode = true\n[signed_url]\nsecret_key = {SECRET}\n"


class Door:
    """Knows the caller of each token, and records its calls.

    Attributes:
        known: Tokens with whose they are, or with the error that they meet.
        is_silent: Whether it cannot answer now.
        held: Answers wait for this, if it is there.
        asked: Method and path of each question.
        was_asked: Released by each question.
    """

    required = True

    def __init__(self) -> None:
        self.known: dict[str, Identity | Exception] = {
            "alice": Identity("alpha", ("member",), "alice", "alice"),
            "admin": Identity("alpha", ("admin",), "admin", "admin"),
            "bob": Identity("beta", ("member",), "bob", "bob"),
        }
        self.is_silent = False
        self.held: Any = None
        self.asked: list[tuple[str, str]] = []
        self.was_asked = asyncio.Semaphore(0)

    async def identify(self, headers: Headers, method: str, path: str, /) -> Identity:
        self.asked.append((method, path))
        self.was_asked.release()
        if self.held is not None:
            await self.held.wait()
        if self.is_silent:
            raise IdentityUnavailable("nobody there")
        found = self.known.get(headers.get(b"x-auth-token", b"").decode())
        if found is None:
            raise Unauthorized("Who are you?", challenge='Keystone uri="http://k/v3"')
        if isinstance(found, Exception):
            raise found
        return found


class Line:
    """A WebSocket connection to such a server."""

    def __init__(self, bench: Bench, *, binary: bool = False) -> None:
        self.binary = binary
        self.dialog: Dialog = bench.dial()

    def send(self, frame: Any) -> None:
        encode = msgspec.msgpack.encode if self.binary else msgspec.json.encode
        self.dialog.send(encode(frame), binary=self.binary)

    def receive(self) -> Any:
        message = self.dialog.receive()
        if self.binary:
            return msgspec.msgpack.decode(message["bytes"])
        return json.loads(message["text"])

    def exchange(self, action: str, headers: Any, body: Any = None) -> Any:
        frame = {"action": action, "headers": headers}
        if body is not None:
            frame["body"] = body
        self.send(frame)
        return self.receive()

    def ask(
        self, action: str, project: str | None = "alpha", body: Any = None, **more: Any
    ) -> tuple[int, Any]:
        """Send a request of a project; return the status and body of its answer."""
        headers = {"Client-ID": CLIENT, **more}
        if project is not None:
            headers["X-Project-ID"] = project
        answer = self.exchange(action, headers, body)
        return answer["headers"]["status"], answer["body"]

    def authenticate(self, token: str, project: str = "alpha") -> tuple[int, Any]:
        headers = {"X-Auth-Token": token, "X-Project-ID": project}
        answer = self.exchange("authenticate", headers)
        assert answer["request"] == {
            "action": "authenticate",
            "body": {},
            "headers": {},
            "api": "v2",
        }
        return answer["headers"]["status"], answer["body"]
