"""The service itself: the rows of their operations."""

from __future__ import annotations

from zaqarserver.operations import rest, service
from zaqarserver.operations.row import Operation

ROWS: tuple[Operation, ...] = (
    Operation(
        name="homedoc_get",
        method="GET",
        path="/v2/",
        fields=service.Nothing,
        policy=None,
        handler=service.homedoc_get,
        render=rest.homedoc_get,
        summary="Show what there is and where.",
    ),
    Operation(
        name="ping",
        method="GET",
        path="/v2/ping",
        fields=service.Nothing,
        policy="ping:get",
        handler=service.ping,
        status=204,
        head=True,
        summary="Check that the service and its store answer.",
    ),
    Operation(
        name="health",
        method="GET",
        path="/v2/health",
        fields=service.Nothing,
        policy="health:get",
        handler=service.health,
        render=rest.health,
        admin=True,
        summary="Try every kind of storage operation.",
    ),
)
