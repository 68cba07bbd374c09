"""The rules as ``oslo.policy`` has them: the defaults, and those of a policy file."""

from __future__ import annotations

from collections.abc import Sequence

from oslo_config import cfg
from oslo_policy import policy as oslo_policy

from zaqarserver.errors import SettingsError
from zaqarserver.operations import OPERATIONS, Operation
from zaqarserver.operations.row import ADMIN


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
        SettingsError: The file is invalid; the text says why.
    """
    enforcer = make_enforcer(conf)
    name = conf.oslo_policy.policy_file
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
