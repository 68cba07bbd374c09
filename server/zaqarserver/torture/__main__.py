"""The program ``zaqar-torture``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
import msgspec

from zaqarserver import __version__
from zaqarserver.torture.faults import (
    Action,
    FaultError,
    Faults,
    Frozen,
    Process,
    Proxy,
)
from zaqarserver.torture.history import PROMISES, Finding, History
from zaqarserver.torture.load import Clients, Plan, Subscribers

_START_SECONDS = 60.0
_PROGRESS_SECONDS = 5.0
_SHOWN = 20

_DESCRIPTION = """\
Check that a messaging deployment keeps its promises while things break: nothing
accepted is lost, doubled or out of order, nothing deleted comes back, no message has
two live claims, each webhook receives each message.
"""
_EPILOG = """
examples:
  A server that the program runs is killed every three seconds and started again:
    zaqar-torture http://127.0.0.1:8888 --seconds 60 --every 3 \\
        --run server='zaqarserver --config-file zaqar.conf' --kill server

  Two servers that run already, with a partition between them and Redis (they are
  configured with redis://127.0.0.1:7000):
    zaqar-torture http://127.0.0.1:8888 http://127.0.0.1:8889 \\
        --proxy redis=7000:127.0.0.1:6379 --partition redis

  A Redis that runs already is stopped for ten seconds now and then:
    zaqar-torture http://127.0.0.1:8888 --every 15 \\
        --freeze redis=$(pidof redis-server) --freeze-seconds 10

Only processes that the program itself runs are killed; others are stopped at most, and
continue when the run ends. It uses its own queues and deletes them at the end, unless
a promise was broken.

exit status: 0 no promise was broken, 1 one was, 2 the run itself failed.
"""


def _named(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not (name and found and value):
        raise argparse.ArgumentTypeError(f"{text!r}: NAME=VALUE is expected")
    return name, value


def _proxy(text: str) -> Proxy:
    name, value = _named(text)
    try:
        port, host, target = value.split(":")
        return Proxy(name, int(port), (host, int(target)))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: NAME=PORT:HOST:PORT is expected"
        ) from None


def _frozen(text: str) -> Frozen:
    name, found, pid = text.rpartition("=")
    if not pid.isdecimal() or not pid.isascii() or int(pid) < 2 or (found and not name):
        raise argparse.ArgumentTypeError(f"{text!r}: PID or NAME=PID is expected")
    return Frozen(name or pid, int(pid))


def _header(text: str) -> tuple[str, str]:
    name, found, value = text.partition(":")
    if not (name and found):
        raise argparse.ArgumentTypeError(f"{text!r}: 'Name: value' is expected")
    return name.strip(), value.strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zaqar-torture",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add: Callable[..., Any] = parser.add_argument
    add("endpoints", nargs="+", metavar="URL", help="servers of the deployment")
    for option, default, text in (
        ("--seconds", 30.0, "how long to post (30)"),
        ("--producers", 4, "clients that post (4)"),
        ("--consumers", 4, "clients that claim (4)"),
        ("--queues", 4, "queues (4)"),
        ("--batch", 3, "messages a post (3)"),
        ("--rate", 0.0, "posts a second and producer (any)"),
        (
            "--webhooks",
            0,
            "webhooks a queue, on this machine; the last is a slow one (0)",
        ),
    ):
        add(option, type=type(default), default=default, help=text)
    add(
        "--header",
        type=_header,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="sent with each request, such as 'X-Auth-Token: ...'; "
        "X-Project-ID is torture unless given",
    )
    _add_faults(add)
    add(
        "-f", "--format", choices=("text", "json"), default="text", help="of the report"
    )
    add("--version", action="version", version=f"zaqar-torture {__version__}")
    return parser


#: The options that can be repeated: name, type, metavar, help.
_REPEATED = (
    (
        "--run",
        _named,
        "NAME=COMMAND",
        "run a process of the deployment, to break it",
    ),
    (
        "--proxy",
        _proxy,
        "NAME=PORT:HOST:PORT",
        "forward connections from a loopback port to a part of the deployment",
    ),
    ("--kill", str, "NAME", "kill -9 it, and start it again"),
    ("--stop", str, "NAME", "stop it for three seconds (SIGSTOP, SIGCONT)"),
    ("--partition", str, "NAME", "the proxy forwards nothing for three seconds"),
    (
        "--lose-answers",
        str,
        "NAME",
        "the proxy discards answers for a moment",
    ),
    (
        "--freeze",
        _frozen,
        "[NAME=]PID",
        "stop a running process, such as a Redis (SIGSTOP, SIGCONT)",
    ),
)


def _add_faults(add: Callable[..., Any]) -> None:
    add("--every", type=float, default=5.0, help="seconds between faults (5)")
    for option, kind, metavar, text in _REPEATED:
        add(option, type=kind, action="append", default=[], metavar=metavar, help=text)
    add(
        "--freeze-seconds",
        type=float,
        default=3.0,
        help="for how long (3); try some shorter and some longer than a takeover takes",
    )


# -- the deployment -------------------------------------------------------------------


def _actions(
    arguments: argparse.Namespace, processes: Sequence[Process]
) -> list[tuple[str, Action]]:
    """Return the possible faults of the deployment.

    Raises:
        FaultError: A fault names an unknown part.
    """
    by_name: dict[str, Any] = {one.name: one for one in processes}
    proxies: dict[str, Any] = {one.name: one for one in arguments.proxy}
    kinds: tuple[tuple[str, dict[str, Any], Callable[[Any], Action]], ...] = (
        ("kill", by_name, lambda one: one.kill),
        ("stop", by_name, lambda one: one.freeze),
        ("partition", proxies, lambda one: one.partition),
        ("lose-answers", proxies, lambda one: one.lose_answers),
    )
    actions: list[tuple[str, Action]] = []
    for kind, known, choose in kinds:
        for name in getattr(arguments, kind.replace("-", "_")):
            if name not in known:
                option = "--proxy" if known is proxies else "--run"
                raise FaultError(f"--{kind} {name}: there is no {option} {name}=...")
            actions.append((f"{kind} {name}", choose(known[name])))
    actions += [
        (f"freeze {one.name}", functools.partial(one.freeze, arguments.freeze_seconds))
        for one in arguments.freeze
    ]
    return actions


@contextlib.asynccontextmanager
async def _deployment(
    arguments: argparse.Namespace, processes: Sequence[Process]
) -> AsyncIterator[None]:
    parts = [*arguments.proxy, *arguments.freeze, *processes]
    try:
        for part in parts:
            await part.start()
        await _until_served(arguments.endpoints, processes)
        _check_alive(processes)
        yield
    finally:
        for part in reversed(parts):
            await part.end()


async def _until_served(endpoints: Sequence[str], processes: Sequence[Process]) -> None:
    """Wait until each server answers.

    Raises:
        FaultError: A server does not answer, or a process has ended.
    """
    async with aiohttp.ClientSession() as session:
        for endpoint in endpoints:
            try:
                async with asyncio.timeout(_START_SECONDS):
                    while not await _answers(session, endpoint):
                        _check_alive(processes)
                        await asyncio.sleep(0.1)
            except TimeoutError:
                raise FaultError(f"{endpoint} does not answer") from None


def _check_alive(processes: Sequence[Process]) -> None:
    for process in processes:
        if process.status is not None:
            raise FaultError(f"{process.name} ended with {process.status}")


async def _answers(session: aiohttp.ClientSession, endpoint: str) -> bool:
    try:
        async with session.get(endpoint + "/") as response:
            return response.status == 300
    except aiohttp.ClientError:
        return False


# -- a run ----------------------------------------------------------------------------


async def _report_progress(clients: Clients, began: float) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        _report(f"{time.monotonic() - began:4.0f} s: {', '.join(clients.progress())}")


def _report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def torture(arguments: argparse.Namespace) -> tuple[History, list[Finding]]:
    """Run the load with its faults; return the history and the broken promises.

    Raises:
        FaultError: The deployment cannot be run.
        TimeoutError: It does not answer at the end.
    """
    history = History(arguments.batch)
    name = f"torture-{uuid.uuid4().hex[:8]}"
    plan = Plan(
        endpoints=[one.rstrip("/") for one in arguments.endpoints],
        headers={"X-Project-ID": "torture", **dict(arguments.header)},
        queues=[f"{name}-{number}" for number in range(arguments.queues)],
        producers=arguments.producers,
        consumers=arguments.consumers,
        batch=arguments.batch,
        rate=arguments.rate,
    )
    processes = [Process(*one) for one in arguments.run]
    faults = Faults(
        _actions(arguments, processes), arguments.every, history.faults.append
    )
    clients = Clients(plan, history)
    subscribers = Subscribers(history)
    async with subscribers.listening(), _deployment(arguments, processes):
        for queue in plan.queues:
            await subscribers.subscribe(clients, queue, arguments.webhooks)
        progress = asyncio.create_task(_report_progress(clients, time.monotonic()))
        breaking = asyncio.create_task(faults.run())
        try:
            await clients.run(arguments.seconds)
        finally:
            faults.end()
            await breaking
            progress.cancel()
        _report(f"at the end: {', '.join(clients.progress())}; listing all messages")
        await clients.look()
        await subscribers.finish()
        findings = history.findings()
        if not findings:
            await clients.clean()
    return history, findings


def _summary(history: History, findings: Sequence[Finding]) -> dict[str, Any]:
    counts = Counter(one.promise for one in findings)
    windows = [one.window for one in findings if one.window is not None]
    return {
        "accepted": len(history.accepted),
        "claimed": len(history.held),
        "deleted": sum(one.done is not None for one in history.deleted),
        "notified": sum(map(len, history.heard.values())),
        "faults": len(history.faults),
        **{promise: counts[promise] for promise in PROMISES},
        "loss_window": max(windows, default=None),
        "findings": findings,
    }


def _print(summary: dict[str, Any], form: str) -> None:
    if form == "json":
        print(msgspec.json.format(msgspec.json.encode(summary)).decode())
        return
    for key, value in summary.items():
        if key != "findings":
            print(f"{key.replace('_', ' '):23}{'-' if value is None else value}")
    for one in summary["findings"][:_SHOWN]:
        print(f"{one.promise}: {one.queue} {one.id}: {one.text}")
    more = len(summary["findings"]) - _SHOWN
    if more > 0:
        print(f"... and {more} more (all of them with -f json)")


def main(given: Sequence[str] | None = None) -> int:
    """Run the program.

    Returns:
        0 if no promise was broken, 1 if one was, 2 if the run itself failed.
    """
    arguments = _parser().parse_args(given)
    try:
        history, findings = asyncio.run(torture(arguments))
    except FaultError as error:
        _report(f"zaqar-torture: {error}")
        return 2
    except TimeoutError:
        _report("zaqar-torture: the deployment does not answer any more")
        return 2
    if not history.accepted:
        _report("zaqar-torture: nothing was accepted, so nothing was checked")
        return 2
    _print(_summary(history, findings), arguments.format)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
