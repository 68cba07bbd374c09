"""The commands of ``zaqarserver`` that do not serve."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from oslo_config import cfg, generator

from zaqarserver import config
from zaqarserver.common.plugins import installed
from zaqarserver.errors import StartupError, Unavailable
from zaqarserver.process.app import Application, load_driver, load_storage
from zaqarserver.process.keys import keys_file
from zaqarserver.storage.base import Storage


def run(given: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Run the command of a command line.

    Args:
        given: The command line.
        arguments: The same as it was typed.

    Returns:
        The exit status: 0 if all is well, 1 if not, 2 if the command cannot run.
    """
    name = "check-config" if given.check_config else given.command
    try:
        return _COMMANDS[name](config.load(arguments), given)
    except (StartupError, Unavailable, OSError) as error:
        print(f"zaqarserver {name}: {error}", file=sys.stderr)
        return 1 if given.check_config else 2


def _storage(conf: cfg.ConfigOpts, given: argparse.Namespace) -> tuple[str, Storage]:
    """Return the URI and the driver of the store that a command is about."""
    if "store" in given:
        return given.store, load_driver(given.store, {})
    return config.storage_uri(conf), load_storage(conf)


def _check(conf: cfg.ConfigOpts, given: argparse.Namespace) -> int:
    """Check a store and print what is wrong."""
    uri, storage = _storage(conf, given)
    found = 0
    for line in storage.find_damage():
        found += 1
        print(line)
    print(f"{uri}: {f'{found} problems' if found else 'nothing is wrong'}")
    return 1 if found else 0


def _backup(conf: cfg.ConfigOpts, given: argparse.Namespace) -> int:
    """Copy a store and its keys."""
    _, storage = _storage(conf, given)
    target = Path(given.target).absolute()
    keys = storage.file and keys_file(storage.file)
    storage.copy_to(target)
    print(target)
    if keys is not None and keys.exists():
        copy = keys_file(target)
        copy.touch(mode=0o600)
        shutil.copyfile(keys, copy)
        print(copy)
    return 0


def _migrate(conf: cfg.ConfigOpts, given: argparse.Namespace) -> int:
    """Open a store, which migrates it, and close it."""
    uri, storage = _storage(conf, given)

    async def migrate() -> None:
        await storage.open()
        await storage.close()

    asyncio.run(migrate())
    print(f"{uri}: of this version")
    return 0


def _sample_config(_conf: cfg.ConfigOpts, _given: argparse.Namespace) -> int:
    """Print all settings, those of Keystone if it is installed."""
    sample = cfg.ConfigOpts()
    generator.register_cli_opts(sample)
    sample([f"--namespace={name}" for name in _namespaces()])
    generator.generate(sample, sys.stdout)
    return 0


def _namespaces() -> list[str]:
    found = []
    for entry in installed("oslo.config.opts"):
        if entry.name.partition(".")[0] == "zaqarserver":
            try:
                entry.load()
            except ModuleNotFoundError:
                continue
            found.append(entry.name)
    return sorted(found)


def _check_config(conf: cfg.ConfigOpts, _given: argparse.Namespace) -> int:
    """Put the server together without starting it; print what is not known."""

    async def put_together() -> None:
        Application(conf)

    asyncio.run(put_together())
    found = list(config.unknown_settings(conf))
    print("\n".join(found) or "the settings can be used")
    return 1 if found else 0


_COMMANDS: dict[str, Callable[[cfg.ConfigOpts, argparse.Namespace], int]] = {
    "check": _check,
    "backup": _backup,
    "migrate": _migrate,
    "sample-config": _sample_config,
    "check-config": _check_config,
}
