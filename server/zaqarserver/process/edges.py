"""Settings of the edges: what pages of which origins may do, and their own URLs."""

from __future__ import annotations

from oslo_config import cfg

from zaqarserver.http.answers import Cors


def cors_of(conf: cfg.ConfigOpts) -> Cors | None:
    """Return which origins' pages may read answers; ``None`` for none."""
    origins = conf.cors.allowed_origin
    if not origins:
        return None
    return Cors(origins, credentials=conf.cors.allow_credentials)


def origins_of(conf: cfg.ConfigOpts) -> frozenset[str] | None:
    """Return the origins whose pages may open WebSockets; ``None`` for all.

    With authentication, a foreign page lacks the token. Without it, any page in a
    developer's browser could use the server on the same machine.
    """
    if conf.auth_strategy or "*" in conf.cors.allowed_origin:
        return None
    return frozenset(conf.cors.allowed_origin)


def push_base_of(conf: cfg.ConfigOpts) -> str:
    """Return the start of the subscriber URIs of push subscriptions."""
    host = conf.websocket.host
    shown = f"[{host}]" if ":" in host else host
    port = conf.websocket.port
    return f"http://{shown}:{port}" if port else f"http://{shown}"
