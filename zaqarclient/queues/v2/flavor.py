"""Flavors: kinds of queues by the pools they live in, for administrators."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypedDict

from zaqarclient import names
from zaqarclient.queues.v2.resource import AdminResource, maker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zaqarclient.queues.v2.calls import Document
    from zaqarclient.queues.v2.client import Client
    from zaqarclient.queues.v2.documents import FlavorDocument


_MEMBERS = frozenset({"name", "pool_list", "capabilities"})


class FlavorOptions(TypedDict, total=False):
    """The further arguments of `Flavor`."""

    pool_list: Sequence[str] | None
    auto_create: bool
    capabilities: Any


@names.checked
class Flavor(AdminResource):
    """A kind of queues.

    Args:
        client: The client.
        name: The name.
        pool_list: The pools of it.
        auto_create: Create or replace the flavor now.
        capabilities: What is known of them; they are not sent.

    Attributes:
        pool_group: Without meaning since `pool_list` took its place; None.
    """

    kind = "flavor"
    pool_group: str | None = None

    @names.ignoring("pool_group", "href")
    def __init__(
        self,
        client: Client,
        name: str,
        pool_list: Sequence[str] | None = None,
        auto_create: bool = True,
        capabilities: Any = None,
    ) -> None:
        self.pool_list = pool_list
        self.capabilities: Any = capabilities or {}
        super().__init__(client, name, auto_create)

    def update(self, flavor_data: Mapping[str, Any]) -> None:
        """Change ``pool_list``, which must be given."""
        self._update(flavor_data)

    def delete(self) -> None:
        """Delete the flavor; deleting a missing one succeeds."""
        self._call("delete")

    def get(self) -> FlavorDocument:
        """Return the flavor as the service has it."""
        document: FlavorDocument = self._call("get")
        return document

    def _data(self) -> Document:
        return {"pool_list": self.pool_list}


def create_object(parent: Client) -> Callable[[Mapping[str, Any]], Flavor]:
    """Return a function that makes a flavor from a document."""
    return maker(functools.partial(Flavor, parent, auto_create=False), _MEMBERS)
