"""The options of a subscription as options of commands."""

from __future__ import annotations

import argparse
from typing import Any

from zaqarclient.queues.v2.cli import options


def add_subscription_options(
    parser: argparse.ArgumentParser, *, default: dict[str, Any] | None
) -> None:
    """Add ``--options``, and an option for each member that people set.

    Args:
        parser: Where to add them.
        default: What ``--options`` is when it is not given.
    """
    parser.add_argument(
        "--options",
        metavar="<options>",
        type=options.json_object,
        default=default,
        help='All options, a JSON object; "@FILE" reads it from a file. The '
        "options below set members of it",
    )
    parser.add_argument(
        "--post-data",
        metavar="<text>",
        type=options.text_or_file,
        help="What a webhook gets in place of the notification; "
        '"$zaqar_message$", quotes included, stands for that. "@FILE" reads it '
        "from a file",
    )
    parser.add_argument(
        "--post-header",
        metavar="<name=value>",
        dest="post_headers",
        type=options.key_value,
        action="append",
        help="A header that a webhook gets. Can be repeated",
    )
    parser.add_argument(
        "--filter",
        metavar="<filter>",
        type=options.json_object,
        help="Notify only of messages that match this filter, a JSON object; "
        '"@FILE" reads it from a file. See "subscription explain"',
    )
    parser.add_argument(
        "--retry-policy",
        metavar="<policy>",
        type=options.json_object,
        help="How often and when a failed webhook is called again, a JSON object; "
        '"@FILE" reads it from a file',
    )


def given_members(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """Return the members of the options that have an option of their own."""
    headers = parsed_args.post_headers
    given = {
        "post_data": parsed_args.post_data,
        "post_headers": None if headers is None else dict(headers),
        "filter": parsed_args.filter,
        "_retry_policy": parsed_args.retry_policy,
    }
    return {key: value for key, value in given.items() if value is not None}
