"""Quotas: the rows of their operations."""

from __future__ import annotations

from zaqarserver.operations import quotas
from zaqarserver.operations.row import Operation
from zaqarserver.operations.rows.paths import QUOTAS

ROWS: tuple[Operation, ...] = (
    Operation(
        name="quota_show",
        method="GET",
        path=QUOTAS,
        fields=quotas.QuotaShow,
        policy="quota:get",
        handler=quotas.quota_show,
        summary="Show what the project may use, and what it uses.",
    ),
    Operation(
        name="quota_show_project",
        method="GET",
        path=QUOTAS + "/{project_id}",
        fields=quotas.QuotaShowProject,
        policy="quota:get_project",
        handler=quotas.quota_show_project,
        admin=True,
        summary="Show what any project may use, and what it uses.",
    ),
)
