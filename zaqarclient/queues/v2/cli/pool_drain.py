"""The command that empties pools."""

from __future__ import annotations

import argparse
from typing import Any, Final

from zaqarclient.queues.v2.cli.base import ShowOne
from zaqarclient.queues.v2.cli.pool import add_pool_name, pool_of

#: Seconds that one request may wait: the service allows no more.
_LONGEST: Final = 20


class DrainPool(ShowOne):
    """Move all queues of a pool to other pools; for administrators.

    The pool gets no new queues from then on. The service goes on by itself when
    the command has ended; run it again to see how far it is. The exit status is
    0 if no queue is left in the pool, 1 if some are.
    """

    example = "pool drain ssd --wait"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and whether to wait."""
        add_pool_name(parser)
        parser.add_argument(
            "--wait",
            action="store_true",
            help="Wait until no queue is left, or until one cannot be moved; tell "
            "on the error stream how many are left",
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Drain the pool."""
        pool = pool_of(self, parsed_args.pool_name)
        state = pool.drain(_LONGEST if parsed_args.wait else None)
        moved = state["moved"]
        while parsed_args.wait and state["queues"] and not _is_stuck(state):
            self.hint(f"{state['queues']} queues left, {moved} moved.")
            before = state["moved"] if state["running"] else 0
            state = pool.drain(_LONGEST)
            # One that had ended has begun anew, and counts anew.
            began_anew = state["moved"] < before
            moved += state["moved"] - (0 if began_anew else before)
        if state["queues"]:
            self.exit_status = 1
            if state["running"]:
                self.hint("The service goes on; run this again to see how far it is.")
        return (
            ("Name", "Queues", "Moved", "Running", "Error"),
            (pool.name, state["queues"], moved, state["running"], state["error"]),
        )


def _is_stuck(state: dict[str, Any]) -> bool:
    return bool(state["error"]) and not state["running"]
