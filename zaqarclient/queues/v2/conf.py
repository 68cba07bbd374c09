"""What the arguments of a client mean (contract, SDK sections 3 and 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient import errors
from zaqarclient.auth import signed_url
from zaqarclient.auth.base import ConnectionOptions
from zaqarclient.transport import drivers

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["client_id_of", "connection_options", "resolved", "version_two"]


def version_two(version: object) -> int:
    """Return 2, for any spelling of it and for None.

    Raises:
        zaqarclient.errors.ZaqarError: It is another version, or none.
    """
    try:
        number = 2 if version is None else drivers.api_version(version)
    except ValueError:
        number = 0
    if number != 2:
        raise errors.ZaqarError(f"Unknown client version: {version!r}")
    return number


def resolved(
    url: str | None, conf: Mapping[str, Any] | None
) -> tuple[str | None, Mapping[str, Any]]:
    """Return URL and configuration, taken from a signed URL if it is one.

    Args:
        url: The service, or a signed URL in one line.
        conf: The configuration of the client; returned untouched unless the
            URL is a signed one, which says who asks, but not how certificates
            are checked.

    Raises:
        ValueError: The signed URL is not one.
    """
    conf = {} if conf is None else conf
    if url is None or not signed_url.is_signed_url(url):
        return url, conf
    signed = signed_url.parse_signed_url(url)
    given = (conf.get("auth_opts") or {}).get("options") or {}
    options = {**given, **signed.options()}
    auth_opts = {"backend": "signed-url", "options": options}
    return signed.endpoint, {**conf, "auth_opts": auth_opts}


def client_id_of(conf: Mapping[str, Any]) -> str | None:
    """Return the client id that a configuration names, or None.

    It belongs at the top, and may stand among the options of ``auth_opts``.
    """
    options = (conf.get("auth_opts") or {}).get("options") or {}
    return conf.get("client_uuid") or options.get("client_uuid") or None


def connection_options(conf: Mapping[str, Any]) -> ConnectionOptions:
    """Return how the connection is to behave.

    Raises:
        ValueError: ``timeout``, ``retries`` or ``max_retry_after`` is not a
            number in bounds.
    """
    _number(conf, "retries", above=-1)
    _number(conf, "max_retry_after", above=-1)
    return ConnectionOptions(
        timeout=_number(conf, "timeout", above=0), user_agent=conf.get("user_agent")
    )


def _number(conf: Mapping[str, Any], name: str, *, above: float) -> float | None:
    value = conf.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = above
    if not above < number < float("inf"):
        raise ValueError(f"{name} must be a number above {above}, not {value!r}")
    return number
