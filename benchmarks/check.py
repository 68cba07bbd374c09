"""Whether the server is as fast as it was: ratios that hold on any machine.

Processor time is compared with processor time of the same minute, so that neither the
machine nor what else it does decides; only webhooks are counted by the clock. A ratio
that is missed by more than a third is measured again; missed three times, it fails. It
takes about half a minute.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import load
import outbox
import scale
import uvloop
from process import running_bare, running_server
from traffic import LoadError

TRIES: Final = 3
TOLERANCE: Final = 4 / 3


def _loaded(connections: int, *scenarios: str) -> dict[str, dict[str, Any]]:
    """Return the figures of ``load.py``."""
    args = load.parse(
        [
            *("--connections", str(connections), "--rounds", "3", "--seconds", "0.7"),
            *("--scenarios", *scenarios),
        ]
    )
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_server())
        bare = stack.enter_context(running_bare()) if load.BARE in scenarios else None
        figures, _ = uvloop.run(load.measure(args, server, bare))
    return load.summary(figures)


def _post_to_bare() -> float:
    ratio: float = _loaded(64, "post", load.BARE)["post"]["ratio"][load.BARE]
    return ratio


def _alone_to_many() -> float:
    one, many = (_loaded(count, "post")["post"]["server_cpu_us"] for count in (1, 64))
    return float(one / many)


def _delivery() -> float:
    args = outbox.parse(["--rounds", "1"])
    with running_server(settings=outbox.SETTINGS) as server:
        figures = uvloop.run(outbox.measure(args, server))
    return 1000 / float(figures["with"]["delivered_meanwhile_per_second"])


def _growth() -> float:
    sizes = (1_000, 100_000)
    with contextlib.ExitStack() as stack:
        servers = {size: stack.enter_context(running_server()) for size in sizes}
        claims = uvloop.run(scale.measure(servers, 150))["claim"]
    small, large = (claims[size]["server_cpu_us"] for size in sizes)
    return large / small


class Goal(NamedTuple):
    """A ratio that must hold.

    Attributes:
        name: What it compares.
        most: It may be so large.
        measure: Returns it.
    """

    name: str
    most: float
    measure: Callable[[], float]


GOALS: Final = (
    Goal("a post / an answer that does nothing, 64 connections", 2, _post_to_bare),
    Goal("a post of 1 connection / of 64 connections", 4, _alone_to_many),
    Goal("seconds for 1,000 webhooks while 64 connections post", 1, _delivery),
    Goal("a claim of 100,000 messages / of 1,000", 1.5, _growth),
)


def holds(goal: Goal) -> bool:
    """Measure and print until a ratio holds, a few times at most."""
    for _ in range(TRIES):
        found = goal.measure()
        kept = found <= goal.most * TOLERANCE
        verdict = "ok" if kept else "MISSED by more than a third"
        print(f"{goal.name}: {found:.2f}, goal {goal.most:g}: {verdict}", flush=True)
        if kept:
            return True
    return False


def main() -> int:
    """Check all ratios; return the exit status."""
    try:
        missed = [goal.name for goal in GOALS if not holds(goal)]
    except LoadError as error:
        print(f"check: {error}", file=sys.stderr)
        return 1
    if missed:
        print(f"check: too slow: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
