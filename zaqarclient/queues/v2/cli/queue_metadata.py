"""The metadata of queues: the attributes that have an option, and commands."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from zaqarclient import names
from zaqarclient.queues.v2.cli.argument_types import (
    integer,
    load_json,
    not_json,
    property_value,
    size,
    whole_seconds,
)
from zaqarclient.queues.v2.cli.arguments import QUEUE, Group, arg, flag, present
from zaqarclient.queues.v2.cli.base import Command
from zaqarclient.queues.v2.cli.displays import Shown, ShowOne
from zaqarclient.queues.v2.cli.output import CommandError
from zaqarclient.queues.v2.cli.statuses import Status

if TYPE_CHECKING:
    from zaqarclient.queues.v2.queue_or_topic import QueueOrTopic


#: Reserved metadata that commands name by an option of their own; by the column that
#: shows it.
ATTRIBUTES: Final = {
    "Default TTL": arg(
        "--ttl",
        "Life of messages posted without a ttl of their own, from 60",
        whole_seconds(),
        dest="_default_message_ttl",
    ),
    "Max Post Size": arg(
        "--max-size",
        "Largest post that the queue accepts",
        size,
        dest="_max_messages_post_size",
    ),
    "Default Delay": arg(
        "--delay",
        "How long new messages stay hidden, up to 900; messages may set a "
        "delay of their own only where this is not 0",
        whole_seconds(),
        dest="_default_message_delay",
    ),
    "Dead Letter Queue": arg(
        "--dead-letter-queue",
        "Where messages go that were claimed too often; see --max-claims",
        str,
        metavar="<queue>",
        dest="_dead_letter_queue",
        queues_only=True,
    ),
    "Dead Letter TTL": arg(
        "--dead-letter-ttl",
        "Life of messages moved to the dead letter queue, from 60",
        whole_seconds(),
        dest="_dead_letter_queue_messages_ttl",
        queues_only=True,
    ),
    "Max Claims": arg(
        "--max-claims",
        "How often a message may be claimed before it is moved",
        integer(0),
        metavar="<count>",
        dest="_max_claim_count",
        queues_only=True,
    ),
}

#: An option for each attribute, and one for any other key.
ATTRIBUTE_OPTIONS: Final = Group(
    (
        *ATTRIBUTES.values(),
        arg(
            "--property",
            "Any other metadata; the value is taken as JSON where it is valid "
            "JSON, else as text. Can be repeated",
            property_value,
            metavar="<key=value>",
            dest="properties",
            action="append",
            default=[],
        ),
    ),
    title="queue attributes",
)


def attributes_of(kind: str) -> dict[str, str]:
    """Return the columns and keys of the attributes of a ``queue`` or ``topic``."""
    return {
        title: argument.settings["dest"]
        for title, argument in ATTRIBUTES.items()
        if kind == "queue" or not argument.queues_only
    }


def given_attributes(
    command: Command, parsed_args: argparse.Namespace
) -> dict[str, Any]:
    """Return the metadata that the options of a command name."""
    keys = attributes_of("queue").values()
    given = present(**{key: getattr(parsed_args, key, None) for key in keys})
    return checked(command, given | dict(parsed_args.properties))


def checked(command: Command, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the same metadata; refuse reserved keys that the service ignores."""
    for problem in names.metadata_problems(metadata):
        command.refuse(problem)
    return metadata


def no_such(target: QueueOrTopic) -> CommandError:
    """Return the error for a queue or topic that does not exist."""
    text = f"there is no {target.kind} {target.name}"
    return CommandError(text, Status.NOT_FOUND)


def set_keys(queue: QueueOrTopic, metadata: dict[str, Any]) -> None:
    """Set some keys of the metadata of a queue in one step, and no others."""
    patch = [patch_of("add", key, value=value) for key, value in metadata.items()]
    check_stored(patch_metadata(queue, patch), metadata)


def patch_of(operation: str, key: str, **value: Any) -> dict[str, Any]:
    """Return the part of a JSON Patch that changes one key of the metadata."""
    escaped = key.replace("~", "~0").replace("/", "~1")
    return {"op": operation, "path": f"/metadata/{escaped}", **value}


def patch_metadata(
    queue: QueueOrTopic, patch: list[dict[str, Any]]
) -> Mapping[str, Any]:
    """Send a JSON Patch for the metadata of a queue and return the result.

    Raises:
        CommandError: the queue does not exist.
    """
    from zaqarclient.transport.errors import ResourceNotFound  # noqa: PLC0415 - only when needed

    try:
        return queue.patch_metadata(patch)
    except ResourceNotFound as error:
        raise no_such(queue) from error


def check_stored(stored: Mapping[str, Any], metadata: dict[str, Any]) -> None:
    """Compare what the service stored with what it was given.

    Raises:
        CommandError: some keys were not stored.
    """
    # Of a reserved key the service shows its default in place of 0, false and
    # null, so these cannot be compared.
    lost = sorted(
        key for key, value in metadata.items() if value and stored.get(key) != value
    )
    if lost:
        raise CommandError(f"the service did not store {', '.join(lost)}")


class SetQueue(Command):
    """Set attributes of a queue, and keep the others as they are."""

    example = "orders --ttl 1h --property team=billing"
    arguments = (QUEUE, ATTRIBUTE_OPTIONS)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Set the keys given."""
        metadata = given_attributes(self, parsed_args)
        if not metadata:
            self.usage_error("give at least one attribute, or --property key=value")
        set_keys(self.queue_or_topic(parsed_args.queue_name), metadata)


class UnsetQueue(Command):
    """Remove attributes of a queue; reserved ones go back to their defaults."""

    example = "orders --ttl --property team"
    arguments = (
        QUEUE,
        *(
            flag(
                one.names[0],
                f"Reset the {title.lower().replace('ttl', 'TTL')}",
                action="append_const",
                const=one.settings["dest"],
                dest="properties",
                queues_only=one.queues_only,
            )
            for title, one in ATTRIBUTES.items()
        ),
        arg(
            "--property",
            "Key of the metadata to remove. Can be repeated",
            metavar="<key>",
            dest="properties",
            action="append",
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Remove the keys given, all or none of them."""
        if not parsed_args.properties:
            self.usage_error("name at least one attribute, or --property <key>")
        patch = [patch_of("remove", key) for key in parsed_args.properties]
        patch_metadata(self.queue_or_topic(parsed_args.queue_name), patch)


class SetQueueMetadata(Command):
    """Replace all metadata of a queue; the queue is created if need be.

    Keys that are not given are removed. To change some keys and keep the
    others use "queue set" and "queue unset".
    """

    example = """orders '{"team": "billing"}'"""
    arguments = (QUEUE, arg("queue_metadata", "All metadata, a JSON object"))

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Replace the metadata."""
        metadata = checked(self, _json_object(parsed_args.queue_metadata))
        stored = self.queue_or_topic(parsed_args.queue_name).metadata(new_meta=metadata)
        check_stored(stored, metadata)


class GetQueueMetadata(ShowOne):
    """Show the metadata of a queue as one JSON object.

    A queue that does not exist shows the defaults of the service.
    """

    example = "orders -f json"
    arguments = (QUEUE,)

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Read the metadata."""
        return ("Metadata",), (self.queue_or_topic(parsed_args.queue_name).metadata(),)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = load_json(text)
    except json.JSONDecodeError as error:
        raise CommandError(f"metadata {text!r} is {not_json(error)}") from error
    if not isinstance(value, dict):
        raise CommandError("metadata must be a JSON object")
    return value
