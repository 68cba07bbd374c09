"""The client id of this user's commands.

The service hides a client's own messages from its listings, so the id has to
stay the same from one command to the next. It is kept in the user's state
directory (``$XDG_STATE_HOME/zaqarclient/client-id``).
"""

import logging
import os
import uuid
from pathlib import Path

LOG = logging.getLogger("zaqarclient.cli")


def directory(kind: str, default: str) -> Path:
    """Return the directory of this user's files of a kind, by the XDG rules.

    Args:
        kind: ``STATE`` or ``CACHE``.
        default: The one below the home directory, if the environment names none.
    """
    named = os.environ.get(f"XDG_{kind}_HOME", "")
    # By the rules a relative path is ignored.
    base = Path(named) if Path(named).is_absolute() else Path.home() / default
    return base / "zaqarclient"


def path() -> Path:
    """Return the file that holds the id."""
    return directory("STATE", ".local/state") / "client-id"


def persistent() -> str:
    """Return the kept id, made at the first use; 32 hexadecimal digits.

    Where nothing can be kept (a read-only home, a damaged file) the id is new
    each time, and a log line says so.
    """
    try:
        file = path()
        return _read(file) or _create(file)
    except (OSError, RuntimeError, ValueError) as error:
        LOG.warning("client id is not kept, a new one is used: %s", error)
        return uuid.uuid4().hex


def _read(file: Path) -> str | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    try:
        return uuid.UUID(text).hex
    except ValueError:
        raise ValueError(f"{file} does not hold a UUID") from None


def _create(file: Path) -> str:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = uuid.uuid4().hex
    draft = file.with_name(f".{new}")
    draft.write_text(new + "\n", encoding="ascii")
    try:
        # Two first commands may run at once: the first link wins, both use it.
        os.link(draft, file)
    except FileExistsError:
        return _read(file) or new
    finally:
        draft.unlink()
    return new
