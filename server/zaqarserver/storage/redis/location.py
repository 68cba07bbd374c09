"""Where the store is: its URI, its options, and the addresses of its hosts."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import ipaddress
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import msgspec

from zaqarserver.common.tasks import SingleFlight, in_thread
from zaqarserver.errors import SettingsError
from zaqarserver.storage.uris import masked

N = TypeVar("N", int, float)

FORMS = (
    "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss://… (TLS), "
    "redis:///PATH/OF/SOCKET, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE[/DATABASE] "
    "or redis+cluster://HOST:PORT,HOST:PORT"
)
_PORT = 6379
_SENTINEL_PORT = 26379
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


class Kind(enum.Enum):
    """How the servers are found."""

    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Address(msgspec.Struct, frozen=True):
    """A server: a host and a port, or a socket in the file system.

    Attributes:
        host: The host, or the path of the socket.
        port: The port; 0 for a socket in the file system.
    """

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else self.host


class RedisCredentials(msgspec.Struct, frozen=True):
    """A user and a password; each may be empty."""

    username: str = ""
    password: str = ""


class RedisLocation(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in a URI and its options.

    Attributes:
        kind: How the servers are found.
        addresses: The server, the sentinels, or some nodes of the cluster.
        service: The name that the sentinels know the servers by.
        database: The number of the database; 0 in a cluster.
        credentials: For the servers.
        sentinel_credentials: For the sentinels.
        tls: Whether connections are encrypted.
        ca_file: The authorities to trust with TLS; empty for those of the system.
        cert_file: The own certificate, or empty.
        key_file: Its key, or empty.
        prefix: What all keys begin with.
        timeout: Seconds after which a connection without replies is closed.
        connect_timeout: Seconds for a connection to be made.
        retry: Seconds during which a request is sent again.
        wait_replicas: How many replicas must have a change before it is
            acknowledged.
        wait_timeout: Seconds that these replicas get.
    """

    kind: Kind
    addresses: tuple[Address, ...]
    service: str = ""
    database: int = 0
    credentials: RedisCredentials = RedisCredentials()
    sentinel_credentials: RedisCredentials = RedisCredentials()
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: str = "zaqar"
    timeout: float = 5.0
    connect_timeout: float = 2.0
    retry: float = 2.0
    wait_replicas: int = 0
    wait_timeout: float = 1.0


# -- options ------------------------------------------------------------------


def _number(kind: type[N], minimum: float, maximum: float) -> Callable[[str], N]:
    def read(text: str) -> N:
        value = kind(text)
        if not minimum <= value <= maximum:
            raise ValueError(f"between {minimum:g} and {maximum:g}")
        return value

    return read


def _switch(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _prefix(text: str) -> str:
    if _PREFIX.fullmatch(text) is None:
        raise ValueError("1 to 64 letters, digits, _ . : -")
    return text


#: The options, how each is read, and what is expected.
OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "database": (_number(int, 0, 65535), "a number of 0 or more"),
    "tls": (_switch, "true or false"),
    "ca_file": (str, "a path"),
    "cert_file": (str, "a path"),
    "key_file": (str, "a path"),
    "prefix": (_prefix, "1 to 64 letters, digits, _ . : -"),
    "timeout": (_number(float, 0.1, 600), "seconds, 0.1 to 600"),
    "connect_timeout": (_number(float, 0.1, 600), "seconds, 0.1 to 600"),
    "retry": (_number(float, 0, 60), "seconds, 0 to 60"),
    "wait_replicas": (_number(int, 0, 100), "a number, 0 to 100"),
    "wait_timeout": (_number(float, 0.01, 60), "seconds, 0.01 to 60"),
    "sentinel_username": (str, "a name"),
    "sentinel_password": (str, "a password"),
}


