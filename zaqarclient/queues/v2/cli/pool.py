"""Commands on pools, the stores of a service, and on flavors, which group them."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Final

from zaqarclient.queues.v2.cli.argument_types import (
    integer,
    json_object,
    json_value,
    names,
)
from zaqarclient.queues.v2.cli.arguments import YES, arg, flag, paging, present
from zaqarclient.queues.v2.cli.base import Command
from zaqarclient.queues.v2.cli.displays import Lister, Shown, ShowOne, values_of

if TYPE_CHECKING:
    from zaqarclient.queues.v2.documents import DrainState
    from zaqarclient.queues.v2.flavor import Flavor
    from zaqarclient.queues.v2.pool import Pool

#: Seconds that one request for a drain may wait: the service allows no more.
_LONGEST_WAIT: Final = 20

_COLUMNS: Final = ("Name", "Weight", "URI", "Flavor", "Options")
_DRAIN_COLUMNS: Final = ("Name", "Queues", "Moved", "Running", "Error")
_FLAVOR_COLUMNS: Final = ("Name", "Pool list", "Capabilities")

#: Scripts choose columns by name, and this one always had another here.
_UPDATED_FLAVOR_COLUMNS: Final = ("Name", "Pool_list", "Capabilities")

_POOL: Final = arg("pool_name", "Name of the pool")
_FLAVOR: Final = arg("flavor_name", "Name of the flavor")
_POOL_LIST: Final = arg(
    "--pool-list",
    "The pools of the flavor, with commas between; at least one",
    names,
    old_spelling=True,
)


class CreatePool(ShowOne):
    """Create a pool, or replace the one of that name; for administrators."""

    columns = _COLUMNS
    example = "ssd redis://10.0.0.7:6379 100 --flavor fast"
    arguments = (
        _POOL,
        arg("pool_uri", "The store, as redis://10.0.0.7:6379; 255 characters at most"),
        arg(
            "pool_weight",
            "How many of the new queues it gets, in relation to the others: "
            "0 (none) to 4294967295",
            integer(0),
        ),
        arg("--flavor", "The flavor that it belongs to"),
        arg(
            "--pool-options",
            "Options of the store, a JSON object or @FILE (default: {})",
            json_object,
            default={},
            old_spelling=True,
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Create the pool."""
        pool = self.client.pool(
            parsed_args.pool_name,
            uri=parsed_args.pool_uri,
            weight=parsed_args.pool_weight,
            flavor=parsed_args.flavor,
            options=parsed_args.pool_options,
        )
        return _COLUMNS, values_of(pool, _COLUMNS)


class ShowPool(ShowOne):
    """Show a pool; for administrators."""

    columns = _COLUMNS
    example = "ssd"
    arguments = (_POOL,)

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Read the pool with its options."""
        return _shown(_pool(self, parsed_args))


class UpdatePool(ShowOne):
    """Change some of what a pool is, and show it; for administrators.

    What is not given stays as it is.
    """

    columns = _COLUMNS
    example = "ssd --pool-weight 0"
    arguments = (
        _POOL,
        arg("--pool-uri", "The store", old_spelling=True),
        arg(
            "--pool-weight",
            "How many of the new queues it gets, in relation to the others; 0 for none",
            integer(0),
            old_spelling=True,
        ),
        arg("--flavor", 'The flavor that it belongs to; "" for none'),
        arg(
            "--pool-options",
            "Options of the store in place of those it has, a JSON object or @FILE",
            json_object,
            old_spelling=True,
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Change the pool and read it again."""
        changes = present(
            uri=parsed_args.pool_uri,
            weight=parsed_args.pool_weight,
            flavor=parsed_args.flavor,
            options=parsed_args.pool_options,
        )
        if not changes:
            self.usage_error(
                "nothing to change: give --pool-uri, --pool-weight, --flavor or "
                "--pool-options"
            )
        pool = _pool(self, parsed_args)
        pool.update(changes)
        return _shown(pool)


