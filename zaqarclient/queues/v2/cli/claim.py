"""Commands on claims: take messages for a time, prolong, give back."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.queues.v2.cli import emptiness
from zaqarclient.queues.v2.cli.argument_types import integer, whole_seconds
from zaqarclient.queues.v2.cli.arguments import (
    FAIL_IF_EMPTY,
    QUEUE,
    arg,
    given_targets,
    targets,
)
from zaqarclient.queues.v2.cli.base import Command
from zaqarclient.queues.v2.cli.displays import Lister, Shown
from zaqarclient.queues.v2.cli.output import Body
from zaqarclient.queues.v2.cli.paging import WAIT
from zaqarclient.queues.v2.cli.terminal import duration, is_terminal

if TYPE_CHECKING:
    from zaqarclient.queues.v2.claim import Claim

_COLUMNS = ("Claim_ID", "Message_ID", "TTL", "Age", "Messages", "Checksum")
_QUERY_COLUMNS = ("Message_ID", "Age", "TTL", "Message", "Claim_TTL", "Claim_Age")

_TTL_HELP = "How long the claim lasts, 60 s to 12 h"
_GRACE_HELP = (
    "How long the messages live at least after the claim has ended, 60 s to 12 h"
)
_TIME: Final = whole_seconds(1)
_DELAY: Final = whole_seconds()
_CLAIM: Final = arg("claim_id", "ID of the claim")


def _query_rows(claim: Claim) -> list[tuple[Any, ...]]:
    age, ttl = claim.age, claim.ttl
    return [(m.id, m.age, m.ttl, Body(m.body), ttl, age) for m in claim]


def _claim_rows(claim: Claim) -> list[tuple[Any, ...]]:
    return [(claim.id, m.id, m.ttl, m.age, Body(m.body), m.checksum) for m in claim]


class CreateClaim(Lister):
    """Claim the oldest free messages of a queue and print them.

    No other client gets the messages until the claim ends. Delete each one when
    its work is done ("message delete QUEUE ID --claim-id CLAIM"), or give the
    rest back ("claim release").
    """

    columns = _COLUMNS
    example = "orders --ttl 5m --limit 5"
    arguments = (
        QUEUE,
        arg("--ttl", f"{_TTL_HELP} (default: 300)", _TIME, default=300),
        arg("--grace", f"{_GRACE_HELP} (default: 60)", _TIME, default=60),
        arg(
            "--limit",
            "How many messages to claim at most, up to 20 (default: 10)",
            integer(1),
            default=10,
        ),
        WAIT,
        FAIL_IF_EMPTY,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Claim the messages."""
        queue = self.queue(parsed_args.queue_name)
        terms = {name: getattr(parsed_args, name) for name in ("ttl", "grace", "limit")}
        rows = _claim_rows(queue.claim(**terms, wait=parsed_args.wait))
        if not rows:
            self.nothing(parsed_args, lambda: emptiness.reason(queue))
        elif is_terminal(self.app.stderr):
            ends = datetime.now().astimezone() + timedelta(seconds=parsed_args.ttl)
            self.hint(f"Claimed until {ends:%H:%M:%S} (in {duration(parsed_args.ttl)})")
        return _COLUMNS, rows


class QueryClaim(Lister):
    """Show the messages that a claim holds, and how long it still lasts."""

    columns = _QUERY_COLUMNS
    example = "orders CLAIM_ID"
    arguments = (QUEUE, _CLAIM)

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Read the claim."""
        claim = self.queue(parsed_args.queue_name).claim(id=parsed_args.claim_id)
        return _QUERY_COLUMNS, _query_rows(claim)


class RenewClaim(Lister):
    """Restart the time of a claim, and show it.

    Without --ttl the claim keeps its ttl. The service does not report the grace
    of a claim, so without --grace it goes back to the service's default.
    """

    columns = _QUERY_COLUMNS
    example = "orders CLAIM_ID --ttl 10m --grace 2m"
    arguments = (
        QUEUE,
        _CLAIM,
        arg("--ttl", f"{_TTL_HELP} (default: as it was)", _TIME),
        arg("--grace", f"{_GRACE_HELP} (default: the service's, 60)", _TIME),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Renew the claim."""
        queue = self.queue(parsed_args.queue_name)
        # A renewal without ttl resets it to the default, so the claim's ttl
        # is read first and sent again.
        ttl = parsed_args.ttl or queue.claim(id=parsed_args.claim_id).ttl
        queue.claim(id=parsed_args.claim_id).update(ttl=ttl, grace=parsed_args.grace)
        if parsed_args.grace is None:
            self.hint("The grace is now the service's default; --grace sets it.")
        return _QUERY_COLUMNS, _query_rows(queue.claim(id=parsed_args.claim_id))


class ReleaseClaim(Command):
    """Release claims: their messages are free at once, or after a delay.

    Releasing a claim that has ended succeeds.
    """

    example = "orders CLAIM_ID"
    arguments = (
        QUEUE,
        *targets("claim_id", "ID of the claim"),
        arg("--delay", "Let their messages be free after this time only", _DELAY),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Release the claims, one after the other."""
        queue = self.queue(parsed_args.queue_name)
        self.for_each(
            "claim",
            given_targets(parsed_args, "claim_id"),
            lambda claim: queue.claim(id=claim).delete(delay=parsed_args.delay),
            lambda claim: queue.claim(id=claim).messages,
        )
