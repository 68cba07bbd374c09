"""An API with one operation."""

from __future__ import annotations

from typing import Any, ClassVar

from zaqarclient.transport import api

__all__ = ["FakeApi"]


class FakeApi(api.Api):
    """Knows ``test_operation``, which needs a ``name``."""

    label = "v2"
    schema: ClassVar[dict[str, dict[str, Any]]] = {
        "test_operation": {
            "ref": "test/{name}",
            "method": "GET",
            "properties": {"name": {"type": "string"}, "address": {"type": "string"}},
            "additionalProperties": False,
            "required": ["name"],
        }
    }
