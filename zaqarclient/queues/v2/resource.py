"""Resources that are made from documents of the service."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    from zaqarclient.queues.v2.calls import Document
    from zaqarclient.queues.v2.client import Client


class _Extensible(Protocol):
    extra: Any


ExtensibleT = TypeVar("ExtensibleT", bound=_Extensible)


def maker(
    make: Callable[..., ExtensibleT], members: Collection[str]
) -> Callable[[Mapping[str, Any]], ExtensibleT]:
    """Return a function that makes a resource from a document of the service.

    A later version of the service may add members of any name, also that of an
    argument; they are kept apart, as ``extra``.

    Args:
        make: Makes it from the members.
        members: The members that `make` takes.
    """

    def create(document: Mapping[str, Any]) -> ExtensibleT:
        made = make(**{k: v for k, v in document.items() if k in members})
        extra = {k: v for k, v in document.items() if k not in members}
        if extra:
            made.extra = extra
        return made

    return create


class AdminResource:
    """A pool or flavor, known by its name; for administrators.

    Args:
        client: The client.
        name: The name.
        auto_create: Create or replace it now.
    """

    kind: ClassVar[str]
    """What it is: the beginning of its operations' names."""

    #: Members of a listed one that this version of the client does not know.
    extra: Mapping[str, Any] = {}

    def __init__(self, client: Client, name: str, auto_create: bool) -> None:
        self.client = client
        self.name = name
        if auto_create:
            self.ensure_exists()

    def __repr__(self) -> str:
        return f"<{self.kind.capitalize()} {self.name}>"

    def ensure_exists(self) -> None:
        """Create or replace it."""
        self._call("create", **{f"{self.kind}_data": self._data()})

    def _update(self, data: Mapping[str, Any]) -> None:
        self._call("update", **{f"{self.kind}_data": data})
        for name, value in data.items():
            setattr(self, name, value)

    def _data(self) -> Document:
        """Return the body that creates it."""
        raise NotImplementedError

    def _call(self, verb: str, /, **arguments: Any) -> Any:
        named = {f"{self.kind}_name": self.name, **arguments}
        return self.client.calls(f"{self.kind}_{verb}", **named)
