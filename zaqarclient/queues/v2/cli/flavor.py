"""Commands on flavors, the kinds of queues by the pools that they live in."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.queues.v2.cli import options
from zaqarclient.queues.v2.cli.base import Command, Lister, ShowOne
from zaqarclient.queues.v2.cli.paging import Pages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.queues.v2.flavor import Flavor

Columns = tuple[str, ...]

_BRIEF: Final = ("Name", "Pool list")
_COLUMNS: Final = (*_BRIEF, "Capabilities")

#: Scripts choose columns by name, and this one always had another here.
_UPDATED: Final = ("Name", "Pool_list", "Capabilities")


class CreateFlavor(ShowOne):
    """Create a flavor, or replace the one of that name; for administrators."""

    example = "flavor create fast --pool-list ssd,nvme"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and the pools."""
        _add_flavor_name(parser)
        _add_pool_list(parser)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Create the flavor."""
        if parsed_args.pool_list is None:
            self.usage_error("a flavor needs pools: give --pool-list")
        flavor = self.client.flavor(
            parsed_args.flavor_name, pool_list=parsed_args.pool_list
        )
        return _COLUMNS, _row(flavor.get())


class ShowFlavor(ShowOne):
    """Show a flavor: its pools, and what they are able to do."""

    example = "flavor show fast"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name."""
        _add_flavor_name(parser)

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Read the flavor."""
        return _COLUMNS, _row(_flavor(self, parsed_args.flavor_name).get())


class UpdateFlavor(ShowOne):
    """Change the pools of a flavor, and show it; for administrators."""

    example = "flavor update fast --pool-list ssd"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name and what can be changed."""
        _add_flavor_name(parser)
        _add_pool_list(parser)
        parser.add_argument(
            "--capabilities",
            metavar="<capabilities>",
            type=options.json_value,
            help="Accepted for older scripts, in JSON: a service takes the "
            "capabilities from the stores",
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, tuple[Any, ...]]:
        """Change the flavor and read it again."""
        if parsed_args.pool_list is None:
            self.usage_error(
                "the service changes a flavor only together with its pools: give "
                "--pool-list"
            )
        changes = {"pool_list": parsed_args.pool_list}
        if parsed_args.capabilities is not None:
            changes["capabilities"] = parsed_args.capabilities
        flavor = _flavor(self, parsed_args.flavor_name)
        flavor.update(changes)
        return _UPDATED, _row(flavor.get())


class DeleteFlavor(Command):
    """Delete a flavor; for administrators.

    Deleting a flavor that does not exist succeeds.
    """

    example = "flavor delete fast"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the name."""
        _add_flavor_name(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the flavor."""
        _flavor(self, parsed_args.flavor_name).delete()


class ListFlavors(Lister):
    """List the flavors of the project, by name."""

    example = "flavor list --detailed"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the paging and ``--detailed``."""
        options.add_paging(parser, "flavor_name", "Begin after the flavor of this name")
        parser.add_argument(
            "--detailed", action="store_true", help="Also show the capabilities"
        )

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Columns, list[tuple[Any, ...]]]:
        """List the flavors."""
        columns = _COLUMNS if parsed_args.detailed else _BRIEF

        def fetch(**params: Any) -> Any:
            return self.client.flavors(detailed=parsed_args.detailed, **params)

        pages = Pages(fetch, parsed_args.limit, parsed_args.marker)
        rows = [_row(vars(flavor))[: len(columns)] for flavor in pages]
        self.tell_next_page(pages)
        return columns, rows


def _flavor(command: Command, name: str) -> Flavor:
    return command.client.flavor(name, auto_create=False)


def _row(flavor: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return (
        flavor["name"],
        flavor.get("pool_list"),
        flavor.get("capabilities"),
    )


def _add_flavor_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "flavor_name", metavar="<flavor_name>", help="Name of the flavor"
    )


def _add_pool_list(parser: argparse.ArgumentParser) -> None:
    options.add_option(
        parser,
        "--pool-list",
        metavar="<pool_list>",
        type=options.names,
        help="The pools of the flavor, with commas between; at least one",
    )
