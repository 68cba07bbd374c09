"""Flows of pools (contract, REST 2.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.api import Call
from zaqarclient.queues.v2.operations import flow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.queues.v2.operations.flow import Document, Flow


def pool_get(pool_name: str, **query: Any) -> Flow[Any]:
    """Return one pool; with ``detailed`` its options too."""
    return (yield from flow.read("pool_get", pool_name=pool_name, **query))


def pool_create(pool_name: str, pool_data: Mapping[str, Any]) -> Flow[None]:
    """Create or replace a pool."""
    yield Call("pool_create", {"pool_name": pool_name, "pool_data": pool_data})


def pool_update(pool_name: str, pool_data: Mapping[str, Any]) -> Flow[Any]:
    """Change a pool and return it."""
    return (
        yield from flow.read("pool_update", pool_name=pool_name, pool_data=pool_data)
    )


def pool_delete(pool_name: str) -> Flow[None]:
    """Delete a pool."""
    yield Call("pool_delete", {"pool_name": pool_name})


def pool_list(**query: Any) -> Flow[Document]:
    """Return one page of pools."""
    return (yield from flow.page("pools", "pool_list", **query))
