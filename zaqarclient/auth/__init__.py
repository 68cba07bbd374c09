"""Authentication backends: the credentials and connection of requests."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

from zaqarclient import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.auth.base import AuthBackend

# Modules are named, not imported: what they need is loaded at the first call.
_BACKENDS = {
    "noauth": ("zaqarclient.auth.base", "NoAuth"),
    "keystone": ("zaqarclient.auth.keystone", "KeystoneAuth"),
    "signed-url": ("zaqarclient.auth.signed_url", "SignedURLAuth"),
}


def get_backend(
    backend: str | AuthBackend = "keystone", options: Mapping[str, Any] | None = None
) -> AuthBackend:
    """Return a new authentication backend, or the one given.

    Args:
        backend: ``noauth``, ``keystone`` or ``signed-url``, or a backend.
        options: What the backend needs (contract, SDK section 5).

    Raises:
        zaqarclient.errors.UnknownBackend: There is no such backend.
    """
    if not isinstance(backend, str):
        return backend
    try:
        module, name = _BACKENDS[backend]
    except KeyError:
        known = ", ".join(sorted(_BACKENDS))
        raise errors.UnknownBackend(
            f"there is no authentication backend {backend!r}; there are: {known}"
        ) from None
    backend_class = getattr(importlib.import_module(module), name)
    return cast("AuthBackend", backend_class(options or {}))
