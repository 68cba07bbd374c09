"""A stage that masks members that should not be stored, such as card numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from zaqarserver.errors import BadRequest
from zaqarserver.stages.base import Stage, StageContext

KEY = "_redact"


class Redact(Stage):
    """Masks the members that the queue's ``_redact`` names.

    With ``_redact: ["card"]`` the body ``{"card": "4111", "item": "tea"}`` is stored
    as ``{"card": "***", "item": "tea"}``.
    """

    switch = KEY

    def check_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Refuse anything but a list of names."""
        names = metadata.get(KEY, [])
        if not isinstance(names, list) or not all(
            isinstance(name, str) for name in names
        ):
            raise BadRequest(f"{KEY} must be a list of names.")

    def post(self, context: StageContext, body: bytes) -> bytes | None:
        """Mask the members; leave bodies that are not objects unchanged."""
        document = json.loads(body)
        if not isinstance(document, dict):
            return body
        for name in context.metadata[KEY]:
            if name in document:
                document[name] = "***"
        return json.dumps(document).encode()
