"""A check of message bodies against a JSON Schema in the queue's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from zaqarserver.errors import BadRequest
from zaqarserver.stages.base import Place, Stage

KEY = "_json_schema"
#: Schemas that are kept compiled.
_KEPT = 256


class JsonSchema(Stage):
    """Refuses messages that do not fit the ``_json_schema`` of their queue.

    Patterns are matched in linear time and references to other documents are
    not followed, so that a schema can neither stall the server nor make it
    fetch anything.
    """

    switch = KEY

    def check_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Refuse what is no JSON Schema."""
        schema = metadata.get(KEY)
        if schema is None:
            return
        if not isinstance(schema, dict):
            raise BadRequest(f"{KEY} must be a JSON Schema, an object.")
        try:
            _validator(msgspec.json.encode(schema))
        except ValueError as error:
            reason = str(error).partition("\n")[0]
            raise BadRequest(f"{KEY} is not a JSON Schema: {reason}") from None

    def post(self, place: Place, body: bytes) -> bytes:
        """Refuse a body that does not fit."""
        schema = place.metadata.get(KEY)
        if schema is None:
            return body
        validator = _validator(msgspec.json.encode(schema))
        for error in validator.iter_errors(msgspec.json.decode(body)):
            where = "".join(f"[{part!r}]" for part in error.instance_path)
            raise BadRequest(f"The message body{where} does not fit: {error.message}")
        return body


def _refuse(uri: str) -> None:
    raise ValueError(f"references to other documents are not followed: {uri}")


@lru_cache(maxsize=_KEPT)
def _validator(schema: bytes) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(
        msgspec.json.decode(schema),
        retriever=_refuse,
        pattern_options=jsonschema_rs.RegexOptions(),
    )
