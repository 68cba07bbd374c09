"""Pre-signed URLs: the rows of their operations."""

from __future__ import annotations

from zaqarserver.operations import frames, rest, sharing
from zaqarserver.operations.row import Body, Operation
from zaqarserver.operations.rows.paths import QUEUE, SIGNED_URL, SIGNED_URLS

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
    Operation(
        name="signed_url_list",
        method="GET",
        path=SIGNED_URLS,
        fields=sharing.SignedUrlList,
        policy="queues:share",
        handler=sharing.signed_url_list,
        render=rest.signed_url_list,
        frame=frames.signed_url_list,
        summary="List a queue's signed URLs that have not expired.",
    ),
    Operation(
        name="signed_url_revoke",
        method="DELETE",
        path=SIGNED_URL,
        fields=sharing.SignedUrlRef,
        policy="queues:share",
        handler=sharing.signed_url_revoke,
        status=204,
        summary="Refuse a signed URL from now on.",
    ),
)
