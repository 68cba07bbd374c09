"""The ``zaqarserver`` program."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import uvloop

from zaqarserver import config, log
from zaqarserver.app import Application
from zaqarserver.errors import StartupError


async def _run(arguments: Sequence[str]) -> None:
    conf = config.load(arguments)
    log.set_up(as_json=conf.use_json, level="DEBUG" if conf.debug else "INFO")
    await Application(conf).run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until a signal ends it.

    Returns:
        0 after a clean end, 1 if it could not start.
    """
    try:
        uvloop.run(_run(sys.argv[1:] if arguments is None else arguments))
    except StartupError as error:
        print(f"zaqarserver: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
