"""Tokens that ``zaqar`` keeps from one command to the next, when asked to.

With a kept token a command asks no identity service, and imports nothing that
could. The file of a token is found by its name, which comes from all that the
token was asked for with: other credentials, another region or a changed
clouds.yaml lead to another file. No password can be told from a name.
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
from typing import Any, Final, NamedTuple, Self

LOG = logging.getLogger("zaqarclient.cli")

#: Seconds before its end in which a kept token is no longer begun with: what the
#: command sends has to be checked while it is valid.
_MARGIN: Final = 60.0

#: Makes guessing a password from a file's name as slow as it can be without
#: being felt: some 10 ms.
_ROUNDS: Final = 20_000

#: Variables that say nothing of who asks.
_OTHERS: Final = ("OS_MESSAGE_", "OS_QUEUES_API_")


class Entry(NamedTuple):
    """A token, and what else the identity service and the cloud told.

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
    """Where the token of some credentials is kept.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Return the file for what the options and the environment say.

        Args:
            options: The parsed options of the program.
        """
        told: dict[str, Any] = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("OS_") and not name.startswith(_OTHERS)
        }
        told |= {
            name: value for name, value in vars(options).items() if name[:3] == "os_"
        }
        told["insecure"] = options.insecure
        if options.os_cloud:
            told["files"] = list(_cloud_files())
        text = json.dumps(told, sort_keys=True, default=str)
        place = directory()
        salt = f"zaqar {os.geteuid()} {place}"
        name = hashlib.pbkdf2_hmac("sha256", text.encode(), salt.encode(), _ROUNDS)
        return cls(place / name.hex()[:32])

    def read(self) -> Entry | None:
        """Return what is kept, if it can be used; never an error.

        A file that is somebody else's or that others may read is not used, and a
        log line says so.
        """
        try:
            _check_directory(self._path.parent)
            entry = _entry(json.loads(_text_of(self._path)))
        except FileNotFoundError:
            return None
        except Unsafe as error:
            LOG.warning("the kept token is not used: %s", error)
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            LOG.warning("the kept token cannot be read: %s", error)
            return None
        return entry if entry.is_valid(_MARGIN) else None

    def write(self, entry: Entry) -> None:
        """Keep an entry, in a file that only this user can read.

        Where nothing can be kept a log line says so.
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
                    json.dump(entry._asdict(), file)
                draft.replace(self._path)
            except BaseException:
                draft.unlink()
                raise
        except (OSError, Unsafe) as error:
            LOG.warning("the token is not kept: %s", error)

    def drop(self) -> None:
        """Forget what is kept."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def directory() -> Path:
    """Return the directory of the tokens, by the XDG rules."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The rules say: a relative path is to be ignored.
    base = Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache"
    return base / "zaqarclient" / "tokens"


def forget_all() -> int:
    """Remove all kept tokens and return how many there were.

    Raises:
        OSError: One cannot be removed.
    """
    place = directory()
    found = list(place.iterdir()) if place.is_dir() else []
    for file in found:
        file.unlink()
    return len(found)


def _cloud_files() -> list[str]:
    """Return the marks of the files that may tell what a cloud is."""
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
    """Make sure that only this user can put files there.

    Raises:
        Unsafe: Others can.
    """
    _check(place, place.lstat(), stat.S_ISDIR, "chmod 700")


def _text_of(path: Path) -> str:
    """Return the text of a file that is this user's, and nobody else's.

    Raises:
        Unsafe: Others can read or change it.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(number, encoding="ascii") as file:
        # Asked of the open file: what has its name may be another a moment later.
        _check(path, os.fstat(number), stat.S_ISREG, "chmod 600")
        return file.read()


def _check(path: Path, status: os.stat_result, kind: Any, remedy: str) -> None:
    if not kind(status.st_mode):
        raise Unsafe(f"{path} is not what it should be; remove it")
    if status.st_uid != os.geteuid():
        raise Unsafe(f"{path} is somebody else's; remove it")
    if status.st_mode & 0o077:
        raise Unsafe(f"others may open {path} ({remedy})")


def _entry(document: Any) -> Entry:
    entry = Entry(**document)
    if not isinstance(entry.token, str) or not isinstance(entry.endpoint, str):
        raise TypeError("a token and an endpoint are expected")
    cert = entry.cert
    return entry._replace(
        expires=float(entry.expires),
        cert=(cert[0], cert[1]) if isinstance(cert, list) else cert,
    )
