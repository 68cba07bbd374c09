"""The answer to one request."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zaqarclient.transport.request import Request

_LOG = logging.getLogger(__name__)


class Response:
    """The answer to one request.

    Args:
        request: The request that it answers; None if made by hand.
        content: The body as text, empty or None if there is none.
        headers: The headers; on the wire their case means nothing.
        status_code: The status; None if made by hand.
    """

    __slots__ = ("_content", "_deserialized", "headers", "request", "status_code")

    def __init__(
        self,
        request: Request | None,
        content: str | None,
        headers: Mapping[str, str] | None = None,
        status_code: int | None = None,
    ) -> None:
        self.request = request
        self._content = content
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.status_code = status_code
        self._deserialized: Any = None

    @classmethod
    def of(
        cls,
        request: Request,
        document: Any,
        headers: Mapping[str, str],
        status_code: int,
    ) -> Response:
        """Return an answer whose body is already decoded, None for none."""
        response = cls(request, None, headers, status_code)
        response._deserialized = document
        return response

    @property
    def content(self) -> str | None:
        """The body as text, empty or None if there is none."""
        if self._content is None and self._deserialized is not None:
            self._content = json.dumps(self._deserialized)
        return self._content

    @content.setter
    def content(self, text: str | None) -> None:
        self._content, self._deserialized = text, None

    @property
    def deserialized_content(self) -> Any:
        """The body read as JSON, or None if it is empty or not JSON."""
        if not self._deserialized and self._content:
            try:
                self._deserialized = json.loads(self._content)
            except ValueError:
                _LOG.info("The answer is not JSON: %.80r", self._content)
        return self._deserialized

    def header(self, name: str) -> str | None:
        """Return the header of this name, in any case, or None."""
        wanted = name.lower()
        for key, value in self.headers.items():
            if key.lower() == wanted:
                return value
        return None
