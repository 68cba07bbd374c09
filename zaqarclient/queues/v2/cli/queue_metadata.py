"""Commands on the metadata of queues."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.cli import options
from zaqarclient.queues.v2.cli.attributes import (
    add_attributes,
    given_attributes,
    removing_patch,
    setting_patch,
)
from zaqarclient.queues.v2.cli.base import Command, CommandError, ShowOne

if TYPE_CHECKING:
    from zaqarclient.queues.v2.source import Source


def set_keys(queue: Source, metadata: dict[str, Any]) -> None:
    """Set some keys of the metadata of a queue in one step, and no others."""
    stored = patch_metadata(queue, setting_patch(metadata))
    check_stored(stored, metadata)


def patch_metadata(queue: Source, patch: list[dict[str, Any]]) -> Mapping[str, Any]:
    """Send a JSON Patch for the metadata of a queue and return the result.

    Raises:
        CommandError: the queue does not exist.
    """
    from zaqarclient.transport.errors import ResourceNotFound  # noqa: PLC0415 - only when needed

    try:
        return queue.patch_metadata(patch)
    except ResourceNotFound as error:
        raise CommandError(f"there is no {queue.kind} {queue.name}") from error


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

    example = "queue set orders --ttl 3600 --property team=billing"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and the attributes."""
        options.add_queue_name(parser)
        add_attributes(parser, self.kind)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Set the keys given."""
        metadata = given_attributes(parsed_args)
        if not metadata:
            self.usage_error("give at least one attribute, or --property key=value")
        set_keys(self.source(parsed_args.queue_name), metadata)


class UnsetQueue(Command):
    """Remove attributes of a queue; reserved ones go back to their defaults."""

    example = "queue unset orders --property team --property _max_claim_count"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and the keys."""
        options.add_queue_name(parser)
        parser.add_argument(
            "--property",
            metavar="<key>",
            dest="properties",
            action="append",
            required=True,
            help="Key of the metadata to remove. Can be repeated",
        )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Remove the keys given, all or none of them."""
        queue = self.source(parsed_args.queue_name)
        patch_metadata(queue, removing_patch(parsed_args.properties))


class SetQueueMetadata(Command):
    """Replace all metadata of a queue; the queue is created if need be.

    Keys that are not given are removed. To change some keys and keep the
    others use "queue set" and "queue unset".
    """

    example = """queue set metadata orders '{"team": "billing"}'"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and the metadata."""
        options.add_queue_name(parser)
        parser.add_argument(
            "queue_metadata",
            metavar="<queue_metadata>",
            help="All metadata, a JSON object",
        )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Replace the metadata."""
        metadata = _json_object(parsed_args.queue_metadata)
        stored = self.source(parsed_args.queue_name).metadata(new_meta=metadata)
        check_stored(stored, metadata)


class GetQueueMetadata(ShowOne):
    """Show the metadata of a queue as one JSON object.

    A queue that does not exist shows the defaults of the service.
    """

    example = "queue get metadata orders -f json"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name."""
        options.add_queue_name(parser)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        """Read the metadata."""
        return ("Metadata",), (self.source(parsed_args.queue_name).metadata(),)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = options.load_json(text)
    except json.JSONDecodeError as error:
        raise CommandError(f"metadata {text!r} is {options.not_json(error)}") from error
    if not isinstance(value, dict):
        raise CommandError("metadata must be a JSON object")
    return value
