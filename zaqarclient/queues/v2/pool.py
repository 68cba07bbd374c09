"""Pools: the stores of a service, for administrators."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypedDict

from zaqarclient import names
from zaqarclient.queues.v2.resource import AdminResource, maker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zaqarclient.queues.v2.calls import Document
    from zaqarclient.queues.v2.client import Client
    from zaqarclient.queues.v2.documents import DrainState, PoolDocument


_MEMBERS = frozenset({"name", "weight", "uri", "flavor", "options"})


class PoolOptions(TypedDict, total=False):
    """The further arguments of `Pool`."""

    weight: int | None
    uri: str | None
    flavor: str | None
    auto_create: bool
    options: Mapping[str, Any] | None


@names.checked
class Pool(AdminResource):
    """A store of the service.

    Args:
        client: The client.
        name: The name.
        weight: How many of the new queues it gets, in relation to others.
        uri: The store.
        flavor: The flavor that it belongs to.
        auto_create: Create or replace the pool now.
        options: Options of the store.

    Attributes:
        group: Without meaning since flavors took its place; None.
    """

    kind = "pool"
    group: str | None = None

    @names.ignoring("group", "href")
    def __init__(
        self,
        client: Client,
        name: str,
        weight: int | None = None,
        uri: str | None = None,
        flavor: str | None = None,
        auto_create: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.uri = uri
        self.weight = weight
        self.flavor = flavor
        self.options: dict[str, Any] = dict(options or {})
        super().__init__(client, name, auto_create)

    def update(self, pool_data: Mapping[str, Any]) -> None:
        """Change ``uri``, ``weight``, ``flavor`` or ``options``."""
        self._update(pool_data)

    def delete(self, *, force: bool = False) -> None:
        """Delete the pool; deleting a missing one succeeds.

        Args:
            force: Also if it has queues, which are lost: for a store that is.

        Raises:
            zaqarclient.transport.errors.ForbiddenError: It has queues.
        """
        self._call("delete", force=force or None)

    def drain(self, wait: int | None = None) -> DrainState:
        """Take all weight from the pool and move its queues to other pools.

        The service goes on when the call has returned. Call again to
        learn how far it is, until no queue is left.

        Args:
            wait: Seconds that the call may wait for the end, 0 to 20; the
                service's default if None.

        Returns:
            ``queues`` (how many are left), ``moved`` (since it began),
            ``running``, and ``error`` (why a queue stayed, None if none did).

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: There is no such
                pool, or the service cannot drain pools.
        """
        state: DrainState = self._call("drain", wait=wait)
        return state

    def get(self, *, detailed: bool = False) -> PoolDocument:
        """Return the pool as the service sees it.

        Args:
            detailed: Also ask for its ``options``.
        """
        query = {"detailed": True} if detailed else {}
        document: PoolDocument = self._call("get", **query)
        return document

    def _data(self) -> Document:
        data = {"uri": self.uri, "weight": self.weight, "options": self.options}
        return data | ({"flavor": self.flavor} if self.flavor else {})


def create_object(parent: Client) -> Callable[[Mapping[str, Any]], Pool]:
    """Return a function that makes a pool from a document."""
    return maker(functools.partial(Pool, parent, auto_create=False), _MEMBERS)
