"""The ``zaqarserver`` program."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import uvloop
from oslo_config import cfg

from zaqarserver import activation, config, log, serving
from zaqarserver.app import Application, load_storage
from zaqarserver.errors import SettingsError, StartupError
from zaqarserver.workers import Supervisor


async def _serve(conf: cfg.ConfigOpts) -> None:
    application = Application(conf)
    sockets = serving.listen_all(
        conf, activation.inherited(os.environ), activation.worker_number(os.environ)
    )
    await application.run(sockets, activation.lifeline(os.environ))


async def _supervise(conf: cfg.ConfigOpts, arguments: Sequence[str]) -> None:
    if not load_storage(conf).shareable:
        raise SettingsError(
            f"--workers {conf.workers}: the store {config.storage_uri(conf)} can be "
            "open in one process only. Use one worker, or a store such as "
            "redis://HOST that processes share."
        )
    sockets = serving.listen_all(conf, activation.inherited(os.environ), None)
    drain = conf.server.graceful_timeout
    await Supervisor(arguments, conf.workers, sockets, drain).run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until a signal ends it.

    Returns:
        0 after a clean end, 1 if it could not start.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        conf = config.load(given)
        log.set_up(as_json=conf.use_json, level="DEBUG" if conf.debug else "INFO")
        uvloop.run(_serve(conf) if conf.workers == 1 else _supervise(conf, given))
    except StartupError as error:
        print(f"zaqarserver: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
