"""The token cache of ``zaqar``, and requests with a cached token.

With a cached token a command neither asks the identity service nor imports
keystoneauth1. The name of a token's file is a digest of everything that the token
was requested with: other credentials, another region or a changed clouds.yaml lead
to another file. No password can be derived from a name.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from zaqarclient.auth import base
from zaqarclient.queues.v2.cli import client_id
from zaqarclient.transport.request import service_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from zaqarclient.common import http
    from zaqarclient.transport.request import Request

LOG = logging.getLogger("zaqarclient.cli")

#: A cached token with fewer seconds left is not used: the service has to check it
#: while it is valid.
_MARGIN: Final = 60.0

#: Makes guessing a password from a file's name as slow as it can be without
#: being felt: some 10 ms.
_ROUNDS: Final = 20_000

#: Variables that are not about credentials.
_UNRELATED: Final = ("OS_MESSAGE_", "OS_QUEUES_API_")


class CachedToken(NamedTuple):
    """A token, with the endpoint and TLS settings to use it with.

    Attributes:
        token: The token.
        expires: When it ends, in seconds since the epoch.
        endpoint: The URL of the messaging service.
        project: The ID of the project; None if the token has none.
        verify: Whether, or against which CA file, certificates are checked.
        cert: The client certificate, as a file or as files of it and its key.
    """

    token: str
    expires: float
    endpoint: str
    project: str | None
    verify: bool | str
    cert: str | tuple[str, str] | None

    def is_valid(self, seconds: float = 0.0) -> bool:
        """Return whether it is valid now, and for some seconds longer."""
        return time.time() + seconds < self.expires


class Unsafe(Exception):
    """A file or directory that others may read or write; the text says which."""


class TokenFile:
    """The file that caches the token of some credentials.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Return the file for the options and the environment.

        Args:
            options: The parsed options of the program.
        """
        asked_with: dict[str, Any] = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("OS_") and not name.startswith(_UNRELATED)
        }
        asked_with |= {
            name: value for name, value in vars(options).items() if name[:3] == "os_"
        }
        asked_with["insecure"] = options.insecure
        if options.os_cloud:
            asked_with["files"] = list(_cloud_files())
        text = json.dumps(asked_with, sort_keys=True, default=str)
        place = directory()
        salt = f"zaqar {os.geteuid()} {place}"
        name = hashlib.pbkdf2_hmac("sha256", text.encode(), salt.encode(), _ROUNDS)
        return cls(place / name.hex()[:32])

    @property
    def name(self) -> str:
        """The name of the file: a digest of what the token is requested with."""
        return self._path.name

    def read(self) -> CachedToken | None:
        """Return the cached token, None if there is none that can be used.

        A file of another user, or that others may read, is not used; that is logged.
        """
        try:
            _check_directory(self._path.parent)
            token = _token(json.loads(_text_of(self._path)))
        except FileNotFoundError:
            return None
        except Unsafe as error:
            LOG.warning("the cached token is not used: %s", error)
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            LOG.warning("the cached token cannot be read: %s", error)
            return None
        return token if token.is_valid(_MARGIN) else None

    def write(self, token: CachedToken) -> None:
        """Cache a token, in a file that only this user can read.

        A failure is only logged.
        """
        place = self._path.parent
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_directory(place)
            # mkstemp makes it with mode 0600; a reader sees the old or the new.
            number, name = tempfile.mkstemp(dir=place, prefix=".")
            draft = Path(name)
            try:
                with os.fdopen(number, "w", encoding="ascii") as file:
                    json.dump(token._asdict(), file)
                draft.replace(self._path)
            except BaseException:
                draft.unlink()
                raise
        except (OSError, Unsafe) as error:
            LOG.warning("the token is not cached: %s", error)

    def drop(self) -> None:
        """Remove the cached token."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def directory() -> Path:
    """Return the directory of the tokens."""
    return client_id.directory("CACHE", ".cache") / "tokens"


def forget_all() -> int:
    """Remove all cached tokens and return how many there were.

    Raises:
        OSError: One cannot be removed.
    """
    place = directory()
    found = list(place.iterdir()) if place.is_dir() else []
    for file in found:
        file.unlink()
    return len(found)


