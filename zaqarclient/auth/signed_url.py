"""Access with a pre-signed URL in place of a token (contract, REST 2.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zaqarclient import errors
from zaqarclient.auth import base

if TYPE_CHECKING:
    from zaqarclient.transport.request import Request

__all__ = ["SignedURLAuth"]


class SignedURLAuth(base.AuthBackend):
    """Presents a signature that `Queue.signed_url` made.

    Options: ``paths``, ``methods``, ``expires``, ``signature`` as the service
    gave them, and ``os_project_id`` or ``project_id``.
    """

    def authenticate(
        self,
        api_version: object,  # noqa: ARG002 - the same for every version
        request: Request,
    ) -> Request:
        """Add the signature headers.

        Raises:
            zaqarclient.errors.ZaqarError: A part of the signature is missing.
        """
        expected = ("paths", "methods", "expires", "signature")
        missing = [name for name in expected if not self.conf.get(name)]
        if missing:
            raise errors.ZaqarError(
                "a signed URL needs the options " + ", ".join(missing)
            )
        request.headers["URL-Paths"] = _joined(self.conf["paths"])
        request.headers["URL-Methods"] = _joined(self.conf["methods"])
        request.headers["URL-Expires"] = str(self.conf["expires"])
        request.headers["URL-Signature"] = str(self.conf["signature"])
        # The project is part of what was signed.
        request.headers["X-Project-Id"] = self.project_id() or ""
        if base.uses_http(request):
            self.connect(request, request.session)
        return request


def _joined(values: str | list[str]) -> str:
    return values if isinstance(values, str) else ",".join(values)
