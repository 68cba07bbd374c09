"""Pre-signed URLs: the rows of their operations."""

from __future__ import annotations

from zaqarserver.operations import sharing
from zaqarserver.operations.row import Body, Operation
from zaqarserver.operations.rows.paths import QUEUE

ROWS: tuple[Operation, ...] = (
    Operation(
        name="signed_url_create",
        method="POST",
        path=QUEUE + "/share",
        fields=sharing.SignedUrlCreate,
        policy="queues:share",
        handler=sharing.signed_url_create,
        body=Body.REQUIRED,
        summary="Sign access to a queue for somebody without credentials.",
    ),
)
