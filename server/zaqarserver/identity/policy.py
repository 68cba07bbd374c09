"""Policy rules on ``oslo.policy`` (``rest-v2`` 6.2).

The rules' targets are empty, so a decision depends on the rule and the caller's
credentials only; decisions are cached for a second.

A policy file that has changed is read again. If it is invalid or missing, the previous
rules stay in force: a typing error neither opens nor closes anything.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from oslo_config import cfg
from oslo_policy import policy as oslo_policy

from zaqarserver.errors import Forbidden, SettingsError
from zaqarserver.operations import OPERATIONS, Operation
from zaqarserver.operations.context import Context
from zaqarserver.operations.row import ADMIN

LOG = logging.getLogger(__name__)

_MOST_DECISIONS = 10_000
_RELOAD_SECONDS = 1.0


def list_rules() -> list[oslo_policy.DocumentedRuleDefault]:
    """Return the default rules, one for each guarded operation."""
    guarded: dict[str, list[Operation]] = {}
    for row in OPERATIONS:
        if row.policy is not None:
            guarded.setdefault(row.policy, []).append(row)
    return [
        oslo_policy.DocumentedRuleDefault(
            rule,
            rows[0].check_str,
            " ".join(dict.fromkeys(row.summary for row in rows)),
            [{"path": row.path, "method": row.method} for row in rows],
        )
        for rule, rows in guarded.items()
    ]


def _common() -> list[oslo_policy.RuleDefault]:
    return [
        oslo_policy.RuleDefault("context_is_admin", ADMIN, "An administrator."),
        oslo_policy.RuleDefault(
            "admin_or_owner",
            "is_admin:True or project_id:%(project_id)s",
            "An administrator, or a caller of the project.",
        ),
    ]


def list_all() -> Sequence[oslo_policy.RuleDefault]:
    """Return every rule, for the oslo.policy tools."""
    return [*_common(), *list_rules()]


def make_enforcer(conf: cfg.ConfigOpts = cfg.CONF) -> oslo_policy.Enforcer:
    """Return an enforcer with the default rules, for the oslo.policy tools.

    Args:
        conf: The settings; the tools use the library's global object.
    """
    enforcer = oslo_policy.Enforcer(conf)
    enforcer.register_defaults(list_all())
    return enforcer


def load_enforcer(conf: cfg.ConfigOpts) -> oslo_policy.Enforcer:
    """Return an enforcer of the policy file and the default rules.

    Raises:
        SettingsError: The file is missing or invalid; the text says why.
    """
    enforcer = make_enforcer(conf)
    name = conf.oslo_policy.policy_file
    place = conf.get_location("policy_file", "oslo_policy")
    is_named = place is not None and place.location is not cfg.Locations.opt_default
    if is_named and conf.find_file(name) is None:
        raise SettingsError(f"[oslo_policy] policy_file: {name} does not exist.")
    try:
        enforcer.load_rules()
        enforcer.check_rules(raise_on_violation=True)
    except Exception as error:  # the library raises many kinds for invalid files
        raise SettingsError(f"[oslo_policy] policy_file {name}: {error}") from error
    for rule, written in enforcer.file_rules.items():
        # The library reads a rule that it cannot parse as a denial.
        if str(enforcer.rules[rule]) == "!" and written.check_str != "!":
            raise SettingsError(
                f"[oslo_policy] policy_file {name}: rule {rule} cannot be read: "
                f"{written.check_str!r}"
            )
    # From here on, a change of the files makes a new enforcer.
    enforcer.use_conf = False
    return enforcer


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


class RulePolicy:
    """The rules of the policy file and the default rules.

    Raises:
        SettingsError: The file is missing or invalid; the text says why.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._enforcer = load_enforcer(conf)
        self._state = _state(conf)
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
            self._enforcer = load_enforcer(self._conf)
        except SettingsError as error:
            LOG.error("the policy rules stay as they were: %s", error)  # noqa: TRY400 - the text says all
        else:
            LOG.info("the policy file was read again")

    def _decide(self, key: tuple[object, ...], rule: str, context: Context) -> bool:
        if len(self._decisions) >= _MOST_DECISIONS:
            self._decisions.clear()
        credentials = {
            "roles": list(context.roles),
            "project_id": context.project,
            "user_id": context.user_id,
            "is_admin": context.is_admin,
        }
        allowed = bool(self._enforcer.enforce(rule, {}, credentials))
        self._decisions[key] = allowed
        return allowed
