"""Claims: the rows of their operations."""

from __future__ import annotations

from zaqarserver.operations import claims, frames, rest
from zaqarserver.operations.row import Body, Operation
from zaqarserver.operations.rows.paths import CLAIM, CLAIMS

ROWS: tuple[Operation, ...] = (
    Operation(
        name="claim_create",
        method="POST",
        path=CLAIMS,
        fields=claims.ClaimCreate,
        policy="claims:create",
        handler=claims.claim_create,
        status=201,
        render=rest.claim_create,
        body=Body.OPTIONAL,
        frame=frames.claim_create,
        undo=claims.claim_undo,
        summary="Claim the oldest free messages.",
    ),
    Operation(
        name="claim_get",
        method="GET",
        path=CLAIM,
        fields=claims.ClaimRef,
        policy="claims:get",
        handler=claims.claim_get,
        shows_claim=True,
        render=rest.claim_get,
        frame=frames.claim_get,
        summary="Show a claim and what it still holds.",
    ),
    Operation(
        name="claim_update",
        method="PATCH",
        path=CLAIM,
        fields=claims.ClaimUpdate,
        policy="claims:update",
        handler=claims.claim_update,
        status=204,
        body=Body.REQUIRED,
        frame=frames.claim_update,
        summary="Renew a claim.",
    ),
    Operation(
        name="claim_delete",
        method="DELETE",
        path=CLAIM,
        fields=claims.ClaimRef,
        policy="claims:delete",
        handler=claims.claim_delete,
        status=204,
        frame=frames.claim_delete,
        summary="Release a claim.",
    ),
)
