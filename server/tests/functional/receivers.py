"""Webhook receivers of every temper, in a thread of their own."""

import asyncio
import contextlib
import json
import threading
import time


class Receivers:
    """HTTP servers on loopback, one port each.

    A temper says how a server behaves: ``good`` answers 204, ``error`` answers
    500, ``silent`` never answers, ``broken`` closes in the middle of its answer.
    What :attr:`answers` holds for a port is answered first.
    """

    def __init__(self):
        self.received = {}
        self.requests = {}
        self.answers = {}
        self._loop = asyncio.new_event_loop()
        self._servers = {}
        self._served = {}
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def open(self, temper="good", port=0):
        """Start a server; return its port."""
        return self._do(self._open(temper, port))

    def shut(self, port):
        """Stop a server as a crash would."""
        self._do(self._shut(port))

    def close(self):
        """Stop all."""
        for port in list(self._servers):
            self.shut(port)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self, temper, port):
        async def serve(reader, writer):
            task = asyncio.current_task()
            self._served[task] = writer.transport
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    while await self._answer(temper, reader, writer):
                        pass
            except asyncio.CancelledError:
                pass  # the end of the test
            finally:
                writer.transport.abort()
                del self._served[task]

        server = await asyncio.start_server(serve, "127.0.0.1", port)
        port = server.sockets[0].getsockname()[1]
        self._servers[port] = server
        self.received.setdefault(port, [])
        self.requests.setdefault(port, [])
        return port

    async def _shut(self, port):
        self._servers.pop(port).close()
        if not self._servers:
            await self._end()

    async def _end(self):
        await self._turns()  # what was accepted last begins to be served
        tasks = list(self._served)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._turns()

    @staticmethod
    async def _turns():
        """Let the loop do what was put off: accepting alone takes several turns."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def _answer(self, temper, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        body = await reader.readexactly(length)
        port = writer.get_extra_info("sockname")[1]
        headers = dict(
            line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line
        )
        self.requests[port].append((headers, body))
        with contextlib.suppress(ValueError, KeyError):
            self.received[port].append((time.time(), json.loads(body)["body"]))
        if temper == "silent":
            await asyncio.Event().wait()
        if temper == "broken":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            await writer.drain()
            return False
        status = b"500 No" if temper == "error" else b"204 Yes"
        if self.answers.get(port):
            status = self.answers[port].pop(0)
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        return True
