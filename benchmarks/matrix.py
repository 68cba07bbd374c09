"""What decides how fast a server is: stores, transports, processes, queues, backlogs.

Each group of rows varies one thing. Its rows are measured in turn, several rounds,
and the figures are medians over the rounds, so that a busy moment of the machine is
in all of them; rows in which other programs took much of it are marked with *.

The CPU time a request is read from the clocks of the processes, apart for the
servers and Redis. A cycle is three requests: post, claim, delete; each counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import uvloop
from cases import GROUPS, Case, Group, chosen
from deployment import Deployment, deployed, find_program
from exchange import Exchange
from machine import busy_seconds, describe
from results import MOST_BY_OTHERS, Figures, Measured, save, text
from traffic import LoadError

#: A queue with more is not filled anew after posts have added to it.
_REFILLED = 10_000


class Row:
    """A case with what serves it.

    Args:
        name: The row's; its queues have it in their names.
        case: The case.
        deployment: What serves it, and maybe others.
        body_bytes: The size of bodies.
    """

    def __init__(
        self, name: str, case: Case, deployment: Deployment, body_bytes: int
    ) -> None:
        self._case = case
        self._deployment = deployment
        self._figures = {operation: Figures() for operation in case.operations}
        self._footprint: dict[str, int] = {}
        self._exchange = Exchange(
            deployment.url,
            deployment.headers,
            queues=[f"{name}-{number}" for number in range(case.queues)],
            batch=case.batch,
            body_bytes=body_bytes,
        )

    async def fill(self) -> None:
        """Put the backlog into the queues, and note what it takes."""
        before = self._deployment.sizes()
        await self._exchange.fill(self._case.backlog)
        after = self._deployment.sizes()
        self._footprint = {
            "messages": self._case.backlog * self._case.queues,
            "server": after.pop("server"),
            **{name: size - before[name] for name, size in after.items()},
        }

    async def measure(
        self, operation: str, seconds: float, *, tries: int, counts: bool
    ) -> None:
        """Measure an operation once; again if others were busy, while there are tries.

        Args:
            operation: One that the case has.
            seconds: How long.
            tries: How often at most; the one that was least disturbed counts.
            counts: Whether it is more than a warm-up.
        """
        best: Measured | None = None
        for _ in range(tries):
            one = await self._measure_once(operation, seconds)
            if best is None or one.others < best.others:
                best = one
            if best.others <= MOST_BY_OTHERS:
                break
        if counts and best is not None:
            self._figures[operation].add(best)

    async def _measure_once(self, operation: str, seconds: float) -> Measured:
        case, deployment = self._case, self._deployment
        session = await self._exchange.connect(case.way, case.connections)
        try:
            clocks = self._clocks()
            workers = deployment.workers_cpu()
            timings = await session.run(operation, seconds)
            busy, spent = _since(clocks, self._clocks())
            pairs = zip(deployment.workers_cpu(), workers, strict=True)
            busiest = max(now - then for now, then in pairs)
        finally:
            session.close()
        if operation == "post":
            await self._restore()
        spent["others"] = max(0.0, busy - sum(spent.values()))
        return Measured(timings, spent, busiest)

    def _clocks(self) -> dict[str, float]:
        return {
            **self._deployment.cpu(),
            "client": time.process_time(),
            "machine": busy_seconds(),
        }

    async def _restore(self) -> None:
        """Take the posts out again, unless they are few beside the backlog."""
        if self._case.queues == 1 and self._case.backlog <= _REFILLED:
            await self._exchange.empty()
            await self._exchange.fill(self._case.backlog)

    def summary(self) -> dict[str, Any]:
        """Return the figures as plain numbers."""
        return {
            "case": asdict(self._case),
            "operations": {
                operation: figures.summary()
                for operation, figures in self._figures.items()
            },
            "footprint": self._footprint,
        }


def _since(
    before: Mapping[str, float], after: Mapping[str, float]
) -> tuple[float, dict[str, float]]:
    """Return the seconds that all cores were busy, and those of each part."""
    spent = {part: after[part] - then for part, then in before.items()}
    return spent.pop("machine"), spent


async def measure(
    group: Group, deployments: Mapping[Case, Deployment], args: argparse.Namespace
) -> dict[str, Any]:
    """Measure the rows of a group in turn and return the figures."""
    rows = {
        name: Row(name, case, deployments[case.service], args.body_bytes)
        for name, case in group.rows.items()
    }
    for row in rows.values():
        await row.fill()
    operations = dict.fromkeys(
        operation for case in group.rows.values() for operation in case.operations
    )
    # Round 0 warms up and is not counted.
    for turn in range(args.rounds + 1):
        for operation in operations:
            for row in rows.values():
                seconds = args.seconds if turn else min(0.3, args.seconds)
                tries = args.tries if turn else 1
                await row.measure(operation, seconds, tries=tries, counts=turn > 0)
    return {
        "title": group.title,
        "rows": {name: row.summary() for name, row in rows.items()},
    }


def run(group: Group, args: argparse.Namespace) -> dict[str, Any]:
    """Start what a group needs, measure it, and stop it again."""
    services = dict.fromkeys(case.service for case in group.rows.values())
    with contextlib.ExitStack() as stack:
        deployments = {
            service: stack.enter_context(deployed(service, args.store_dir))
            for service in services
        }
        return uvloop.run(measure(group, deployments, args))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option(
        "--only",
        nargs="+",
        default=[],
        metavar="ROW",
        help="groups (workers), or rows (workers/2) with the base of their group",
    )
    option("--list", action="store_true", help="print the names of all rows")
    option("--seconds", type=float, default=1, help="of each measurement, default: 1")
    option("--rounds", type=int, default=5, help="default: %(default)s")
    option(
        "--tries",
        type=int,
        default=1,
        help="of each measurement, until others leave the machine alone; default: 1",
    )
    option("--body-bytes", type=int, default=200, help="default: %(default)s")
    option("--store-dir", help="where the stores go (default: temporary files)")
    option("--json", action="store_true", help="print a JSON document")
    option(
        "--save",
        action="store_true",
        help="keep the figures in benchmarks/results/, for the documentation",
    )
    args = parser.parse_args(arguments)
    for name in ("seconds", "rounds", "tries", "body_bytes"):
        if getattr(args, name) <= 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    try:
        args.groups = chosen(args.only)
    except ValueError as error:
        parser.error(f"--only: {error}")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    args = parse(arguments)
    if args.list:
        print(
            "\n".join(f"{name}/{row}" for name in GROUPS for row in GROUPS[name].rows)
        )
        return 0
    report: dict[str, Any] = {
        "machine": describe(find_program()),
        "settings": {
            name: getattr(args, name) for name in ("seconds", "rounds", "body_bytes")
        },
        "groups": {},
    }
    if not args.json:
        print(", ".join(f"{name} {told}" for name, told in report["machine"].items()))
    failed = False
    for name, group in args.groups.items():
        try:
            report["groups"][name] = run(group, args)
        except LoadError as error:
            print(f"matrix: {name}: {error}", file=sys.stderr)
            failed = True
            continue
        if args.save:
            save(report)  # at once: what follows takes long
        if not args.json:
            print("\n".join(text(name, report["groups"][name])), flush=True)
    if args.json:
        print(json.dumps(report))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
