"""Sends scripts and commands to the right server until their outcome is known.

A request that a server refused or never got is sent again for a while: the reason may
be a failover, a slot that moves, or a script that the server does not have. A request
that may have been executed is also sent again, which is safe: scripts either change
nothing the second time, or recognize the name of the request (:mod:`.scripts`). At the
end of the time the error distinguishes requests that were certainly not executed from
those with an unknown outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, NoReturn

import hiredis

from zaqarserver.common import deadline
from zaqarserver.common.tasks import doubling
from zaqarserver.errors import OutcomeUnknown, Unavailable
from zaqarserver.storage.redis.connection import (
    RedisConnection,
    Unanswered,
    Unsent,
    Word,
    pack,
)
from zaqarserver.storage.redis.location import Address, Kind, RedisLocation
from zaqarserver.storage.redis.names import RequestName, slot_of
from zaqarserver.storage.redis.scripts import SCRIPTS, Script
from zaqarserver.storage.redis.topology import TOPOLOGIES, Topology

LOG = logging.getLogger(__name__)

#: Errors that mean that nothing was done, and that are temporary.
_PASSING = frozenset(
    {"LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY"}
)
#: Errors that need an operator; sending the request again at once is useless.
_PERSISTENT = {
    "OOM": "is out of memory",
    "MISCONF": "cannot write to its disk",
    "NOREPLICAS": "has too few replicas",
}
_PAUSES = (0.02, 0.5)  # seconds between attempts
_SCANNED = 1_000  # names of keys looked at in one step
_DETOURS = 5  # redirections, or scripts loaded, in a row without a pause
EACH_SECONDS = 2.0  # that a server gets where all are asked
_TROUBLE_SECONDS = 5  # after which clients should try again if memory or disk are full

#: Redis 6 wraps the error of a command in a script; none of these errors comes after a
#: change, so the script has done nothing.
_IN_SCRIPT = re.compile(r"^ERR Error running script .*: -(?=[A-Z]+ )(.*)$")

_ASKING = pack("ASKING")


class _Refused(Exception):
    """The request was not executed: send it again, to the named server or later."""

    def __init__(self, why: str, *, at_once: bool, ask: Address | None = None) -> None:
        super().__init__(why)
        self.at_once = at_once
        self.ask = ask


class _Request:
    """A command under way."""

    __slots__ = ("ask", "name", "packed", "script", "sent", "slot", "words")

    def __init__(
        self,
        words: tuple[Word, ...],
        slot: int,
        script: Script,
        name: RequestName | None = None,
    ) -> None:
        self.words = words
        self.slot = slot
        self.script = script
        self.name = name
        self.ask: Address | None = None
        self.sent = False
        self.packed = (
            pack(*words) if name is None else pack(*words, name.argument(again=False))
        )

    def repeat(self) -> None:
        """Mark the request as one that may have been executed before."""
        if self.name is not None:
            self.packed = pack(*self.words, self.name.argument(again=True))


class RedisClient:
    """The servers of a store.

    Args:
        location: The settings.
    """

    def __init__(self, location: RedisLocation) -> None:
        self._location = location
        self._sharded = location.kind is Kind.CLUSTER
        self._open: Topology | None = None

    def open(self) -> None:
        """Make the client usable; connections are made when they are needed."""
        self._open = TOPOLOGIES[self._location.kind](self._location)

    def close(self) -> None:
        """Close all connections; safe to repeat."""
        topology, self._open = self._open, None
        if topology is not None:
            topology.close()

    @property
    def is_open(self) -> bool:
        """True while it is open."""
        return self._open is not None

    @property
    def topology(self) -> Topology:
        """The servers.

        Raises:
            Unavailable: It is closed.
        """
        if self._open is None:
            raise Unavailable("the store is closed")
        return self._open

    # -- requests -----------------------------------------------------------

    async def run(
        self,
        script: str,
        keys: tuple[str, ...],
        *args: Word,
        name: RequestName | None = None,
    ) -> Any:
        """Run a script and return its reply.

        Args:
            script: The name of the script.
            keys: Its keys, all in one slot.
            args: Its arguments.
            name: The name of the request, for a script that recognizes it.

        Raises:
            Unavailable: It was not executed.
            OutcomeUnknown: It may have been executed, or not.
        """
        found, slot = SCRIPTS[script], self._slot(keys[0])
        if name is not None:
            keys = (*keys, name.key)
        words = ("EVALSHA", found.sha, len(keys), *keys, *args)
        return await self._send(_Request(words, slot, found, name))

    async def do(self, *command: Word, confirmed: bool = False) -> Any:
        """Run a command whose second word is its key; a second run must be harmless.

        Args:
            command: The words.
            confirmed: Reply only when replicas have confirmed the change.

        Raises:
            Unavailable: It was not executed.
            OutcomeUnknown: It may have been executed, or not.
        """
        script = _CHANGE if confirmed else _QUESTION
        return await self._send(_Request(command, self._slot(str(command[1])), script))

    def _slot(self, key: str) -> int:
        return slot_of(key) if self._sharded else 0

    async def _send(self, request: _Request) -> Any:
        script = request.script
        loop = asyncio.get_running_loop()
        until = min(loop.time() + self._location.retry, deadline.ends())
        pauses = doubling(*_PAUSES)
        detours = _DETOURS
        unknown = False
        while True:
            try:
                return await self._attempt(request)
            except Unavailable as persistent:
                if unknown:
                    raise OutcomeUnknown(str(persistent)) from persistent
                raise
            except _Refused as refused:
                error: Exception = refused
                request.ask = refused.ask
                if refused.at_once and detours:
                    detours -= 1
                    continue
            except Unsent as unsent:
                error = unsent
            except Unanswered as unanswered:
                self.topology.doubt()
                error = unanswered
                unknown = unknown or script.confirmed
                request.repeat()
            pause = next(pauses)
            if loop.time() + pause > until:
                raise _failure(error, unknown=unknown) from error
            await asyncio.sleep(pause)

    async def _attempt(self, request: _Request) -> Any:
        request.sent = False
        try:
            async with deadline.timeout():
                return await self._try(request)
        except TimeoutError:
            if request.sent:
                raise Unanswered("no answer in time") from None
            raise Unsent("the server is silent") from None

    async def _try(self, request: _Request) -> Any:
        connection = await self._connection_for(request)
        while connection.silent:
            # What is not sent is certainly not executed. The slot may be at another
            # server when this one replies again.
            await connection.progress()
            connection = await self._connection_for(request)
        if request.ask is not None:
            connection.call(_ASKING).add_done_callback(_ignore)
        request.sent = True
        confirmed = request.script.confirmed
        reply = await connection.call(request.packed, confirmed=confirmed)
        if isinstance(reply, hiredis.ReplyError):
            await self._refused(reply, request, connection)
        return reply

    async def _connection_for(self, request: _Request) -> RedisConnection:
        topology, confirmed = self.topology, request.script.confirmed
        address = request.ask or await topology.address_of(request.slot)
        return await topology.connection(address, confirmed=confirmed)

    async def _refused(
        self, reply: hiredis.ReplyError, request: _Request, connection: RedisConnection
    ) -> NoReturn:
        text = str(reply)
        in_script = _IN_SCRIPT.search(text)
        word, _, rest = (in_script[1] if in_script else text).partition(" ")
        if word == "NOSCRIPT":
            await connection.ask("SCRIPT", "LOAD", request.script.text)
            raise _Refused(text, at_once=True)
        if word in {"MOVED", "ASK"}:
            address = _address(rest)
            if word == "ASK":
                raise _Refused(text, at_once=True, ask=address)
            self.topology.moved(request.slot, address)
            raise _Refused(text, at_once=True)
        if word in _PASSING:
            if word == "READONLY":
                connection.close()
            self.topology.doubt()
            raise _Refused(text, at_once=False)
        if word in _PERSISTENT:
            raise Unavailable(
                f"the store {_PERSISTENT[word]}: {text}", retry_after=_TROUBLE_SECONDS
            )
        LOG.error("the store refused a request: %s", text)
        raise Unavailable(f"the store refused a request: {text}")

    # -- all servers --------------------------------------------------------

    async def check(self) -> None:
        """Check that what is known of the servers is still true.

        Raises:
            Unavailable: None of them answers.
        """
        with _translated():
            await self.topology.check()

    async def load(self) -> None:
        """Load the scripts into all servers that can be reached, in one go.

        A server that does not get a script now gets it when it has to run it.
        """
        texts = [script.text for script in SCRIPTS.values()]

        async def load(connection: RedisConnection) -> Any:
            loading = (connection.ask("SCRIPT", "LOAD", text) for text in texts)
            return await asyncio.gather(*loading)

        with _translated():
            masters = await self.topology.masters()
        await self.ask_each(masters, load)

    async def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """Walk over the keys of all servers that match, some at a time.

        Raises:
            Unavailable: One cannot be reached.
        """
        with _translated():
            for address in await self.topology.masters():
                cursor = b"0"
                while True:
                    words = ("SCAN", cursor, "MATCH", pattern, "COUNT", str(_SCANNED))
                    reply = await self._question(address, words)
                    if isinstance(reply, hiredis.ReplyError):
                        raise Unavailable(f"the store refused a request: {reply}")
                    cursor, keys = reply
                    yield [key.decode() for key in keys]
                    if cursor == b"0":
                        break

    async def _question(self, address: Address, words: tuple[Word, ...]) -> Any:
        """Ask a server; once more if the connection ends."""
        with contextlib.suppress(Unanswered):
            return await (await self.topology.connection(address)).ask(*words)
        return await (await self.topology.connection(address)).ask(*words)

    async def everywhere(
        self, ask: Callable[[RedisConnection], Awaitable[Any]]
    ) -> dict[Address, Any]:
        """Ask all masters; leave out those that do not answer.

        Raises:
            Unavailable: None answers.
        """
        with _translated():
            masters = await self.topology.masters()
        found = await self.ask_each(masters, ask)
        answers = {
            address: answer
            for address, answer in found.items()
            if not isinstance(answer, Exception)
        }
        if not answers:
            raise _failure(next(iter(found.values())))
        return answers

    async def ask_each(
        self,
        servers: Iterable[Address],
        ask: Callable[[RedisConnection], Awaitable[Any]],
        seconds: float = EACH_SECONDS,
    ) -> dict[Address, Any]:
        """Ask servers in parallel; return the answer or the error of each."""

        async def reach(address: Address) -> Any:
            try:
                async with asyncio.timeout(seconds):
                    return await ask(await self.topology.connection(address))
            except (Unsent, Unanswered) as error:
                return error
            except TimeoutError:
                return Unsent(f"{address} does not answer")

        asked = list(servers)
        answers = await asyncio.gather(*map(reach, asked))
        return dict(zip(asked, answers, strict=True))


_QUESTION = Script(confirmed=False)
_CHANGE = Script()


def _failure(error: Exception, *, unknown: bool = False) -> Unavailable:
    """Return the error of a request that is not sent again."""
    kind = OutcomeUnknown if unknown else Unavailable
    return kind(f"the store cannot be used: {error}")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn errors of connections into those of the contract."""
    try:
        yield
    except (Unsent, Unanswered) as error:
        raise _failure(error) from error


def _address(rest: str) -> Address:
    """Read the address of ``MOVED slot host:port``."""
    host, _, port = rest.split(" ")[1].rpartition(":")
    return Address(host.strip("[]"), int(port))


def _ignore(asked: asyncio.Future[Any]) -> None:
    """Ignore the reply to ``ASKING``; an error shows on the next command."""
    if not asked.cancelled():
        asked.exception()
