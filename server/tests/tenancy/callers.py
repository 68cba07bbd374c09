"""Callers that send exactly the headers and frames they are told to."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from typing import Any
from urllib.parse import urlsplit

import msgspec
from websockets.sync.client import connect

from .requests_of_rows import Request, Target

CLIENT = "3381af92-2b9e-11e3-b191-71861300734c"
Headers = list[tuple[str, str]]


class Answer(msgspec.Struct, frozen=True):
    """What a request came to.

    Attributes:
        status: The status.
        text: The body as text, and the headers that say more than that.
    """

    status: int
    text: str

    def without(self, target: Target) -> Answer:
        """Return the answer without names, ids and times: what can be learnt."""
        text = self.text
        for known in target.texts():
            text = text.replace(known, "NAMED")
        text = re.sub(r'"(age|seconds|remaining)": ?[\d.]+', "TIME", text)
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?", "TIME", text)
        text = re.sub(r"[A-Za-z0-9_-]{20,}", "MADE", text)
        return Answer(self.status, text)


class Rest:
    """A connection for REST."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._connection = http.client.HTTPConnection(self._address, timeout=20)

    def ask(self, request: Request, headers: Headers) -> Answer:
        """Send a request with these headers and no others that say who asks."""
        body = None if request.document is None else json.dumps(request.document)
        connection = self._connection
        connection.putrequest(request.method, request.path)
        connection.putheader("Client-ID", CLIENT)
        if body is not None:
            connection.putheader("Content-Type", request.content_type)
            connection.putheader("Content-Length", str(len(body)))
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(None if body is None else body.encode())
        answer = connection.getresponse()
        location = answer.getheader("Location") or ""
        return Answer(answer.status, f"{location} {answer.read().decode()}")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


class Frames:
    """A WebSocket."""

    def __init__(self, url: str) -> None:
        self._open = contextlib.ExitStack()
        self._socket = self._open.enter_context(connect(url, compression=None))

    def send(self, action: str, headers: dict[str, Any], body: Any) -> Answer:
        """Send a frame; return what its answer says beside the echo."""
        frame = {"action": action, "headers": headers, "body": body}
        self._socket.send(json.dumps(frame))
        while True:
            answer = json.loads(self._socket.recv(timeout=20))
            if "request" in answer:
                text = json.dumps(answer.get("body"))
                return Answer(int(answer["headers"]["status"]), text)

    def ask(self, request: Request, headers: dict[str, Any]) -> Answer:
        """Send a request as a frame."""
        return self.send(request.name, {"Client-ID": CLIENT} | headers, request.frame)

    def close(self) -> None:
        """End the connection."""
        self._open.close()
