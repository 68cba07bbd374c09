"""Flows of pre-signed URLs (contract, REST 2.8)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.operations import flow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zaqarclient.queues.v2.operations.flow import Document, Flow


def signed_url_create(
    queue_name: str,
    paths: Sequence[str] | None = None,
    ttl_seconds: float | None = None,
    project_id: str | None = None,
    methods: Sequence[str] | None = None,
    expires: str | None = None,
) -> Flow[Document]:
    """Return the parts of a pre-signed URL (REST 2.8).

    Args:
        queue_name: The queue.
        paths: ``messages``, ``claims``, ``subscriptions``.
        ttl_seconds: How long it holds, by this machine's clock.
        project_id: Refused by services of version 2; leave it out.
        methods: The HTTP methods that it allows.
        expires: When it ends, as ISO 8601; goes before `ttl_seconds`.
    """
    if expires is None and ttl_seconds is not None:
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ttl_seconds)
        expires = ends.replace(tzinfo=None).isoformat()
    return (
        yield from flow.read(
            "signed_url_create",
            queue_name=queue_name,
            paths=list(paths) if paths else None,
            methods=list(methods) if methods else None,
            expires=expires,
            project_id=project_id,
        )
    ) or {}


def signed_url_list(queue_name: str, **query: Any) -> Flow[Document]:
    """Return one page of the signed URLs that have not expired."""
    return (
        yield from flow.page(
            "signed_urls", "signed_url_list", queue_name=queue_name, **query
        )
    )


def signed_url_revoke(queue_name: str, signed_url_id: str) -> Flow[None]:
    """Have a signed URL refused from the next request on."""
    yield from flow.done(
        "signed_url_revoke", queue_name=queue_name, signed_url_id=signed_url_id
    )
