"""A stage that masks what should not be kept, such as card numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from zaqarserver.errors import BadRequest
from zaqarserver.stages.base import Place, Stage

KEY = "_redact"


class Redact(Stage):
    """Masks the members that the queue's ``_redact`` names.

    With ``_redact: ["card"]`` the body ``{"card": "4111", "item": "tea"}`` is kept
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

    def post(self, place: Place, body: bytes) -> bytes | None:
        """Mask the members; leave bodies that are no objects alone."""
        document = json.loads(body)
        if not isinstance(document, dict):
            return body
        for name in place.metadata[KEY]:
            if name in document:
                document[name] = "***"
        return json.dumps(document).encode()