class DeletePool(Command):
    """Delete a pool that has no queues; for administrators.

    "pool drain" moves the queues of a pool to others. Deleting a pool that does
    not exist succeeds.
    """

    example = "ssd"
    arguments = (
        _POOL,
        flag(
            "--force",
            "Delete it with its queues, whose messages are lost: for a store "
            "that is itself lost. On a terminal the command asks first",
        ),
        YES,
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the pool."""
        if parsed_args.force:
            question = f"Delete {parsed_args.pool_name} with all queues in it?"
            self.confirm(lambda: question, parsed_args)
        _pool(self, parsed_args).delete(force=parsed_args.force)


class DrainPool(ShowOne):
    """Move all queues of a pool to other pools; for administrators.

    The pool gets no new queues from then on. The service goes on when the
    command has ended; run it again to see how far it is. The exit status is
    0 if no queue is left in the pool, 1 if some are.
    """

    columns = _DRAIN_COLUMNS
    example = "ssd --wait"
    arguments = (
        _POOL,
        flag(
            "--wait",
            "Wait until no queue is left, or until one cannot be moved; print "
            "on the error stream how many are left",
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Drain the pool."""
        pool = _pool(self, parsed_args)
        state = pool.drain(_LONGEST_WAIT if parsed_args.wait else None)
        moved = state["moved"]
        while parsed_args.wait and state["queues"] and not _is_stuck(state):
            self.hint(f"{state['queues']} queues left, {moved} moved.")
            before = state["moved"] if state["running"] else 0
            state = pool.drain(_LONGEST_WAIT)
            # A drain that had ended has started again, and counts from 0.
            restarted = state["moved"] < before
            moved += state["moved"] - (0 if restarted else before)
        if state["queues"]:
            self.exit_status = 1
            if state["running"]:
                self.hint("The service goes on; run this again to see how far it is.")
        values = (state["queues"], moved, state["running"], state["error"])
        return _DRAIN_COLUMNS, (pool.name, *values)


class ListPools(Lister):
    """List the pools of the service, by name; for administrators."""

    columns = _COLUMNS
    example = "--detailed"
    arguments = (
        *paging("pool_name", "Begin after the pool of this name"),
        flag("--detailed", "Also show the options"),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """List the pools."""
        columns = _COLUMNS if parsed_args.detailed else _COLUMNS[:-1]
        fetch = partial(self.client.pools, detailed=parsed_args.detailed or None)
        return self.listed(columns, fetch, parsed_args, "There are no pools.")


class CreateFlavor(ShowOne):
    """Create a flavor, or replace the one of that name; for administrators."""

    columns = _FLAVOR_COLUMNS
    example = "fast --pool-list ssd,nvme"
    arguments = (_FLAVOR, _POOL_LIST)

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Create the flavor."""
        if parsed_args.pool_list is None:
            self.usage_error("a flavor needs pools: give --pool-list")
        flavor = self.client.flavor(
            parsed_args.flavor_name, pool_list=parsed_args.pool_list
        )
        return _FLAVOR_COLUMNS, values_of(flavor.get(), _FLAVOR_COLUMNS)


class ShowFlavor(ShowOne):
    """Show a flavor: its pools, and what they are able to do."""

    columns = _FLAVOR_COLUMNS
    example = "fast"
    arguments = (_FLAVOR,)

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Read the flavor."""
        flavor = _flavor(self, parsed_args)
        return _FLAVOR_COLUMNS, values_of(flavor.get(), _FLAVOR_COLUMNS)


class UpdateFlavor(ShowOne):
    """Change the pools of a flavor, and show it; for administrators."""

    columns = _UPDATED_FLAVOR_COLUMNS
    example = "fast --pool-list ssd"
    arguments = (
        _FLAVOR,
        _POOL_LIST,
        arg(
            "--capabilities",
            "Accepted for older scripts, in JSON: a service takes the "
            "capabilities from the stores",
            json_value,
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Change the flavor and read it again."""
        if parsed_args.pool_list is None:
            self.usage_error(
                "the service changes a flavor only together with its pools: give "
                "--pool-list"
            )
        flavor = _flavor(self, parsed_args)
        flavor.update(
            present(
                pool_list=parsed_args.pool_list, capabilities=parsed_args.capabilities
            )
        )
        columns = _UPDATED_FLAVOR_COLUMNS
        return columns, values_of(flavor.get(), columns)


class DeleteFlavor(Command):
    """Delete a flavor; for administrators.

    Deleting a flavor that does not exist succeeds.
    """

    example = "fast"
    arguments = (_FLAVOR,)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete the flavor."""
        _flavor(self, parsed_args).delete()


class ListFlavors(Lister):
    """List the flavors of the project, by name."""

    columns = _FLAVOR_COLUMNS
    example = "--detailed"
    arguments = (
        *paging("flavor_name", "Begin after the flavor of this name"),
        flag("--detailed", "Also show the capabilities"),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """List the flavors."""
        columns = _FLAVOR_COLUMNS if parsed_args.detailed else _FLAVOR_COLUMNS[:-1]
        fetch = partial(self.client.flavors, detailed=parsed_args.detailed)
        return self.listed(columns, fetch, parsed_args, "There are no flavors.")


def _pool(command: Command, parsed_args: argparse.Namespace) -> Pool:
    return command.client.pool(parsed_args.pool_name, auto_create=False)


def _shown(pool: Pool) -> Shown:
    return _COLUMNS, values_of(pool.get(detailed=True), _COLUMNS)


def _is_stuck(state: DrainState) -> bool:
    return bool(state["error"]) and not state["running"]


def _flavor(command: Command, parsed_args: argparse.Namespace) -> Flavor:
    return command.client.flavor(parsed_args.flavor_name, auto_create=False)
