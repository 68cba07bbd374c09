"""SIGHUP: a running server reads its policy file and settings again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from oslo_config import cfg

from zaqarserver import config
from zaqarserver.common import log
from zaqarserver.errors import SettingsError
from zaqarserver.identity.policy import RulePolicy

LOG = logging.getLogger(__name__)


class Reload:
    """Reads the configuration again, applies what it can, and logs the rest.

    Args:
        conf: The settings that the server was started with.
        arguments: The command line that names them.
        policy: The policy rules.
    """

    def __init__(
        self, conf: cfg.ConfigOpts, arguments: Sequence[str], policy: RulePolicy
    ) -> None:
        self._conf = conf
        self._arguments = arguments
        self._policy = policy
        self._debug = conf.debug

    def __call__(self) -> None:
        """Reload; if a file is invalid, the previous settings stay in force."""
        LOG.info("SIGHUP: reading the policy and the settings again")
        self._policy.reload()
        try:
            found = config.load(self._arguments)
        except SettingsError as error:
            LOG.error("the settings stay as they were: %s", error)  # noqa: TRY400 - the text says all
            return
        if found.debug != self._debug:
            self._debug = found.debug
            LOG.info("debug = %s", found.debug)
            log.set_level(debug=found.debug)
        waiting = sorted(self._changed(found))
        if waiting:
            LOG.warning("needs a restart: %s", ", ".join(waiting))
        LOG.info("SIGHUP: done")

    def _changed(self, found: cfg.ConfigOpts) -> Iterator[str]:
        """Yield the names of changed settings that need a restart."""
        for group, options in config.GROUPS.items():
            for option in options:
                name = option.dest
                now, then = (
                    conf[name] if group == "DEFAULT" else conf[group][name]
                    for conf in (found, self._conf)
                )
                if now != then and name != "debug":
                    yield f"[{group}] {option.name}"
