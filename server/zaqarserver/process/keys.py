"""Keys that a server makes for itself at its first start, beside its store.

With them signed URLs, requests to confirm and encrypted queues work without a
configuration. Keys that are configured go first. Servers that share a store have to be
given the same keys, so nothing is made for them.
"""

from __future__ import annotations

import configparser
import functools
import logging
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from oslo_config import cfg

from zaqarserver.errors import StartupError
from zaqarserver.storage.base import Storage

LOG = logging.getLogger(__name__)

Keys = Mapping[str, str]

#: The keys: name in the file, group, option.
_KEYS = {
    "secret_key": "signed_url",
    "message_encryption_key": "transport",
}
_SUFFIX = ".keys"
_HEAD = """\
# Made by zaqarserver. Whoever can read this file can sign URLs and decrypt messages.
# Keep a copy: without it signed URLs end, and encrypted messages cannot be read.
"""


def keys_file(store: Path) -> Path:
    """Return the file with the keys of a store in a file."""
    return store.with_name(store.name + _SUFFIX)


def complete(conf: cfg.ConfigOpts, storage: Storage) -> None:
    """Fill in the keys that are not configured; make them at the first start.

    Args:
        conf: The configuration; the keys become its defaults.
        storage: The store, not open.

    Raises:
        StartupError: The file with the keys cannot be used.
    """
    missing = [name for name, group in _KEYS.items() if not conf[group][name]]
    if not missing or not conf.generated_keys or storage.shareable:
        return
    keys = _in_memory() if storage.file is None else _of_store(storage.file)
    for name in missing:
        if name in keys:
            conf.set_default(name, keys[name], _KEYS[name])


def _make() -> Keys:
    return {name: secrets.token_hex(32) for name in _KEYS}


#: The keys of a store in memory, which end with it.
_in_memory = functools.cache(_make)


def _of_store(store: Path) -> Keys:
    """Return the keys of a store in a file; none if they cannot be kept.

    Raises:
        StartupError: The file with the keys cannot be used.
    """
    path = keys_file(store)
    if not path.exists():
        try:
            store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, _make())
        except OSError as error:
            LOG.warning("keys cannot be kept in %s: %s", path, error.strerror)
            return {}
        LOG.info("made keys for signed URLs and encryption: %s", path)
    return _read(path)


def _write(path: Path, keys: Keys) -> None:
    """Write the file whole, unless another server was faster."""
    text = _HEAD
    for name, group in _KEYS.items():
        text += f"[{group}]\n{name} = {keys[name]}\n"
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(file)
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()


def _read(path: Path) -> Keys:
    """Return the keys in a file.

    Raises:
        StartupError: It cannot be read, or one is missing.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            LOG.warning("%s can be read by others: chmod 600 it", path)
        parser.read_string(path.read_text())
        return {name: parser[group][name] for name, group in _KEYS.items()}
    except (OSError, configparser.Error, KeyError, UnicodeDecodeError) as error:
        raise StartupError(
            f"{path} cannot be used as a file of keys: {error}; restore it from a "
            "copy, or remove it to have new keys made, which ends all signed URLs"
        ) from error
