"""Flows of subscriptions (contract, REST 2.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.operations import flow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.queues.v2.operations.flow import Document, Flow


def subscription_list(queue_name: str, **query: Any) -> Flow[Document]:
    """Return one page of subscriptions."""
    return (
        yield from flow.page(
            "subscriptions", "subscription_list", queue_name=queue_name, **query
        )
    )


def subscription_create(
    queue_name: str, subscription_data: Mapping[str, Any]
) -> Flow[Any]:
    """Subscribe to a queue and return ``{"subscription_id": ...}``."""
    return (
        yield from flow.read(
            "subscription_create",
            queue_name=queue_name,
            subscription_data=subscription_data,
        )
    ) or {}


def subscription_get(queue_name: str, subscription_id: str) -> Flow[Any]:
    """Return one subscription."""
    return (
        yield from flow.read(
            "subscription_get", queue_name=queue_name, subscription_id=subscription_id
        )
    ) or {}


def subscription_update(
    queue_name: str, subscription_id: str, subscription_data: Mapping[str, Any]
) -> Flow[None]:
    """Change subscriber, ttl or options."""
    yield from flow.done(
        "subscription_update",
        queue_name=queue_name,
        subscription_id=subscription_id,
        subscription_data=subscription_data,
    )


def subscription_confirm(
    queue_name: str, subscription_id: str, confirmed: bool = True
) -> Flow[None]:
    """Say that the subscriber wants the messages, or wants them no more."""
    yield from flow.done(
        "subscription_confirm",
        queue_name=queue_name,
        subscription_id=subscription_id,
        confirmed=confirmed,
    )


def subscription_delete(queue_name: str, subscription_id: str) -> Flow[None]:
    """End a subscription."""
    yield from flow.done(
        "subscription_delete", queue_name=queue_name, subscription_id=subscription_id
    )
