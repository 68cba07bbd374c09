"""The code of the guides to WebSocket and asyncio runs as it is written there."""

from __future__ import annotations

import asyncio
import re
import textwrap
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.queues.client import Client
from zaqarclient.queues.v2.aio import AsyncClient

USER = Path(__file__).parents[3] / "doc" / "source" / "user"


@pytest.fixture
def conf() -> dict[str, Any]:
    """A project that no other test uses."""
    options = {"os_project_id": uuid.uuid4().hex}
    return {"auth_opts": {"backend": "noauth", "options": options}}


class Stop(Exception):
    """Ends the endless loop of a worker."""


def block(guide: str, words: str) -> str:
    """Return the one piece of code of a guide that has these words."""
    directive = r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)"
    text = (USER / f"{guide}.rst").read_text()
    found = [
        textwrap.dedent(code) for code in re.findall(directive, text, re.MULTILINE)
    ]
    (code,) = [code for code in found if words in code]
    return code


def run(code: str, names: dict[str, Any], server: Any) -> dict[str, Any]:
    code = code.replace("ws://127.0.0.1:9000", server.websocket_url)
    code = code.replace("http://127.0.0.1:8888", server.url)
    # A project that no other test uses.
    code = code.replace('"demo"', repr(uuid.uuid4().hex))
    exec(code, names)  # noqa: S102 - the guide's own code
    return names


def handler(seen: list[Any], last: Any) -> Any:
    def handle(body: Any) -> None:
        seen.append(body)
        if body == last:
            raise Stop

    return handle


def test_the_first_lines_over_websocket_post_and_read(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run(block("sdk-websocket", "with zq.Client"), {}, server)
    assert "'tea'" in capsys.readouterr().out


def test_a_loop_over_a_listener_prints_what_is_posted(
    server: Any, conf: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code = block("sdk-websocket", 'zaqar.listen("orders", "returns"')
    code = code.replace("timeout=60", "timeout=2")
    with Client(server.websocket_url, conf=conf) as zaqar:

        class Posting:
            """The client, that posts once it listens."""

            def listen(self, *names: str, **how: Any) -> Any:
                listener = zaqar.listen(*names, **how)
                zaqar.queue("returns").post({"body": "cup"})
                return listener

        run(code, {"zaqar": Posting()}, server)
    assert capsys.readouterr().out == "returns cup\n"


def test_the_worker_that_waits_for_a_bell_loses_nothing(
    server: Any, conf: dict[str, Any]
) -> None:
    seen: list[Any] = []
    with (
        Client(server.websocket_url, conf=conf) as zaqar,
        Client(server.url, conf=conf) as poster,
    ):
        queue = zaqar.queue("bells")
        queue.post({"body": 0})
        names = run(block("sdk-websocket", "def work"), {}, server)
        ended = threading.Event()

        def work() -> None:
            with pytest.raises(Stop):
                names["work"](queue, handler(seen, "last"))
            ended.set()

        worker = threading.Thread(target=work)
        worker.start()
        poster.queue("bells").post([{"body": 1}, {"body": "last"}])
        assert ended.wait(20)
        worker.join()
        queue.delete()
    assert seen == [0, 1, "last"]


def test_frames_of_ones_own_are_sent_and_received(
    server: Any, conf: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run(block("sdk-websocket", "WebsocketTransport"), {"conf": conf}, server)
    assert capsys.readouterr().out == "go\n"


def test_the_first_lines_on_asyncio_post_and_read(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run(block("sdk-asyncio", "asyncio.run"), {}, server)
    assert capsys.readouterr().out.split() == [str(number) for number in range(30)]


def test_the_worker_on_asyncio_deletes_what_it_handled(
    server: Any, conf: dict[str, Any]
) -> None:
    seen: list[Any] = []
    note = handler(seen, "last")

    async def handle(body: Any) -> None:
        note(body)

    async def main() -> None:
        names = run(block("sdk-asyncio", "def work"), {"asyncio": asyncio}, server)
        async with AsyncClient(server.websocket_url, conf=conf) as zaqar:
            queue = zaqar.queue("workers")
            await queue.post([{"body": 1}, {"body": 2}, {"body": "last"}])
            with pytest.raises(Stop):
                await names["work"](queue, handle)
            assert (await queue.stats())["messages"]["total"] == 1
            await queue.delete()

    asyncio.run(main())
    assert seen == [1, 2, "last"]


def test_listening_on_asyncio_prints_what_is_posted(
    server: Any, conf: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code = block("sdk-asyncio", "def hear").replace("timeout=60", "timeout=2")

    async def main() -> None:
        names = run(code, {}, server)
        async with AsyncClient(server.websocket_url, conf=conf) as zaqar:
            hearing = asyncio.create_task(names["hear"](zaqar))
            while not [s async for s in zaqar.subscriptions("orders")]:
                assert not hearing.done()
            await zaqar.queue("orders").post({"body": "milk"})
            await hearing

    asyncio.run(main())
    assert capsys.readouterr().out == "orders milk\n"
