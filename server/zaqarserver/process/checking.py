"""``zaqarserver check``: checks a store for damage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from zaqarserver import config
from zaqarserver.errors import StartupError
from zaqarserver.process.app import load_driver, load_storage

_DESCRIPTION = """\
Check a store in a file for damage: its log, the checksum of each page, the structure
of tables and indexes, the counters. Nothing is changed. No server may have it open.
"""
_EPILOG = """\
The exit status is 0 if nothing is wrong, 1 if something is, 2 if the store cannot be
checked.

examples:
  zaqarserver check
  zaqarserver check sqlite:///var/lib/zaqar/zaqar.db
  zaqarserver check --config-file /etc/zaqar/zaqarserver.conf
"""


def main(arguments: Sequence[str]) -> int:
    """Check a store and print what is wrong.

    Args:
        arguments: The command line after ``check``.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(
        prog="zaqarserver check",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "uri", nargs="?", help="the store (default: that of the configuration)"
    )
    parser.add_argument("--config-file", help="the configuration to read")
    given = parser.parse_args(arguments)
    files = [f"--config-file={given.config_file}"] if given.config_file else []
    try:
        conf = config.load(files)
        uri = given.uri or config.storage_uri(conf)
        store = load_driver(uri, {}) if given.uri else load_storage(conf)
        found = 0
        for line in store.find_damage():
            found += 1
            print(line)
    except (StartupError, OSError) as error:
        print(f"zaqarserver check: {error}", file=sys.stderr)
        return 2
    print(f"{uri}: {f'{found} problems' if found else 'nothing is wrong'}")
    return 1 if found else 0
