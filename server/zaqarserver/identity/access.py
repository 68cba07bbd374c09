"""Access rules: who may run an operation (``rest-v2`` 6.2).

The rules' targets are empty, so a decision depends on the rule and the caller's
credentials only; decisions are cached for a second.

``oslo.policy`` evaluates the rules of a policy file. The default rules need no library,
and importing it would be a fifth of a server's start.

A policy file that has changed is read again. If it is invalid or missing, the previous
rules stay in force: a typing error neither opens nor closes anything.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_policy import opts

from zaqarserver.errors import Forbidden, SettingsError
from zaqarserver.operations import OPERATIONS
from zaqarserver.operations.context import Context
from zaqarserver.operations.row import ADMIN

if TYPE_CHECKING:
    from oslo_policy.policy import Enforcer

LOG = logging.getLogger(__name__)

_MOST_DECISIONS = 10_000
_RELOAD_SECONDS = 1.0

#: The default of each rule, in the language of ``oslo.policy``.
_DEFAULTS = {row.policy: row.check_str for row in reversed(OPERATIONS) if row.policy}
_ARE_SIMPLE = {*_DEFAULTS.values()} <= {"", ADMIN}


def _files(conf: cfg.ConfigOpts) -> Iterator[Path]:
    """Yield the existing files of rules."""
    for name in (conf.oslo_policy.policy_file, *conf.oslo_policy.policy_dirs):
        found = conf.find_file(name)
        if found is not None:
            path = Path(found)
            yield from sorted(path.iterdir()) if path.is_dir() else [path]


def _state(conf: cfg.ConfigOpts) -> dict[Path, tuple[int, int, int]]:
    """Return a fingerprint of the files of rules."""
    state = {}
    for path in _files(conf):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue  # removed meanwhile
        state[path] = (found.st_mtime_ns, found.st_size, found.st_ino)
    return state


def _is_named(conf: cfg.ConfigOpts) -> bool:
    """Return True if the configuration names a policy file."""
    place = conf.get_location("policy_file", "oslo_policy")
    return place is not None and place.location is not cfg.Locations.opt_default


def _load(conf: cfg.ConfigOpts) -> Enforcer:
    """Return an enforcer of the policy file and the default rules.

    Raises:
        SettingsError: The file is missing or invalid; the text says why.
    """
    from zaqarserver.identity.policy import load_enforcer  # noqa: PLC0415 - see above

    if _is_named(conf) and conf.find_file(conf.oslo_policy.policy_file) is None:
        name = conf.oslo_policy.policy_file
        raise SettingsError(f"[oslo_policy] policy_file: {name} does not exist.")
    return load_enforcer(conf)


class RulePolicy:
    """The rules of the policy file and the default rules.

    Raises:
        SettingsError: The file is missing or invalid; the text says why.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        opts.set_defaults(conf)
        self._conf = conf
        self._state = _state(conf)
        uses_library = self._state or _is_named(conf) or not _ARE_SIMPLE
        self._enforcer = _load(conf) if uses_library else None
        self._decisions: dict[tuple[object, ...], bool] = {}
        self._next_check = 0.0

    def check(self, rule: str, context: Context) -> None:
        """Return if ``rule`` allows the caller.

        Raises:
            Forbidden: It does not.
        """
        if time.monotonic() >= self._next_check:
            self._check_files()
        key = (rule, context.roles, context.project, context.user_id)
        allowed = self._decisions.get(key)
        if allowed is None:
            allowed = self._decide(key, rule, context)
        if not allowed:
            raise Forbidden(f"The policy rule {rule} does not allow this.")

    def reload(self) -> None:
        """Read the files again, whether or not they seem changed."""
        self._state = dict.fromkeys(self._state, (0, 0, 0))
        self._check_files()

    def _check_files(self) -> None:
        """Read the files again if they have changed."""
        self._next_check = time.monotonic() + _RELOAD_SECONDS
        self._decisions.clear()
        state = _state(self._conf)
        if state == self._state:
            return
        gone = self._state.keys() - state.keys()
        self._state = state
        if gone:
            names = ", ".join(sorted(map(str, gone)))
            LOG.error("the policy rules stay as they were: %s is missing", names)
            return
        try:
            self._enforcer = _load(self._conf)
        except SettingsError as error:
            LOG.error("the policy rules stay as they were: %s", error)  # noqa: TRY400 - the text says all
        else:
            LOG.info("the policy file was read again")

    def _decide(self, key: tuple[object, ...], rule: str, context: Context) -> bool:
        if len(self._decisions) >= _MOST_DECISIONS:
            self._decisions.clear()
        allowed = self._allows(rule, context)
        self._decisions[key] = allowed
        return allowed

    def _allows(self, rule: str, context: Context) -> bool:
        if self._enforcer is None:
            return not _DEFAULTS[rule] or context.is_admin
        credentials = {
            "roles": list(context.roles),
            "project_id": context.project,
            "user_id": context.user_id,
            "is_admin": context.is_admin,
        }
        return bool(self._enforcer.enforce(rule, {}, credentials))