def _cloud_files() -> list[str]:
    """Return names and digests of the files that may define a cloud."""
    named = [
        os.environ.get(f"OS_CLIENT_{kind}_FILE")
        for kind in ("CONFIG", "SECURE", "VENDOR")
    ]
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    places = (Path.cwd(), Path(home, "openstack"), Path("/etc/openstack"))
    usual = [
        place / f"{stem}.{kind}"
        for place in places
        for stem in ("clouds", "secure", "clouds-public")
        for kind in ("yaml", "yml", "json")
    ]
    marks = []
    for path in [Path(name) for name in named if name] + usual:
        with contextlib.suppress(OSError):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            marks.append(f"{path} {digest}")
    return marks


def _check_directory(place: Path) -> None:
    """Check that only this user can put files there.

    Raises:
        Unsafe: Others can.
    """
    _check(place, place.lstat(), stat.S_ISDIR, "chmod 700")


def _text_of(path: Path) -> str:
    """Return the text of a file that only this user can open.

    Raises:
        Unsafe: Others can read or change it.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(number, encoding="ascii") as file:
        # Check the open file: another one may have its name a moment later.
        _check(path, os.fstat(number), stat.S_ISREG, "chmod 600")
        return file.read()


def _check(path: Path, status: os.stat_result, kind: Any, remedy: str) -> None:
    if not kind(status.st_mode):
        raise Unsafe(f"{path} is not what it should be; remove it")
    if status.st_uid != os.geteuid():
        raise Unsafe(f"{path} belongs to another user; remove it")
    if status.st_mode & 0o077:
        raise Unsafe(f"others may open {path} ({remedy})")


def _token(document: Any) -> CachedToken:
    token = CachedToken(**document)
    if not isinstance(token.token, str) or not isinstance(token.endpoint, str):
        raise TypeError("a token and an endpoint are expected")
    cert = token.cert
    return token._replace(
        expires=float(token.expires),
        cert=(cert[0], cert[1]) if isinstance(cert, list) else cert,
    )


_UNAUTHORIZED: Final = 401


class CachedTokenAuth(base.AuthBackend):
    """Sends a cached token, replaced when it expires or is refused.

    Args:
        file: The file that caches it.
        token: The cached one, None for none.
        ask: Requests a new one from the identity service.
        project: The project to name beside the token; None for that of the token.
    """

    def __init__(
        self,
        file: TokenFile,
        token: CachedToken | None,
        ask: Callable[[], CachedToken],
        project: str | None = None,
    ) -> None:
        super().__init__({})
        self._file = file
        self._token = token
        self._ask = ask
        self._project = project
        self._inner: base.Connection

    def locates(self, session: Any) -> bool:
        """Return that the endpoint is known: it is cached with the token."""
        return True

    def authenticate(self, api_version: object, request: Request) -> Request:
        """Add the token, the endpoint and the connection.

        Raises:
            zaqarclient.errors.ZaqarError: No token could be had.
        """
        token = self.current()
        request.headers["X-Auth-Token"] = token.token
        request.endpoint = request.endpoint or service_root(token.endpoint)
        request.verify = token.verify is not False
        request.cert = token.verify if isinstance(token.verify, str) else None
        project = self._project
        if base.uses_http(request):
            self._inner, request.connection = request.session, self
        else:
            project = project or token.project  # frames have to name it
        if project:
            request.headers["X-Project-Id"] = project
        return request

    def current(self) -> CachedToken:
        """Return a token that is valid now, requested if need be."""
        token = self._token
        if token is None or not token.is_valid():
            token = self._request_token()
        return token

    def renew(self, session: Any) -> None:
        """Replace a token that was refused."""
        self._request_token()

    def request(self, method: str, *, url: str, **kwargs: Any) -> http.Reply:
        """Send one request, again with a new token if the cached one is refused.

        The arguments are those of `zaqarclient.auth.base.Connection`.
        """
        reply = self._inner.request(method, url=url, **kwargs)
        if reply.status_code == _UNAUTHORIZED:
            kwargs["headers"]["X-Auth-Token"] = self._request_token().token
            reply = self._inner.request(method, url=url, **kwargs)
        if reply.status_code == _UNAUTHORIZED:
            self._file.drop()
        return reply

    def _request_token(self) -> CachedToken:
        self._file.drop()
        self._token = token = self._ask()
        self._file.write(token)
        return token