def _read_options(query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            raise SettingsError(
                f"the redis store has no option {name!r}; it has: {', '.join(OPTIONS)}"
            )
        read, expected = OPTIONS[name]
        try:
            found[name] = read(text)
        except (ValueError, KeyError) as error:
            raise SettingsError(
                f"{name} is {text!r}; it should be {expected}"
            ) from error
    return found


# -- the URI --------------------------------------------------------------------


def _refuse(uri: str, why: str) -> SettingsError:
    return SettingsError(
        f"{masked(uri)!r} does not name a Redis store: {why}; use {FORMS}"
    )


def _addresses(uri: str, text: str, port: int) -> tuple[Address, ...]:
    found = []
    for one in text.split(","):
        try:
            parts = urlsplit(f"//{one}")
            host, number = parts.hostname, parts.port
        except ValueError as error:
            raise _refuse(uri, f"{one!r} is not HOST:PORT") from error
        if not host or parts.path:
            raise _refuse(uri, f"{one!r} is not HOST:PORT")
        found.append(Address(host, port if number is None else number))
    return tuple(found)


def _database(uri: str, text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise _refuse(uri, f"{text!r} is not the number of a database")
    return int(text)


def _standalone(uri: str, hosts: str, path: str) -> dict[str, Any]:
    rest = path.removeprefix("/")
    if not hosts and rest and not rest.isdigit():
        return {"addresses": (Address(unquote(path), 0),)}
    addresses = _addresses(uri, hosts or "localhost", _PORT)
    if len(addresses) > 1:
        raise _refuse(uri, "it names several hosts")
    return {"addresses": addresses, "database": _database(uri, rest)}


def _sentinel(uri: str, hosts: str, path: str) -> dict[str, Any]:
    service, _, database = path.removeprefix("/").partition("/")
    if not service:
        raise _refuse(uri, "the name of the service is missing")
    return {
        "addresses": _addresses(uri, hosts, _SENTINEL_PORT),
        "service": unquote(service),
        "database": _database(uri, database),
    }


def _cluster(uri: str, hosts: str, path: str) -> dict[str, Any]:
    if path.removeprefix("/") not in {"", "0"}:
        raise _refuse(uri, "a cluster has the database 0 only")
    return {"addresses": _addresses(uri, hosts, _PORT)}


_SCHEMES = {
    "redis": (Kind.STANDALONE, _standalone),
    "rediss": (Kind.STANDALONE, _standalone),
    "redis+sentinel": (Kind.SENTINEL, _sentinel),
    "redis+cluster": (Kind.CLUSTER, _cluster),
}


def parse_location(uri: str, options: Mapping[str, str]) -> RedisLocation:
    """Read the URI; what follows its ``?`` are the options of :class:`RedisLocation`.

    Args:
        uri: One of the forms named above; ``%40`` and the like are decoded.
        options: Further options, as if they were in the URI.

    Raises:
        SettingsError: The URI or an option is not usable.
    """
    scheme, _, rest = uri.partition("://")
    if scheme not in _SCHEMES or not uri.startswith(f"{scheme}://"):
        raise _refuse(uri, "its scheme is not one of these")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    user, _, hosts = authority.rpartition("@")
    username, _, password = (unquote(part) for part in user.partition(":"))
    kind, read = _SCHEMES[scheme]
    members = read(uri, hosts, slash + path)
    given = _read_options(query)
    for name, text in options.items():
        given |= _read_options(urlencode({name: text}))
    sentinel = RedisCredentials(
        given.pop("sentinel_username", ""), given.pop("sentinel_password", "")
    )
    if kind is Kind.CLUSTER and given.get("database"):
        raise _refuse(uri, "a cluster has the database 0 only")
    settings = {"tls": scheme == "rediss", **members, **given}
    return RedisLocation(
        kind=kind,
        credentials=RedisCredentials(username, password),
        sentinel_credentials=sentinel,
        **settings,
    )


# -- addresses ------------------------------------------------------------------

#: Seconds after which the addresses found the last time are used.
LOOKUP_SECONDS = 0.5


def _look_up(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Resolver:
    """Looks up hosts, each in its own thread and once at a time.

    A name server that hangs would use up the threads of the event loop.
    """

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}
        self._lookups: SingleFlight[str, list[str]] = SingleFlight()

    async def find(self, host: str) -> Sequence[str]:
        """Return the addresses of a host, those found before if it takes long.

        Raises:
            OSError: The host does not have addresses.
        """
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(host)
            return [host]
        try:
            async with asyncio.timeout(LOOKUP_SECONDS if host in self._known else None):
                return await self._lookups.join(host, lambda: self._find(host))
        except (OSError, TimeoutError):
            if host not in self._known:
                raise
        return self._known[host]

    async def _find(self, host: str) -> list[str]:
        self._known[host] = await in_thread(lambda: _look_up(host), f"lookup {host}")
        return self._known[host]

    def close(self) -> None:
        """Cancel what waits for lookups."""
        self._lookups.close()
