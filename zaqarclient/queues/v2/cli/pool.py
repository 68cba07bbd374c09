"""Commands on pools, the stores of a service; for administrators."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.queues.v2.cli import options
from zaqarclient.queues.v2.cli.base import Command, Lister, ShowOne
from zaqarclient.queues.v2.cli.paging import Pages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.queues.v2.pool import Pool

Columns = tuple[str, ...]

_BRIEF: Final = ("Name", "Weight", "URI", "Flavor")
_COLUMNS: Final = (*_BRIEF, "Options")


class CreatePool(ShowOne):
    """Create a pool, or replace the one of that name; for administrators."""

    example = "pool create ssd redis://10.0.0.7:6379 100 --flavor fast"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name, the store and what is told of it."""
        add_pool_name(parser)
        parser.add_argument(
            "pool_uri",
            metavar="<pool_uri>",
            help="The store, as redis://10.0.0.7:6379; 255 characters at most",
        )
        parser.add_argument(
            "pool_weight",
            metavar="<pool_weight>",
            type=options.integer(0),
            help="How many of the new queues it gets, in relation to the others: "
            "0 (none) to 4294967295",
        )
        _add_flavor(parser)
        options.add_option(
            parser,
            "--pool-options",
            metavar="<pool_options>",
            type=options.json_object,
            default={},
            help="Options of the store, a JSON object or @FILE (default: {})",
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Create the pool."""
        pool = self.client.pool(
            parsed_args.pool_name,
            uri=parsed_args.pool_uri,
            weight=parsed_args.pool_weight,
            flavor=parsed_args.flavor,
            options=parsed_args.pool_options,
        )
        return _COLUMNS, _row(vars(pool), _COLUMNS)


class ShowPool(ShowOne):
    """Show a pool; for administrators."""

    example = "pool show ssd"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name."""
        add_pool_name(parser)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Read the pool with its options."""
        pool = pool_of(self, parsed_args.pool_name)
        return _COLUMNS, _row(pool.get(detailed=True), _COLUMNS)


class UpdatePool(ShowOne):
    """Change some of what a pool is, and show it; for administrators.

    What is not given stays as it is.
    """

    example = "pool update ssd --pool-weight 0"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and what can be changed."""
        add_pool_name(parser)
        options.add_option(parser, "--pool-uri", metavar="<pool_uri>", help="The store")
        options.add_option(
            parser,
            "--pool-weight",
            metavar="<pool_weight>",
            type=options.integer(0),
            help="How many of the new queues it gets, in relation to the others; "
            "0 for none",
        )
        _add_flavor(parser, 'The flavor that it belongs to; "" for none')
        options.add_option(
            parser,
            "--pool-options",
            metavar="<pool_options>",
            type=options.json_object,
            help="Options of the store in place of those it has, a JSON object or "
            "@FILE",
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Change the pool and read it again."""
        given = {
            "uri": parsed_args.pool_uri,
            "weight": parsed_args.pool_weight,
            "flavor": parsed_args.flavor,
            "options": parsed_args.pool_options,
        }
        changes = {name: value for name, value in given.items() if value is not None}
        if not changes:
            self.usage_error(
                "nothing to change: give --pool-uri, --pool-weight, --flavor or "
                "--pool-options"
            )
        pool = pool_of(self, parsed_args.pool_name)
        pool.update(changes)
        return _COLUMNS, _row(pool.get(detailed=True), _COLUMNS)


class DeletePool(Command):
    """Delete a pool that has no queues; for administrators.

    "pool drain" moves the queues of a pool to others. Deleting a pool that does
    not exist succeeds.
    """

    example = "pool delete ssd"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and what is for stores that are lost."""
        add_pool_name(parser)
        parser.add_argument(
            "--force",
            action="store_true",
            help="Delete it with its queues, whose messages are lost: for a store "
            "that is itself lost. On a terminal the command asks first",
        )
        options.add_yes(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the pool."""
        name, force = parsed_args.pool_name, parsed_args.force
        if force:
            self.confirm(f"Delete {name} with all queues in it?", parsed_args)
        pool_of(self, name).delete(force=force)


class ListPools(Lister):
    """List the pools of the service, by name; for administrators."""

    example = "pool list --detailed"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the paging and ``--detailed``."""
        options.add_paging(parser, "pool_name", "Begin after the pool of this name")
        parser.add_argument(
            "--detailed", action="store_true", help="Also show the options"
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, list[tuple[Any, ...]]]:
        """List the pools."""
        columns = _COLUMNS if parsed_args.detailed else _BRIEF
        asked = {"detailed": True} if parsed_args.detailed else {}

        def fetch(**params: Any) -> Any:
            return self.client.pools(**asked, **params)

        pages = Pages(fetch, parsed_args.limit, parsed_args.marker)
        rows = [_row(vars(pool), columns) for pool in pages]
        self.tell_next_page(pages)
        return columns, rows


def pool_of(command: Command, name: str) -> Pool:
    """Return the pool of that name; nothing is sent."""
    return command.client.pool(name, auto_create=False)


def _row(pool: Mapping[str, Any], columns: Columns) -> tuple[Any, ...]:
    return tuple(pool.get(column.lower()) for column in columns)


def add_pool_name(parser: argparse.ArgumentParser) -> None:
    """Add the name of the one pool that a command works on."""
    parser.add_argument("pool_name", metavar="<pool_name>", help="Name of the pool")


def _add_flavor(
    parser: argparse.ArgumentParser, text: str = "The flavor that it belongs to"
) -> None:
    parser.add_argument("--flavor", metavar="<flavor>", help=text)
