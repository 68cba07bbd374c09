"""The ``zaqarserver`` program."""

from __future__ import annotations

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
from zaqarserver.process import checking, listening
from zaqarserver.process.app import Application, load_storage
from zaqarserver.process.reloading import Reload
from zaqarserver.process.workers import Supervisor


async def _serve(conf: cfg.ConfigOpts, arguments: Sequence[str]) -> None:
    application = Application(conf)
    sockets = listening.listen_all(
        conf, listening.inherited(os.environ), listening.worker_number(os.environ)
    )
    reload = Reload(conf, arguments, application.policy)
    await application.run(sockets, reload, listening.lifeline(os.environ))


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
    """Run the server until a signal ends it.

    Returns:
        0 after a clean end, 1 if it could not start.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] == "check":
        return checking.main(given[1:])
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
