"""Resources that are made from documents of the service."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from zaqarclient.queues.v2.calls import Document
    from zaqarclient.queues.v2.client import Client

AdminResourceT = TypeVar("AdminResourceT", bound="AdminResource")


def split(
    document: Mapping[str, Any], known: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the members that a resource takes, and all others.

    A later version of the service may add members of any name, also that of an
    argument; they are kept apart.
    """
    mine = {name: value for name, value in document.items() if name in known}
    return mine, {k: value for k, value in document.items() if k not in known}


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


def admin_resource_maker(
    parent: Client, cls: Callable[..., AdminResourceT], members: Collection[str]
) -> Callable[[Mapping[str, Any]], AdminResourceT]:
    """Return a function that makes a pool or flavor from a document.

    Args:
        parent: The client.
        cls: What to make.
        members: The members of the document that the constructor takes.
    """

    def create(document: Mapping[str, Any]) -> AdminResourceT:
        known, extra = split(document, members)
        made = cls(parent, known.pop("name"), auto_create=False, **known)
        if extra:
            made.extra = extra
        return made

    return create
