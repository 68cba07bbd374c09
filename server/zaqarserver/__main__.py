"""The ``zaqarserver`` program."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence

import uvloop
from oslo_config import cfg

from zaqarserver import config
from zaqarserver.common import log
from zaqarserver.errors import SettingsError, StartupError
from zaqarserver.process import listening, serving
from zaqarserver.process.app import Application, load_driver, load_storage
from zaqarserver.process.workers import Supervisor

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


async def _serve(conf: cfg.ConfigOpts, arguments: Sequence[str]) -> None:
    application = Application(conf)
    sockets = listening.listen_all(
        conf, listening.inherited(os.environ), listening.worker_number(os.environ)
    )
    reload = serving.Reload(conf, arguments, application.policy)
    lifeline = listening.lifeline(os.environ)

    def control(web: serving.Web) -> None:
        serving.tune_collector()
        serving.tune_allocator()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        serving.obey_signals(web, lifeline)

    await application.run(sockets, control)


async def _supervise(conf: cfg.ConfigOpts, arguments: Sequence[str]) -> None:
    if not load_storage(conf).shareable:
        raise SettingsError(
            f"--workers {conf.workers}: the store {config.storage_uri(conf)} can be "
            "open in one process only. Use one worker, or a store such as "
            "redis://HOST that processes share."
        )
    sockets = listening.listen_all(conf, listening.inherited(os.environ), None)
    drain = conf.server.graceful_timeout
    await Supervisor(arguments, conf.workers, sockets, drain).run()


def _check(arguments: Sequence[str]) -> int:
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until a signal ends it.

    Returns:
        0 after a clean end, 1 if it could not start.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] == "check":
        return _check(given[1:])
    log.open_streams()
    # Ignore SIGHUP until the server can reload; end without a traceback on ^C.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        conf = config.load(given)
        log.set_up(as_json=conf.use_json, debug=conf.debug)
        serve = _serve if conf.workers == 1 else _supervise
        uvloop.run(serve(conf, given))
    except StartupError as error:
        # Not with print: buffered text that cannot be written is retried at the exit.
        with contextlib.suppress(OSError):
            os.write(log.STDERR, f"zaqarserver: {error}\n".encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
