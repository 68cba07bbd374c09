"""Flows of flavors (contract, REST 2.13)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.operations import flow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.queues.v2.operations.flow import Document, Flow


def flavor_get(flavor_name: str) -> Flow[Any]:
    """Return one flavor."""
    return (yield from flow.read("flavor_get", flavor_name=flavor_name)) or {}


def flavor_create(flavor_name: str, flavor_data: Mapping[str, Any]) -> Flow[None]:
    """Create or replace a flavor."""
    yield from flow.done(
        "flavor_create", flavor_name=flavor_name, flavor_data=flavor_data
    )


def flavor_update(flavor_name: str, flavor_data: Mapping[str, Any]) -> Flow[Any]:
    """Change a flavor and return it."""
    return (
        yield from flow.read(
            "flavor_update", flavor_name=flavor_name, flavor_data=flavor_data
        )
    ) or {}


def flavor_delete(flavor_name: str) -> Flow[None]:
    """Delete a flavor."""
    yield from flow.done("flavor_delete", flavor_name=flavor_name)


def flavor_list(**query: Any) -> Flow[Document]:
    """Return one page of flavors."""
    return (yield from flow.page("flavors", "flavor_list", **query))
