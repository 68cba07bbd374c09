"""Faults: processes killed and stopped, connections cut.

The program only kills processes that it started itself; a process that runs already
can only be stopped for a while. A partition is made by a proxy between two parts of
the deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shlex
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

from zaqarserver.torture.history import Fault

_STOP_SECONDS = 3.0
_CUT_SECONDS = 3.0
_LOST_SECONDS = 0.3
_DOWN_SECONDS = 0.2
_CHUNK = 65536


class FaultError(Exception):
    """A fault cannot be injected; the text says why."""


class Process:
    """A process of the deployment, started and killed by the program.

    Args:
        name: Its name in faults.
        command: Its command line.
    """

    def __init__(self, name: str, command: str) -> None:
        self.name = name
        self._command = shlex.split(command)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it.

        Raises:
            FaultError: The command cannot be run.
        """
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr
            )
        except OSError as error:
            raise FaultError(f"{self.name}: {error}") from error

    @property
    def status(self) -> int | None:
        """Its exit status if it has ended, else ``None``."""
        return None if self._process is None else self._process.returncode

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill it, like a crash, and start it again a moment later."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()
        await asyncio.sleep(_DOWN_SECONDS)
        await self.start()

    async def freeze(self) -> None:
        """Stop it for some seconds: other processes must not wait for it forever."""
        self.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(_STOP_SECONDS)
        finally:
            self.signal(signal.SIGCONT)

    async def end(self) -> None:
        """Stop it for good."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self._process is None:
            return
        try:
            await asyncio.wait_for(self._process.wait(), 20)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._process.wait()


class Frozen:
    """A process that runs already, known by its id.

    Args:
        name: Its name in faults.
        pid: Its id.
    """

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self._pid = pid

    def _signal(self, number: int) -> None:
        try:
            os.kill(self._pid, number)
        except OSError as error:
            raise FaultError(f"{self.name}: process {self._pid}: {error}") from error

    async def start(self) -> None:
        """Check that it can be stopped.

        Raises:
            FaultError: The process does not exist, or belongs to another user.
        """
        self._signal(0)

    async def freeze(self, seconds: float = _STOP_SECONDS) -> None:
        """Stop it for some seconds: other processes must not wait for it forever.

        Raises:
            FaultError: It has ended.
        """
        self._signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal(signal.SIGCONT)

    async def end(self) -> None:
        """Leave it running."""


class Proxy:
    """Forwards connections to a part of the deployment, until it cuts them.

    Args:
        name: Its name in faults.
        port: The loopback port that it listens on.
        target: Host and port of the part.
    """

    def __init__(self, name: str, port: int, target: tuple[str, int]) -> None:
        self.name = name
        self._port = port
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._losing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            FaultError: The port is in use.
        """
        try:
            self._server = await asyncio.start_server(
                self._carry, "127.0.0.1", self._port
            )
        except OSError as error:
            raise FaultError(f"{self.name}: {error}") from error

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self._open.wait()
        try:
            other_reader, other = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, other}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, other))
                group.create_task(self._copy(other_reader, writer, answers=True))
        finally:
            self._writers -= {writer, other}
            writer.close()
            other.close()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        answers: bool = False,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                # During a partition data is held back, without any error.
                await self._open.wait()
                if answers and self._losing:
                    continue
                writer.write(data)
                await writer.drain()
        writer.close()

    async def partition(self) -> None:
        """Forward nothing for some seconds, then drop the connections."""
        self._open.clear()
        try:
            await asyncio.sleep(_CUT_SECONDS)
        finally:
            self._drop()
            self._open.set()

    async def lose_answers(self) -> None:
        """Forward requests and discard answers for a moment, then drop connections."""
        self._losing = True
        try:
            await asyncio.sleep(_LOST_SECONDS)
        finally:
            self._drop()
            self._losing = False

    def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def end(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._drop()
            await self._server.wait_closed()


Action = Callable[[], Awaitable[None]]


class Faults:
    """Injects faults, one at a time, at random times.

    Args:
        actions: The possible faults, each with its description.
        every: Seconds between two faults, on average.
        seen: Called with each fault right before it is injected.
    """

    def __init__(
        self,
        actions: Sequence[tuple[str, Action]],
        every: float,
        seen: Callable[[Fault], None],
    ) -> None:
        self._actions = actions
        self._every = every
        self._seen = seen
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Inject faults until :meth:`end`; return after the last one is over."""
        while self._actions and not await self._wait():
            what, action = random.choice(self._actions)  # noqa: S311 - no secret
            self._seen(Fault(what, time.monotonic()))
            await action()

    async def _wait(self) -> bool:
        seconds = self._every * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
        return self._over.is_set()

    def end(self) -> None:
        """Stop injecting faults."""
        self._over.set()
