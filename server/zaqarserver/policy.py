"""Access rules on ``oslo.policy`` (``rest-v2`` 6.2).

The rules' targets are empty, so a verdict depends on the rule and the caller's
credentials only; verdicts are kept until the policy file changes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from oslo_config import cfg
from oslo_policy import policy as oslo_policy

from zaqarserver.context import Context
from zaqarserver.errors import Forbidden
from zaqarserver.operations import OPERATIONS, Operation

LOG = logging.getLogger(__name__)

_ADMIN = "role:admin"
_ADMIN_RULES = frozenset({"health:get", "quota:get_project"})
_MOST_VERDICTS = 10_000
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
            _ADMIN if rule in _ADMIN_RULES else "",
            " ".join(dict.fromkeys(row.summary for row in rows)),
            [{"path": row.path, "method": row.method} for row in rows],
        )
        for rule, rows in guarded.items()
    ]


def _helpers() -> list[oslo_policy.RuleDefault]:
    return [
        oslo_policy.RuleDefault("context_is_admin", _ADMIN, "An administrator."),
        oslo_policy.RuleDefault(
            "admin_or_owner",
            "is_admin:True or project_id:%(project_id)s",
            "An administrator, or a caller of the project.",
        ),
    ]


def list_all() -> Sequence[oslo_policy.RuleDefault]:
    """Return every rule, as the oslo.policy tools ask for them."""
    return [*_helpers(), *list_rules()]


class RulePolicy:
    """The rules of the policy file over the defaults."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._enforcer = oslo_policy.Enforcer(conf)
        self._enforcer.register_defaults(list_all())
        self._enforcer.load_rules()
        self._verdicts: dict[tuple[object, ...], bool] = {}
        self._reload_at = 0.0

    def check(self, rule: str, context: Context) -> None:
        """Return if ``rule`` allows the caller.

        Raises:
            Forbidden: It does not.
        """
        key = (rule, context.roles, context.project, context.user_id)
        verdict = self._verdicts.get(key)
        if verdict is None or time.monotonic() >= self._reload_at:
            verdict = self._decide(key, rule, context)
        if not verdict:
            raise Forbidden(f"The policy rule {rule} does not allow this.")

    def _decide(self, key: tuple[object, ...], rule: str, context: Context) -> bool:
        if time.monotonic() >= self._reload_at:
            self._reload_at = time.monotonic() + _RELOAD_SECONDS
            self._verdicts.clear()
        if len(self._verdicts) >= _MOST_VERDICTS:
            self._verdicts.clear()
        credentials = {
            "roles": list(context.roles),
            "project_id": context.project,
            "user_id": context.user_id,
            "is_admin": context.is_admin,
        }
        verdict = bool(self._enforcer.enforce(rule, {}, credentials))
        self._verdicts[key] = verdict
        return verdict
