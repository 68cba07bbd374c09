"""The plugin of ``openstack``: global options and the client.

This module is imported at every start of ``openstack``, whatever the command,
so it imports nothing beyond the standard library until a client is made.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from zaqarclient.queues.v2.client import Client

    _Parser = TypeVar("_Parser", argparse.ArgumentParser, argparse._ArgumentGroup)  # noqa: SLF001 - a group has no public name

LOG = logging.getLogger(__name__)

API_NAME = "messaging"
API_VERSION_OPTION = "os_queues_api_version"
API_VERSIONS = {"2": "zaqarclient.queues.v2.client.Client"}
DEFAULT_API_VERSION = "2"
DEFAULT_QUEUES_API_VERSION = DEFAULT_API_VERSION

#: The project of a server without authentication, when none is named.
DEFAULT_NOAUTH_PROJECT = "fake_project_id_for_noauth"


class Secret(str):
    """A text that ``--debug``, which shows all options, does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return something else."""
        return "'***'"


def api_version(text: str) -> str:
    """Return the major version that ``2``, ``2.0``, ``v2`` or ``v2.0`` mean.

    Anything else comes back unchanged: it is reported by
    :func:`check_api_version`, and only to users of this service.
    """
    return "2" if text.strip().lower().removeprefix("v") in {"2", "2.0"} else text


def hide_retries() -> None:
    """Log retries only where ``--verbose`` or ``--debug`` is given.

    A command that fails says why once.
    """
    logging.getLogger("zaqarclient.transport.retry").addFilter(_as_information)


def _as_information(record: logging.LogRecord) -> bool:
    # One program has the level at the logger, the other at the handler.
    record.levelno, record.levelname = logging.INFO, "INFO"
    return logging.getLogger("zaqarclient").isEnabledFor(logging.INFO)


def check_api_version(version: str) -> bool:
    """Warn of an API version that cannot be used; called by ``openstack``.

    Returns:
        Always true: the message here replaces the general one.
    """
    if version.lower().startswith("v") and api_version(version) in API_VERSIONS:
        # It came from clouds.yaml, past the parser; openstack looks for
        # commands by what is written there.
        LOG.warning("write messaging API version %s as 2", version)
    elif version.lower().removeprefix("v") in {"1", "1.0", "1.1"}:
        LOG.warning("messaging API version %s was removed: use version 2", version)
    elif api_version(version) not in API_VERSIONS:
        LOG.warning("messaging API version %s does not exist: use 2", version)
    return True


def build_option_parser(parser: _Parser) -> _Parser:
    """Add the global options of this service to a parser, or a group of one."""
    add_option(
        parser,
        "--os-queues-api-version",
        "queues-api-version",
        "OS_QUEUES_API_VERSION",  # no default: clouds.yaml may name another
        "Version of the messaging API; 2 is the only one (default: 2)",
        api_version,
    )
    add_option(
        parser,
        "--os-queues-endpoint",
        "url",
        "OS_QUEUES_ENDPOINT",
        "URL of the messaging service, of HTTP or WebSocket (ws://); the catalog is "
        "not asked, and a server without authentication needs nothing else",
    )
    add_option(
        parser,
        "--os-queues-project-id",
        "project-id",
        "OS_QUEUES_PROJECT_ID",
        "ID of the project to name to the service; only one without authentication "
        f"needs it (default there: {DEFAULT_NOAUTH_PROJECT})",
    )
    add_option(
        parser,
        "--os-queues-roles",
        "roles",
        "OS_QUEUES_ROLES",
        "Roles to act in, with commas between, for a service without "
        "authentication: admin may ask for its health; others ignore this",
    )
    add_option(
        parser,
        "--signed-url",
        "signed-url",
        "ZAQAR_SIGNED_URL",
        "Work on one queue with nothing but what `queue signed url --output url` "
        "(or https) printed: the line itself, @FILE, or - for the first line of the "
        "standard input. All other endpoints and credentials are ignored",
        Secret,
    )
    return parser


def add_option(
    parser: _Parser,
    name: str,
    placeholder: str,
    variable: str,
    text: str,
    convert: Callable[[str], str] = str,
) -> None:
    """Add an option whose default is a variable of the environment."""
    parser.add_argument(
        name,
        metavar=f"<{placeholder}>",
        type=convert,
        default=os.environ.get(variable) or None,
        help=f"{text} (Env: {variable})",
    )


def needs_authentication(config: dict[str, Any]) -> bool:
    """Return True if a cloud configuration requires authentication.

    A signed URL suffices. Naming the endpoint of the service is
    enough for a server without authentication, so credentials are needed only
    when there are traces of some, or when there is no endpoint.

    Args:
        config: The merged options, environment and ``clouds.yaml`` of the
            program.
    """
    if config.get("signed_url"):
        return False
    if not config.get("queues_endpoint"):
        return True
    auth = config.get("auth") or {}
    # Before a plugin is loaded, options and variables are not in `auth` yet.
    traces = ("auth_url", "token", "endpoint")
    return any(auth.get(key) or config.get(key) for key in traces)


def make_client(instance: Any) -> Client:
    """Build the client of this service for a client manager of ``openstack``.

    Requests go through the session of the program, so its TLS settings, client
    certificate, timing and debug output hold for this service too.

    Args:
        instance: The client manager.
    """
    from zaqarclient.queues import client  # noqa: PLC0415 - not at every start

    hide_retries()
    options = instance._cli_options  # noqa: SLF001 - no public way to it
    config = options.config
    version = api_version(str(instance._api_version[API_NAME]))  # noqa: SLF001
    endpoint = config.get("queues_endpoint")
    if not needs_authentication(config):
        # openstack looks there for timings, and for connections to close.
        instance.session = _session(instance)
        if config.get("signed_url"):
            return signed_client(config["signed_url"], instance.session)
        conf = _noauth_conf(config)
        return client.Client(endpoint, int(version), conf, instance.session)
    instance.setup_auth()
    if not endpoint:
        endpoint = instance.get_endpoint_for_service_type(
            API_NAME,
            region_name=instance.region_name,
            interface=instance.interface,
        )
    if config.get("auth_type") == "none":
        conf = _noauth_conf(config)
    else:
        auth = config.get("auth") or {}
        project = config.get("queues_project_id") or auth.get("project_id")
        conf = {"auth_opts": {"options": {"os_project_id": project}}}
    return client.Client(endpoint, int(version), conf, instance.session)


def signed_client(
    text: str, session: Any, conf: dict[str, Any] | None = None
) -> Client:
    """Return a client whose only credentials are a signed URL.

    Args:
        text: The value of ``--signed-url``.
        session: A keystoneauth1 session without credentials.
        conf: As for the client.

    Raises:
        zaqarclient.errors.ZaqarError: The text is not a signed URL.
    """
    from zaqarclient.queues import signed  # noqa: PLC0415 - not at every start

    return signed.SignedClient(signed.read(text), session, conf)


def _noauth_conf(config: dict[str, Any]) -> dict[str, Any]:
    options = {
        "os_project_id": config.get("queues_project_id"),
        "os_roles": config.get("queues_roles"),
    }
    return {"auth_opts": {"backend": "noauth", "options": options}}


def _session(instance: Any) -> Any:
    """Return a session like that of the program, but without credentials."""
    from keystoneauth1 import session  # noqa: PLC0415 - not at every start

    return session.Session(
        verify=instance.verify, cert=instance.cert, collect_timing=instance.timing
    )
