"""Flavors: kinds of queues by the pools they live in, for administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.documents import split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zaqarclient.queues.v2.client import Client

__all__ = ["Flavor", "create_object"]


_MEMBERS = frozenset({"name", "pool_list", "capabilities"})


class Flavor:
    """A kind of queues.

    Args:
        client: The client.
        name: The name.
        pool_list: The pools of it.
        auto_create: Create or replace the flavor now.
        **kwargs: ``capabilities``; others are ignored.

    Attributes:
        pool_group: Without meaning since `pool_list` took its place; None.
    """

    pool_group: str | None = None

    #: Members of a listed one that this version of the client does not know.
    extra: Mapping[str, Any] = {}

    def __init__(
        self,
        client: Client,
        name: str,
        pool_list: Sequence[str] | None = None,
        auto_create: bool = True,
        **kwargs: Any,
    ) -> None:
        self.client = client
        self.name = name
        self.pool_list = pool_list
        self.capabilities: Any = kwargs.get("capabilities") or {}
        if auto_create:
            self.ensure_exists()

    def __repr__(self) -> str:
        return f"<Flavor {self.name}>"

    def ensure_exists(self) -> None:
        """Create or replace the flavor."""
        data = {"pool_list": self.pool_list}
        self._call("flavor_create", flavor_data=data)

    def update(self, flavor_data: Mapping[str, Any]) -> None:
        """Change ``pool_list``, which must be given."""
        self._call("flavor_update", flavor_data=flavor_data)
        for name, value in flavor_data.items():
            setattr(self, name, value)

    def delete(self) -> None:
        """Delete the flavor; a missing one is no error."""
        self._call("flavor_delete")

    def get(self) -> dict[str, Any]:
        """Return the flavor as the service sees it."""
        document: dict[str, Any] = self._call("flavor_get")
        return document

    def _call(self, operation: str, /, **arguments: Any) -> Any:
        return self.client.calls(operation, flavor_name=self.name, **arguments)


def create_object(parent: Client) -> Callable[[Mapping[str, Any]], Flavor]:
    """Return a function that makes a flavor from a document."""

    def create(document: Mapping[str, Any]) -> Flavor:
        known, extra = split(document, _MEMBERS)
        flavor = Flavor(parent, known.pop("name"), auto_create=False, **known)
        if extra:
            flavor.extra = extra
        return flavor

    return create
