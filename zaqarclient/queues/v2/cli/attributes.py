"""The settings of a queue as options of commands, and as JSON Patch."""

import argparse
from typing import Any, Final, NamedTuple

from zaqarclient.queues.v2.cli.options import integer, property_value


class Attribute(NamedTuple):
    """A setting of a queue that the service acts on."""

    option: str
    metavar: str
    key: str
    title: str
    text: str


#: Reserved attributes that commands name by an option of their own.
ATTRIBUTES: Final = (
    Attribute(
        "--ttl",
        "seconds",
        "_default_message_ttl",
        "Default TTL",
        "Life of messages posted without a ttl of their own, from 60",
    ),
    Attribute(
        "--max-size",
        "bytes",
        "_max_messages_post_size",
        "Max Post Size",
        "Largest post that the queue accepts",
    ),
    Attribute(
        "--delay",
        "seconds",
        "_default_message_delay",
        "Default Delay",
        "How long new messages stay hidden, up to 900; messages may set a "
        "delay of their own only where this is not 0",
    ),
    Attribute(
        "--dead-letter-queue",
        "queue",
        "_dead_letter_queue",
        "Dead Letter Queue",
        "Where messages go that were claimed too often; see --max-claims",
    ),
    Attribute(
        "--dead-letter-ttl",
        "seconds",
        "_dead_letter_queue_messages_ttl",
        "Dead Letter TTL",
        "Life of messages moved to the dead letter queue, from 60",
    ),
    Attribute(
        "--max-claims",
        "count",
        "_max_claim_count",
        "Max Claims",
        "How often a message may be claimed before it is moved",
    ),
)


def attributes_of(kind: str) -> tuple[Attribute, ...]:
    """Return the attributes of queues, or those of topics, which nobody claims from."""
    claims = {
        "_dead_letter_queue",
        "_dead_letter_queue_messages_ttl",
        "_max_claim_count",
    }
    return tuple(one for one in ATTRIBUTES if kind == "queue" or one.key not in claims)


def add_attributes(parser: argparse.ArgumentParser, kind: str) -> None:
    """Add an option for each attribute, and ``--property`` for any other key.

    Args:
        parser: Where to add them.
        kind: What has the attributes: ``queue`` or ``topic``.
    """
    group = parser.add_argument_group(f"{kind} attributes")
    for attribute in attributes_of(kind):
        group.add_argument(
            attribute.option,
            metavar=f"<{attribute.metavar}>",
            dest=attribute.key,
            type=str if attribute.metavar == "queue" else integer(0),
            help=attribute.text,
        )
    group.add_argument(
        "--property",
        metavar="<key=value>",
        dest="properties",
        type=property_value,
        action="append",
        default=[],
        help="Any other metadata; the value is taken as JSON where it is valid "
        "JSON, else as text. Can be repeated",
    )


def given_attributes(parsed_args: argparse.Namespace) -> dict[str, Any]:
    """Return the metadata that the options ask for."""
    named = {item.key: getattr(parsed_args, item.key, None) for item in ATTRIBUTES}
    given = {key: value for key, value in named.items() if value is not None}
    return given | dict(parsed_args.properties)


def setting_patch(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON Patch that sets these keys and touches no other."""
    return [
        {"op": "add", "path": _path(key), "value": value}
        for key, value in metadata.items()
    ]


def removing_patch(keys: list[str]) -> list[dict[str, Any]]:
    """Return the JSON Patch that removes these keys and touches no other."""
    return [{"op": "remove", "path": _path(key)} for key in keys]


def _path(key: str) -> str:
    escaped = key.replace("~", "~0").replace("/", "~1")
    return f"/metadata/{escaped}"
