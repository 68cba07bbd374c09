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
        _add_pool_name(parser)
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
        _add_pool_name(parser)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Read the pool with its options."""
        pool = _pool(self, parsed_args.pool_name)
        return _COLUMNS, _row(pool.get(detailed=True), _COLUMNS)


class UpdatePool(ShowOne):
    """Change some of what a pool is, and show it; for administrators.

    What is not given stays as it is.
    """

    example = "pool update ssd --pool-weight 0"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and what can be changed."""
        _add_pool_name(parser)
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
        pool = _pool(self, parsed_args.pool_name)
        pool.update(changes)
        return _COLUMNS, _row(pool.get(detailed=True), _COLUMNS)


class DeletePool(Command):
    """Delete a pool; for administrators.

    Deleting a pool that does not exist succeeds.
    """

    example = "pool delete ssd"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name."""
        _add_pool_name(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the pool."""
        _pool(self, parsed_args.pool_name).delete()


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


def _pool(command: Command, name: str) -> Pool:
    return command.client.pool(name, auto_create=False)


def _row(pool: Mapping[str, Any], columns: Columns) -> tuple[Any, ...]:
    return tuple(pool.get(column.lower()) for column in columns)


def _add_pool_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pool_name", metavar="<pool_name>", help="Name of the pool")


def _add_flavor(
    parser: argparse.ArgumentParser, text: str = "The flavor that it belongs to"
) -> None:
    parser.add_argument("--flavor", metavar="<flavor>", help=text)
