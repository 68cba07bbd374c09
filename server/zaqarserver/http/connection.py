"""One HTTP/1.1 connection: a state machine with a time limit for each state.

The states are listed in the contributor documentation (``connections``).
A connection reads one request, exactly to its last byte, and the next one only
after the peer has taken the answer. This keeps the order, and bounds what a peer can
make the server keep to one request and one answer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import struct

from zaqarserver.common.budget import Account
from zaqarserver.common.peers import has_unread, is_reset
from zaqarserver.http.answers import BUSY, Answer, Refusal
from zaqarserver.http.parsing import RequestParser, body_length
from zaqarserver.http.phases import Phase
from zaqarserver.http.requests import Head, HttpRequest, Undo
from zaqarserver.http.service import Service

LOG = logging.getLogger(__name__)

#: Seconds that an idle connection has for one more request while the server drains.
LINGER = 0.5
#: Seconds that a peer has to close after the last answer.
CLOSE_SECONDS = 2.0
#: Connections beyond the limit that are answered 503; more are reset.
MAX_REFUSED = 256
_SMALL = 16384  # bytes of a body that is copied, to be sent with its head
_NO_LINGER = struct.pack("ii", 1, 0)
_PROOF_SECONDS = 0.1
_MAX_STEPS = 500  # of parsing before other connections have their turn


class HttpConnection(asyncio.Protocol):
    """One connection.

    Attributes:
        phase: Its state.
        deadline: When the state times out, in the time of the loop.
    """

    transport: asyncio.Transport
    _account: Account
    _request: HttpRequest

    def __init__(self, service: Service) -> None:
        self.phase = Phase.FRESH
        self.deadline = math.inf
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._parser = RequestParser(self)
        self._inbox = self._parser.inbox
        self._is_reading = True
        self._is_full = False  # the transport's buffer: the peer does not read
        self._is_half = False  # the peer sends no more, and may still read
        self._is_broken = False  # reset by the peer
        self._kept = self._sent_part = self._body_bytes = 0

    # -- the transport's side ---------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, or refuse a connection beyond the limit."""
        service = self._service
        self.transport = transport
        self._socket = transport.get_extra_info("socket")
        # Full whenever the peer does not take all at once: then the size of the
        # buffer is known, and it has at most one answer.
        transport.set_write_buffer_limits(0)
        self._account = service.budget.account(
            transport.get_write_buffer_size, self._drop
        )
        self._enter(
            Phase.FRESH, LINGER if service.draining else service.request_timeout
        )
        if len(service.connections) < service.max_connections:
            service.connections.add(self)
            return
        service.refused.add(self)
        if len(service.refused) > MAX_REFUSED:
            transport.abort()
        else:
            self.refuse(Refusal(503, "There are too many connections now.", BUSY))

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; after the last answer, drop it."""
        if self.phase is not Phase.CLOSING:
            self._inbox.add(data)
            self._parse()

    def eof_received(self) -> bool:
        """Record that the peer sends no more; it may still wait for an answer.

        Returns:
            True if the connection stays open.
        """
        self._is_half = True
        if self.phase is Phase.BODY:
            self._request.cut()
            return not self._request.is_answered
        if self.phase is not Phase.ANSWER:
            return False
        # It may read the answer, or be closed: what it waits for is not taken.
        self._request.leave()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Release what the connection keeps."""
        waits = self.phase is Phase.ANSWER or (
            self.phase is Phase.BODY and not self._request.is_answered
        )
        self._enter(Phase.GONE)
        self._is_broken = self._is_broken or exc is not None
        if waits:
            LOG.debug("a peer disconnected before its answer: %s", exc)
            self._request.cut()
            self._request.leave()
        self._leave()

    def _leave(self) -> None:
        self._service.connections.discard(self)
        self._service.refused.discard(self)
        self._account.close()
        self._parser.close()

    def _drop(self) -> None:
        """Reset the connection, so that the system drops unsent bytes too."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def pause_writing(self) -> None:
        """Stop reading from a peer that does not read."""
        self._is_full = True
        self._account.measure()

    def resume_writing(self) -> None:
        """Continue with a peer that has read all."""
        self._is_full = False
        self._sent_part = 0
        self._account.measure()
        self._parse()

    # -- time -------------------------------------------------------------------

    def _enter(self, phase: Phase, seconds: float = math.inf) -> None:
        self.phase = phase
        self.deadline = self._loop.time() + seconds

    def expire(self) -> bool:
        """End a state that timed out.

        Returns:
            True while the request of the peer is incomplete.
        """
        phase = self.phase
        if phase in (Phase.HEAD, Phase.BODY):
            limit = self._service.request_timeout
            self.refuse(
                Refusal(408, f"A request has {limit} seconds to arrive as a whole.")
            )
        elif phase is not Phase.CLOSING:
            self._enter(Phase.CLOSING, CLOSE_SECONDS)
            self.transport.close()
        elif not self.transport.get_write_buffer_size():
            # While bytes wait for the peer, the time limit of the budget applies.
            self.transport.abort()
        return phase in (Phase.FRESH, Phase.HEAD, Phase.BODY)

    def shutdown(self) -> None:
        """Give an idle peer half a second for one more request.

        A peer that is just sending one would see the connection break. It gets an
        answer with ``Connection: close``, like all requests under way.
        """
        if self.phase in (Phase.FRESH, Phase.IDLE):
            self.deadline = min(self.deadline, self._loop.time() + LINGER)

    # -- reading ----------------------------------------------------------------

    def _parse(self) -> None:
        inbox, steps = self._inbox, 0
        while inbox.size and self._may_read():
            steps += 1
            if steps > _MAX_STEPS:
                self._loop.call_soon(self._parse)
                break
            try:
                self._parser.step()
            except Refusal as refusal:
                self.refuse(refusal)
        if self.phase is not Phase.GONE:
            self._read(on=not inbox.size)
            self._keep()

    def _may_read(self) -> bool:
        phase = self.phase
        if phase is Phase.BODY:
            return self._request.takes_more
        if self._is_full or phase not in (Phase.IDLE, Phase.HEAD, Phase.FRESH):
            return False
        if phase is not Phase.HEAD:
            # Also for empty lines before a head, which may never end.
            self._enter(Phase.HEAD, self._service.request_timeout)
        return True

    def _read(self, *, on: bool) -> None:
        if on is not self._is_reading and not self.transport.is_closing():
            self._is_reading = on
            if on:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def _keep(self) -> None:
        """Count the bytes of requests and answers that the connection keeps."""
        kept = self._inbox.size + self._sent_part
        if self.phase in (Phase.BODY, Phase.ANSWER):
            kept += self._body_bytes
        if kept != self._kept:
            self._account.keep(kept - self._kept)
            self._kept = kept

    def read_body(self) -> None:
        """Read the body that the edge waits for; ask the peer if it holds it back."""
        if self._request.expects and self.phase is Phase.BODY:
            self._request.expects = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._inbox.size:
            self._parse()

    # -- the parser's side ------------------------------------------------------

    def on_head(self, head: Head, *, keep_alive: bool) -> int:
        """Begin a request; return the bytes of its body, 0 if they are not known.

        Raises:
            Refusal: Its body cannot be read.
        """
        service = self._service
        request = HttpRequest(self, head, keep_alive=keep_alive)
        length = body_length(head, request.headers)
        if length and service.budget.is_full:
            raise Refusal(503, "The server is overloaded.", BUSY)
        self._request, self._body_bytes = request, 0
        request.has_left = self._is_half
        self.phase = Phase.BODY  # within the time of the head
        request.task = self._loop.create_task(self._serve(request))
        service.tasks.add(request.task)
        return max(length, 0)

    def on_body(self, part: bytes) -> None:
        """Add a part of the body, or drop it after the answer."""
        if not self._request.is_answered:
            self._body_bytes += len(part)
            self._request.feed(part)

    def on_end(self) -> None:
        """Wait for the answer, unless it was sent before the body ended."""
        self.phase, self.deadline = Phase.ANSWER, math.inf
        self._request.complete()
        if self._request.is_answered:
            self._next()

    def on_websocket(self, head: Head, rest: bytes) -> None:
        """Hand the connection to the WebSocket protocol after a valid handshake.

        Raises:
            Refusal: The server is stopping.
        """
        if self._service.draining:
            raise Refusal(503, "The server is stopping.", BUSY)
        protocol = self._service.websocket()
        self._leave()
        self._enter(Phase.GONE)
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        protocol.data_received(head.encode() + rest)

    # -- answers ----------------------------------------------------------------

    @property
    def is_gone(self) -> bool:
        """True if the peer is known not to read the answer."""
        return (
            self.phase is Phase.GONE or self.transport.is_closing() or self._is_reset()
        )

    def _is_reset(self) -> bool:
        if not self._is_broken and is_reset(self._socket):
            self._is_broken = True
            self.transport.abort()
        return self._is_broken

    async def _serve(self, request: HttpRequest) -> None:
        """Ask the edge for the answer to a request, and send it."""
        try:
            self._answer(request, await self._service.edge.respond(request))
        except Exception:
            LOG.exception("a request could not be answered")
            if not request.is_answered:
                self.refuse(Refusal(500, "Internal server error."))
        finally:
            request.close()
            # Not in a callback of the task, which would cost another turn of the loop.
            self._service.tasks.discard(request.task)

    def _answer(self, request: HttpRequest, answer: Answer) -> None:
        """Send the answer, and continue with the next request."""
        undo = request.undo
        is_gone = self.phase is Phase.GONE or (undo is not None and self.is_gone)
        if request.is_answered or is_gone:
            request.is_answered = True
            self._take_back(undo)
            return
        # A body that is held back may follow or not: only the peer knows.
        last = (
            not request.keep_alive
            or request.expects
            or self._service.draining
            or (self._is_half and not self._inbox.size)
        )
        head, body = answer.head(last=last), answer.body
        request.is_answered = True
        if len(body) < _SMALL:
            self.transport.write(head + body)
        else:
            # The copy is trimmed to its size. It is counted here, because the transport
            # keeps all of it until its last byte is sent, but reports what is unsent.
            self.transport.writelines((head, bytes(memoryview(body))))
            if self._is_full:
                self._sent_part = len(body) - self.transport.get_write_buffer_size()
                self._keep()
        if undo is not None:
            self._prove(undo)
        if last:
            self._close(at_once=self._is_half and undo is None)
        elif self.phase is Phase.ANSWER:
            self._next()
            self._parse() if self._inbox.size else self._keep()

    def _next(self) -> None:
        service = self._service
        self._enter(Phase.IDLE, LINGER if service.draining else service.keep_alive)

    def _prove(self, undo: Undo) -> None:
        """Undo the operation if the answer does not reach the peer."""
        if self.phase is Phase.GONE or self._is_reset():
            if self._is_full or self._is_broken:
                self._take_back(undo)
        elif self._is_full or (self._is_half and has_unread(self._socket)):
            self._loop.call_later(_PROOF_SECONDS, self._prove, undo)

    def _take_back(self, undo: Undo | None) -> None:
        if undo is not None:
            LOG.debug("an operation is undone: its peer disconnected")
            self._service.spawn(undo())

    def refuse(self, refusal: Refusal) -> None:
        """Send a refusal instead of an answer, and close."""
        if self.phase in (Phase.GONE, Phase.CLOSING):
            return
        answered = False
        if self.phase in (Phase.BODY, Phase.ANSWER):
            answered = self._request.is_answered
            self._request.is_answered = True
            self._request.cut()
        if not answered:
            page = refusal.answer()
            self.transport.write(page.head(last=True) + page.body)
        self._close(at_once=self._is_half)

    def _close(self, *, at_once: bool) -> None:
        """Send no more, and drop what the peer sends until it closes.

        Closed at once, the connection would be reset by what the peer still sends, and
        the peer would lose the answer.
        """
        owed = self.deadline - self._loop.time() if self.phase is Phase.BODY else 0
        self._enter(Phase.CLOSING, max(CLOSE_SECONDS, owed))
        self._inbox.clear()
        self._read(on=True)
        self._keep()
        if self.transport.is_closing():
            return
        if at_once:
            self.transport.close()
        else:
            self.transport.write_eof()
