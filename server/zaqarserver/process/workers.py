"""Several server processes on the same sockets: ``zaqarserver --workers N``.

The supervisor binds the sockets and starts the workers, each a new ``zaqarserver``
process that inherits them. A worker that ends is started again. SIGHUP replaces the
workers one by one, with new code and settings: a worker stops only when its successor
serves, so that no connection is refused. SIGTERM drains all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from zaqarserver.common.tasks import doubling
from zaqarserver.errors import StartupError
from zaqarserver.process import listening

LOG = logging.getLogger(__name__)

_START_SECONDS = 60.0
_MARGIN = 5.0  # seconds in addition to the time that requests have to finish
_CALM_SECONDS = 10.0  # a worker that ran for so long did not fail at its start
_WAITS = (0.5, 30.0)  # seconds before a worker that fails repeatedly is restarted


class _Worker:
    """One worker process.

    Attributes:
        process: The process.
        ready: Set once it serves.
        started: When it was started, on the monotonic clock.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.ready = asyncio.Event()
        self.started = time.monotonic()

    async def wait_until_ready(self) -> bool:
        """Wait until it serves; False if it ended or takes too long."""
        ready = asyncio.create_task(self.ready.wait())
        ended = asyncio.create_task(self.process.wait())
        try:
            await asyncio.wait(
                [ready, ended],
                timeout=_START_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            return self.ready.is_set() and self.process.returncode is None
        finally:
            ready.cancel()
            ended.cancel()

    def signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def stop(self, seconds: float) -> None:
        """Drain the worker; kill it if that takes too long."""
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            LOG.warning("worker %d does not end; killing it", self.process.pid)
            self.signal(signal.SIGKILL)
            await self.process.wait()


class Supervisor:
    """Keeps a number of workers running.

    Args:
        arguments: The command line of the workers.
        count: The number of workers.
        listeners: Bound sockets by group, ``server`` and ``websocket``.
        drain: Seconds that a worker's requests have to finish.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        count: int,
        listeners: Mapping[str, socket.socket],
        drain: float,
    ) -> None:
        self._arguments = arguments
        self._listeners = listeners
        self._drain = drain + _MARGIN
        self._workers: list[_Worker | None] = [None] * count
        self._by_pid: dict[int, _Worker] = {}
        self._stopping = asyncio.Event()
        self._turn = asyncio.Lock()  # one roll at a time
        self._rolls: set[asyncio.Task[None]] = set()

    # -- starting one ---------------------------------------------------------

    async def _start(self, slot: int) -> _Worker:
        numbers = {name: one.fileno() for name, one in self._listeners.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "zaqarserver",
            *self._arguments,
            "--workers=1",
            env=os.environ
            | listening.handed_over(numbers, self._lifeline, slot)
            | {"NOTIFY_SOCKET": self._address},
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[self._lifeline, *numbers.values()],
        )
        worker = _Worker(process)
        self._by_pid[process.pid] = worker
        return worker

    @contextlib.asynccontextmanager
    async def _notifications(self) -> AsyncIterator[None]:
        """Receive readiness from workers, and hold their lifeline."""
        loop = asyncio.get_running_loop()
        self._lifeline, held = os.pipe()
        os.set_inheritable(held, False)
        with (
            tempfile.TemporaryDirectory(prefix="zaqarserver-") as directory,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
        ):
            self._address = str(Path(directory) / "notify")
            channel.bind(self._address)
            channel.setblocking(False)
            loop.add_reader(channel, self._receive, channel)
            try:
                yield
            finally:
                loop.remove_reader(channel)
                os.close(self._lifeline)
                os.close(held)

    def _receive(self, channel: socket.socket) -> None:
        lines = channel.recv(4096).decode(errors="replace").splitlines()
        state = dict(line.split("=", 1) for line in lines if "=" in line)
        worker = self._by_pid.get(int(state.get("MAINPID", "0")))
        if worker is not None and state.get("READY") == "1":
            worker.ready.set()

    # -- running --------------------------------------------------------------

    async def run(self) -> None:
        """Run the workers until a signal ends them.

        Raises:
            StartupError: A worker could not start; its error is on stderr.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._roll_soon)
        async with self._notifications():
            try:
                await self._start_all()
                LOG.info("%d workers serve", len(self._workers))
                listening.notify(os.environ, "READY=1")
                keepers = [
                    asyncio.create_task(self._keep(slot))
                    for slot in range(len(self._workers))
                ]
                await self._stopping.wait()
                LOG.info("draining %d workers", len(self._workers))
                listening.notify(os.environ, "STOPPING=1")
                self._stop_listening()
                for task in (*keepers, *self._rolls):
                    task.cancel()
                await asyncio.gather(*keepers, *self._rolls, return_exceptions=True)
            finally:
                running = list(self._by_pid.values())
                await asyncio.gather(*(one.stop(self._drain) for one in running))

    def _stop_listening(self) -> None:
        """Close the listeners; the workers accept the connections in their queues."""
        for listener in self._listeners.values():
            if not isinstance(listener, listening.Inherited):
                listening.refuse_new_peers(listener)
            listener.close()

    async def _start_all(self) -> None:
        for slot in range(len(self._workers)):
            # One after the other: the first one may have to prepare the store.
            worker = await self._start(slot)
            if not await worker.wait_until_ready():
                raise StartupError("a worker could not start; see above")
            self._workers[slot] = worker

    async def _keep(self, slot: int) -> None:
        """Restart the worker of a slot whenever it ends."""
        waits = doubling(*_WAITS)
        while True:
            worker = self._workers[slot]
            if worker is None:  # only before the first start
                return
            status = await worker.process.wait()
            self._by_pid.pop(worker.process.pid, None)
            if worker is not self._workers[slot]:
                continue  # it was replaced
            LOG.error("worker %d ended with %d", worker.process.pid, status)
            if time.monotonic() - worker.started > _CALM_SECONDS:
                waits = doubling(*_WAITS)
            await asyncio.sleep(next(waits))
            self._workers[slot] = await self._start(slot)

    def _roll_soon(self) -> None:
        task = asyncio.create_task(self._roll())
        self._rolls.add(task)
        task.add_done_callback(self._rolls.discard)

    async def _roll(self) -> None:
        """Replace the workers one by one."""
        async with self._turn:
            LOG.info("replacing %d workers", len(self._workers))
            for slot, old in enumerate(self._workers):
                new = await self._start(slot)
                if not await new.wait_until_ready():
                    LOG.error("the new worker does not serve; the old ones stay")
                    await new.stop(self._drain)
                    self._by_pid.pop(new.process.pid, None)
                    return
                self._workers[slot] = new
                if old is not None:
                    await old.stop(self._drain)
            LOG.info("replaced all workers")
