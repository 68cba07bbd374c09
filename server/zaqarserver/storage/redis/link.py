"""Runs scripts and commands where they belong, until it is sure what became of them.

What a server refused, or never got, is tried again for a while: a failover, a slot
that moves, a script that it does not know. What may have been executed is sent again
as well, since that makes no difference: scripts either change nothing the second time,
or recognize the name of the request (:mod:`.scripts`). When
the time is over the caller is told which it is: certainly not executed, or unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, NoReturn

import hiredis

from zaqarserver.common import deadline
from zaqarserver.common.tasks import doubling
from zaqarserver.errors import OutcomeUnknown, Unavailable
from zaqarserver.storage.redis.asked import Name
from zaqarserver.storage.redis.keys import slot_of
from zaqarserver.storage.redis.location import Address, Kind, Location
from zaqarserver.storage.redis.nodes import TOPOLOGIES, Topology
from zaqarserver.storage.redis.scripts import SCRIPTS, Script
from zaqarserver.storage.redis.wire import Unanswered, Unsent, Wire, Word, pack

LOG = logging.getLogger(__name__)

#: Errors that pass by themselves, with nothing done.
_PASSING = frozenset(
    {"LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY"}
)
#: Errors that somebody has to do something about; retrying at once does not help.
_LASTING = {
    "OOM": "is out of memory",
    "MISCONF": "cannot write to its disk",
    "NOREPLICAS": "has too few replicas",
}
_PAUSES = (0.02, 0.5)  # seconds between attempts
_SCANNED = 1_000  # names of keys looked at in one step
_DETOURS = 5  # redirections, or scripts loaded, in a row without a pause
EACH_SECONDS = 2.0  # that a server gets where all are asked
_TROUBLE_SECONDS = 5  # after which clients should try again if memory or disk are full

#: Redis 6 wraps what a command in a script met; none of these errors comes after a
#: change, so the script has done nothing.
_IN_SCRIPT = re.compile(r"^ERR Error running script .*: -(?=[A-Z]+ )(.*)$")

_ASKING = pack("ASKING")


class _Refused(Exception):
    """Not executed; to be sent again, to a server that was named or after a pause."""

    def __init__(self, why: str, *, at_once: bool, ask: Address | None = None) -> None:
        super().__init__(why)
        self.at_once = at_once
        self.ask = ask


class _Request:
    """A command on its way."""

    __slots__ = ("ask", "name", "packed", "script", "sent", "slot", "words")

    def __init__(
        self,
        words: tuple[Word, ...],
        slot: int,
        script: Script,
        name: Name | None = None,
    ) -> None:
        self.words = words
        self.slot = slot
        self.script = script
        self.name = name
        self.ask: Address | None = None
        self.sent = False
        self.packed = (
            pack(*words) if name is None else pack(*words, name.word(again=False))
        )

    def repeat(self) -> None:
        """Say from now on that it may have been executed before."""
        if self.name is not None:
            self.packed = pack(*self.words, self.name.word(again=True))


class Link:
    """The store's servers as the driver sees them.

    Args:
        location: The settings.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._sharded = location.kind is Kind.CLUSTER
        self._open: Topology | None = None

    def open(self) -> None:
        """Make it usable; connections are made when they are needed."""
        self._open = TOPOLOGIES[self._location.kind](self._location)

    def close(self) -> None:
        """End all connections; safe to repeat."""
        topology, self._open = self._open, None
        if topology is not None:
            topology.close()

    @property
    def is_open(self) -> bool:
        """Whether it is open."""
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

    # -- asking -------------------------------------------------------------

    async def run(
        self,
        script: str,
        keys: tuple[str, ...],
        *args: Word,
        name: Name | None = None,
    ) -> Any:
        """Run a script and return its answer.

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
        if name is None:
            words = ("EVALSHA", found.sha, len(keys), *keys, *args)
            return await self._send(_Request(words, slot, found))
        words = ("EVALSHA", found.sha, len(keys) + 1, *keys, name.key, *args)
        return await self._send(_Request(words, slot, found, name))

    async def do(self, *command: Word, lasting: bool = False) -> Any:
        """Run a command whose second word is its key; it is sent again if need be.

        Raises:
            Unavailable: It was not executed.
            OutcomeUnknown: It may have been executed, or not.
        """
        script = _CHANGE if lasting else _QUESTION
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
            except Unavailable as lasting:
                if unknown:
                    raise OutcomeUnknown(str(lasting)) from lasting
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
        wire = await self._wire_for(request)
        while wire.silent:
            # What it is not sent it certainly does not execute. Who has what may
            # have changed when it speaks again.
            await wire.sound()
            wire = await self._wire_for(request)
        if request.ask is not None:
            wire.call(_ASKING).add_done_callback(_heed)
        request.sent = True
        reply = await wire.call(request.packed, lasting=request.script.confirmed)
        if isinstance(reply, hiredis.ReplyError):
            await self._refused(reply, request, wire)
        return reply

    async def _wire_for(self, request: _Request) -> Wire:
        lasting = request.script.confirmed
        if request.ask is not None:
            return await self.topology.wire_to(request.ask, lasting=lasting)
        return await self.topology.wire(request.slot, lasting=lasting)

    async def _refused(
        self, reply: hiredis.ReplyError, request: _Request, wire: Wire
    ) -> NoReturn:
        text = str(reply)
        in_script = _IN_SCRIPT.search(text)
        word, _, rest = (in_script[1] if in_script else text).partition(" ")
        if word == "NOSCRIPT":
            await wire.ask("SCRIPT", "LOAD", request.script.text)
            raise _Refused(text, at_once=True)
        if word in {"MOVED", "ASK"}:
            address = _address(rest)
            if word == "ASK":
                raise _Refused(text, at_once=True, ask=address)
            self.topology.moved(request.slot, address)
            raise _Refused(text, at_once=True)
        if word in _PASSING:
            if word == "READONLY":
                wire.close()
            self.topology.doubt()
            raise _Refused(text, at_once=False)
        if word in _LASTING:
            raise Unavailable(
                f"the store {_LASTING[word]}: {text}", retry_after=_TROUBLE_SECONDS
            )
        LOG.error("the store refused a request: %s", text)
        raise Unavailable(f"the store refused a request: {text}")

    # -- all servers --------------------------------------------------------

    async def check(self) -> None:
        """Find out whether what is known of the servers is still true.

        Raises:
            Unavailable: They cannot be asked.
        """
        try:
            await self.topology.check()
        except (Unsent, Unanswered) as error:
            raise _failure(error) from error

    async def load(self) -> None:
        """Make the scripts known to all servers that can be reached, in one go.

        Those that a server does not get now it gets when it is asked to run them.
        """

        async def load(wire: Wire) -> list[Any]:
            loading = (wire.ask("SCRIPT", "LOAD", one.text) for one in SCRIPTS.values())
            return await asyncio.gather(*loading)

        await self.ask_each(await self._masters(), load)

    async def _masters(self) -> list[Address]:
        try:
            return await self.topology.masters()
        except (Unsent, Unanswered) as error:
            raise _failure(error) from error

    async def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """Walk over the keys of all servers that match, some at a time.

        Raises:
            Unavailable: One cannot be reached.
        """
        try:
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
        except (Unsent, Unanswered) as error:
            raise _failure(error) from error

    async def _question(self, address: Address, words: tuple[Word, ...]) -> Any:
        """Ask a server; once more if the connection breaks."""
        with contextlib.suppress(Unanswered):
            return await (await self.topology.wire_to(address)).ask(*words)
        return await (await self.topology.wire_to(address)).ask(*words)

    async def everywhere(
        self, ask: Callable[[Wire], Awaitable[Any]]
    ) -> dict[Address, Any]:
        """Ask all servers that take changes; those that do not answer are left out.

        Raises:
            Unavailable: None answers.
        """
        found = await self.ask_each(await self._masters(), ask)
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
        ask: Callable[[Wire], Awaitable[Any]],
        seconds: float = EACH_SECONDS,
    ) -> dict[Address, Any]:
        """Ask servers at once; return what each answers, or why it does not."""

        async def reach(address: Address) -> Any:
            try:
                async with asyncio.timeout(seconds):
                    return await ask(await self.topology.wire_to(address))
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
    """Return what a request fails with that is not tried again."""
    kind = OutcomeUnknown if unknown else Unavailable
    return kind(f"the store cannot be used: {error}")


def _address(rest: str) -> Address:
    """Read the address of ``MOVED slot host:port``."""
    host, _, port = rest.split(" ")[1].rpartition(":")
    return Address(host.strip("[]"), int(port))


def _heed(asked: asyncio.Future[Any]) -> None:
    """Leave it to the request behind to fail."""
    if not asked.cancelled():
        asked.exception()
