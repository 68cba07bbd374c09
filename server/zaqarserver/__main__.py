"""The ``zaqarserver`` program."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence

import uvloop
from oslo_config import cfg

from zaqarserver import config
from zaqarserver.common import command_line, log
from zaqarserver.errors import SettingsError, StartupError
from zaqarserver.process import keys, listening, serving
from zaqarserver.process.app import Application, load_storage
from zaqarserver.process.workers import Supervisor

LOG = logging.getLogger(__name__)


def _load(arguments: Sequence[str]) -> cfg.ConfigOpts:
    """Read the configuration, with the keys that were made for the store."""
    conf = config.load(arguments)
    log.set_up(as_json=conf.use_json, debug=conf.debug)
    keys.complete(conf, load_storage(conf))
    return conf


async def _serve(conf: cfg.ConfigOpts, arguments: Sequence[str]) -> None:
    application = Application(conf)
    worker = listening.worker_number(os.environ)
    if worker == 0:
        for line in config.unknown_settings(conf):
            LOG.warning("%s", line)
    sockets = listening.listen_all(conf, listening.inherited(os.environ), worker)
    reload = serving.Reload(conf, lambda: _load(arguments), application.policy)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until a signal ends it, or another command.

    Returns:
        0 after a clean end, 1 if it could not start; commands have their own.
    """
    typed = sys.argv[1:] if arguments is None else arguments
    given = command_line.parse(typed)
    if given.command != "serve" or given.check_config:
        if arguments is None:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        # Parts that serving does not need are not loaded for it.
        from zaqarserver.process import commands  # noqa: PLC0415

        return commands.run(given, typed)
    log.open_streams()
    # Ignore SIGHUP until the server can reload; end without a traceback on ^C.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        conf = _load(typed)
        serve = _serve if conf.workers == 1 else _supervise
        uvloop.run(serve(conf, typed))
    except StartupError as error:
        # Not with print: buffered text that cannot be written is retried at the exit.
        with contextlib.suppress(OSError):
            os.write(log.STDERR, f"zaqarserver: {error}\n".encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
