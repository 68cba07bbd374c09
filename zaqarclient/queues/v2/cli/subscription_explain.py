"""The command that explains a subscription filter."""

from __future__ import annotations

import argparse
from typing import Any

from zaqarclient.queues.v2.cli.arguments import QUEUE, arg, json_or_file, one_of
from zaqarclient.queues.v2.cli.base import CommandError, Lister, Rows
from zaqarclient.queues.v2.cli.filters import MISSING, Filter, FilterError
from zaqarclient.queues.v2.cli.output import Body, compact

_COLUMNS = ("Member", "Condition", "Wanted", "Found", "Holds")

#: How a member that is not in the body is shown where there is only text.
_NOTHING = "(missing)"


class ExplainSubscription(Lister):
    """Show if a message matches the filter of a subscription, and why.

    Each condition of the filter is a row: the member of the body that it is
    about, as a JSON pointer, what is wanted, what was found there, and whether
    the condition holds. A message matches if all of them hold. The exit status
    is 0 if it matches, 1 if it does not.

    With --filter and --message nothing is asked of the service.
    """

    words = "subscription explain"
    example = """orders --filter '{"/total": {"above": 9}}' \\
      --message '{"total": 12}'"""
    arguments = (
        QUEUE,
        arg(
            "subscription_id",
            "ID of the subscription whose filter is asked",
            nargs="?",
        ),
        arg(
            "--filter",
            "The filter to ask in place of a subscription's, JSON; "
            '"@FILE" reads it from a file',
            json_or_file,
        ),
        one_of(
            arg(
                "--message",
                'The body of a message, JSON; "@FILE" reads it from a file',
                json_or_file,
                metavar="<body>",
                default=argparse.SUPPRESS,
            ),
            arg("--message-id", "ID of a message in the queue"),
            required=True,
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Rows:
        """Ask each condition."""
        if (parsed_args.subscription_id is None) is (parsed_args.filter is None):
            self.usage_error("give either <subscription_id> or --filter")
        raw = self._filter(parsed_args)
        if raw is None:
            self.hint("The subscription has no filter: every message matches.")
            return _COLUMNS, []
        try:
            checked = Filter(raw)
        except FilterError as error:
            raise CommandError(f"the filter is not valid: {error}") from error
        verdicts = list(checked.explain(self._body(parsed_args)))
        if all(verdict.holds for verdict in verdicts):
            self.hint("The message matches.")
        else:
            self.exit_status = 1
            self.hint("The message does not match.")
        text_only = parsed_args.formatter not in {"json", "yaml"}
        return _COLUMNS, [
            (
                verdict.condition.pointer,
                verdict.condition.operator,
                _value(verdict.condition.operand, text_only=text_only),
                _value(verdict.found, text_only=text_only),
                verdict.holds,
            )
            for verdict in verdicts
        ]

    def _filter(self, parsed_args: argparse.Namespace) -> Any:
        """Return the filter to ask, None if the subscription has none."""
        if parsed_args.filter is not None:
            return parsed_args.filter
        queue_name = self.queue(parsed_args.queue_name).name
        subscription = self.client.subscription(
            queue_name, id=parsed_args.subscription_id
        )
        return (subscription.options or {}).get("filter")

    def _body(self, parsed_args: argparse.Namespace) -> Any:
        if parsed_args.message_id is not None:
            queue = self.queue(parsed_args.queue_name)
            return queue.message(parsed_args.message_id).body
        return parsed_args.message


def _value(value: Any, *, text_only: bool) -> Any:
    """Return a value so that text and numbers, null and nothing look different."""
    if value is MISSING:
        return _NOTHING if text_only else None
    return compact(value) if text_only else Body(value)
