"""Commands on claims: take messages for a time, prolong, give back."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.cli import options
from zaqarclient.queues.v2.cli.base import Command, Lister
from zaqarclient.queues.v2.cli.values import Body
from zaqarclient.queues.v2.cli.waiting import add_wait, until_found

if TYPE_CHECKING:
    from zaqarclient.queues.v2.claim import Claim

Columns = tuple[str, ...]

_QUERY_COLUMNS = ("Message_ID", "Age", "TTL", "Message", "Claim_TTL", "Claim_Age")

_TTL_HELP = "Seconds until the claim ends, 60 to 43200"
_GRACE_HELP = (
    "Seconds that the messages live on at least after the claim has ended, 60 to 43200"
)


def _query_rows(claim: Claim) -> list[tuple[Any, ...]]:
    age, ttl = claim.age, claim.ttl
    return [
        (message.id, message.age, message.ttl, Body(message.body), ttl, age)
        for message in claim
    ]


def _claim_rows(claim: Claim) -> list[tuple[Any, ...]]:
    return [
        (
            claim.id,
            message.id,
            message.ttl,
            message.age,
            Body(message.body),
            message.checksum,
        )
        for message in claim
    ]


def _add_claim_id(parser: argparse.ArgumentParser) -> None:
    options.add_queue_name(parser)
    parser.add_argument("claim_id", metavar="<claim_id>", help="ID of the claim")


class CreateClaim(Lister):
    """Claim the oldest free messages of a queue and print them.

    Nobody else gets the messages until the claim ends. Delete each one when
    its work is done ("message delete QUEUE ID --claim-id CLAIM"), or give the
    rest back ("claim release").
    """

    example = "claim create orders --ttl 300 --limit 5"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and the terms of the claim."""
        options.add_queue_name(parser)
        parser.add_argument(
            "--ttl",
            metavar="<ttl>",
            type=options.integer(1),
            default=300,
            help=f"{_TTL_HELP} (default: 300)",
        )
        parser.add_argument(
            "--grace",
            metavar="<grace>",
            type=options.integer(1),
            default=60,
            help=f"{_GRACE_HELP} (default: 60)",
        )
        parser.add_argument(
            "--limit",
            metavar="<limit>",
            type=options.integer(1),
            default=10,
            help="How many messages to claim at most, up to 20 (default: 10)",
        )
        add_wait(parser)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, list[tuple[Any, ...]]]:
        """Claim the messages."""
        queue = self.queue(parsed_args.queue_name)
        terms = {name: getattr(parsed_args, name) for name in ("ttl", "grace", "limit")}
        columns = ("Claim_ID", "Message_ID", "TTL", "Age", "Messages", "Checksum")
        rows = until_found(lambda: _claim_rows(queue.claim(**terms)), parsed_args.wait)
        if not rows:
            self.hint("There is nothing to claim.")
        return columns, rows


class QueryClaim(Lister):
    """Show the messages that a claim holds, and how long it still lasts."""

    example = "claim query orders CLAIM_ID"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the names."""
        _add_claim_id(parser)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, list[tuple[Any, ...]]]:
        """Read the claim."""
        claim = self.queue(parsed_args.queue_name).claim(id=parsed_args.claim_id)
        return _QUERY_COLUMNS, _query_rows(claim)


class RenewClaim(Lister):
    """Start the time of a claim anew, and show it.

    Without --ttl the claim keeps its ttl. The service does not tell the grace
    of a claim, so without --grace it goes back to the service's default.
    """

    example = "claim renew orders CLAIM_ID --ttl 600 --grace 120"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the names and the new terms."""
        _add_claim_id(parser)
        parser.add_argument(
            "--ttl",
            metavar="<ttl>",
            type=options.integer(1),
            help=f"{_TTL_HELP} (default: as it was)",
        )
        parser.add_argument(
            "--grace",
            metavar="<grace>",
            type=options.integer(1),
            help=f"{_GRACE_HELP} (default: the service's, 60)",
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, list[tuple[Any, ...]]]:
        """Renew the claim."""
        queue = self.queue(parsed_args.queue_name)
        # What is left out of a renewal goes back to a default, so the ttl that
        # the claim has is read first and sent again.
        ttl = parsed_args.ttl or queue.claim(id=parsed_args.claim_id).ttl
        queue.claim(id=parsed_args.claim_id).update(ttl=ttl, grace=parsed_args.grace)
        if parsed_args.grace is None:
            self.hint("The grace is now the service's default; --grace sets it.")
        return _QUERY_COLUMNS, _query_rows(queue.claim(id=parsed_args.claim_id))


class ReleaseClaim(Command):
    """Give up claims: their messages are free at once.

    Releasing a claim that has ended succeeds.
    """

    example = "claim release orders CLAIM_ID"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the names."""
        options.add_queue_name(parser)
        options.add_targets(parser, "claim_id", "ID of the claim")

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Release the claims, one after the other."""
        queue = self.queue(parsed_args.queue_name)
        self.for_each(
            "claim",
            options.targets(parsed_args, "claim_id"),
            lambda claim: queue.claim(id=claim).delete(),
        )
