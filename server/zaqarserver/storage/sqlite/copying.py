"""Copying a store while a server has it open."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from zaqarserver.errors import SettingsError, StoreRefused


def copy_store(path: Path, target: Path) -> None:
    """Copy a store as of one moment; its server continues meanwhile.

    Args:
        path: The main file.
        target: The file to make; it must not exist.

    Raises:
        SettingsError: The store does not exist, or the target does.
        StoreRefused: The copy failed; nothing is left of it.
    """
    if not path.is_file():
        raise SettingsError(f"there is no file {path}")
    if target.exists():
        raise SettingsError(f"{target} exists already")
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    try:
        source = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
        try:
            source.execute("VACUUM INTO ?", (str(part),))
        finally:
            source.close()
        with part.open("rb") as copy:
            os.fsync(copy.fileno())
        os.link(part, target)
    except (apsw.Error, OSError) as error:
        raise StoreRefused(f"cannot copy {path} to {target}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
