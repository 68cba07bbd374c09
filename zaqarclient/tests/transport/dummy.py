"""A transport to nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zaqarclient.transport import base

if TYPE_CHECKING:
    from zaqarclient.transport.request import Request

__all__ = ["DummyTransport"]


class DummyTransport(base.Transport):
    """Takes every request, sends nothing and answers nothing."""

    def send(self, request: Request) -> None:
        """Return None."""
