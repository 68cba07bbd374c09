"""Flows of pools (contract, REST 2.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.operations import flow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.queues.v2.operations.flow import Document, Flow


def pool_get(pool_name: str, **query: Any) -> Flow[Any]:
    """Return one pool; with ``detailed`` its options too."""
    return (yield from flow.read("pool_get", pool_name=pool_name, **query)) or {}


def pool_create(pool_name: str, pool_data: Mapping[str, Any]) -> Flow[None]:
    """Create or replace a pool."""
    yield from flow.done("pool_create", pool_name=pool_name, pool_data=pool_data)


def pool_update(pool_name: str, pool_data: Mapping[str, Any]) -> Flow[Any]:
    """Change a pool and return it."""
    return (
        yield from flow.read("pool_update", pool_name=pool_name, pool_data=pool_data)
    ) or {}


def pool_delete(pool_name: str, force: bool = False) -> Flow[None]:
    """Delete a pool; with `force` also one that has queues, which are lost."""
    # What is not asked for is not sent: services of old know nothing of it.
    yield from flow.done("pool_delete", pool_name=pool_name, force=force or None)


def pool_drain(pool_name: str, wait: int | None = None) -> Flow[Document]:
    """Begin, or go on, to move the queues of a pool to others.

    Args:
        pool_name: The pool.
        wait: Seconds that the service may wait for the end, 0 to 20; its own
            default if None.

    Returns:
        How far it is; see `Pool.drain`.
    """
    return (yield from flow.read("pool_drain", pool_name=pool_name, wait=wait)) or {}


def pool_list(**query: Any) -> Flow[Document]:
    """Return one page of pools."""
    return (yield from flow.page("pools", "pool_list", **query))
