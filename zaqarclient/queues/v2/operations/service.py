"""Flows of the service itself (contract, REST 1.3, 2.1, 2.2) and of quotas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from zaqarclient.errors import ZaqarError
from zaqarclient.queues.v2.api import Call
from zaqarclient.queues.v2.operations import flow
from zaqarclient.transport import errors

if TYPE_CHECKING:
    from zaqarclient.queues.v2.operations.flow import Document, Flow


def ping() -> Flow[bool]:
    """Return whether the service answers and says that it is well.

    Whatever the transport fails with means no (contract, SDK section 8); that
    there are no usable credentials is told.
    """
    try:
        response = yield Call("ping", {})
    except errors.TransportError:
        return False
    except ZaqarError:
        raise
    except Exception:  # noqa: BLE001 - of a library below, or of a caller's own transport
        return False
    return response.status_code is None or 200 <= response.status_code < 300


def health() -> Flow[Any]:
    """Return the health report, also one that says that something failed.

    The service answers that with 503 and the same document.
    """
    try:
        return (yield from flow.read("health"))
    except errors.ServiceUnavailableError as error:
        report = _report(error.text)
        if report is None:
            raise
        return report


def _report(text: str | None) -> dict[str, Any] | None:
    try:
        document = json.loads(text or "")
    except ValueError:
        return None
    parts = {"storage_reachable", "catalog_reachable"}
    return document if isinstance(document, dict) and parts & set(document) else None


def homedoc() -> Flow[Any]:
    """Return the home document."""
    return (yield from flow.read("homedoc"))


def quota_show(project_id: str | None = None) -> Flow[Document]:
    """Return limits and use of the caller's project, or of another one."""
    if project_id is None:
        return (yield from flow.read("quota_show")) or {}
    return (yield from flow.read("quota_show_project", project_id=project_id)) or {}


def quota_show_project(project_id: str) -> Flow[Document]:
    """Return limits and use of any project, for administrators."""
    return quota_show(project_id)
