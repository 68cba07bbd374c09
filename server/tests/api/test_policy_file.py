"""The operator's policy file: read, followed, and never half believed (``6.2``)."""

import subprocess
import sys
from pathlib import Path

import pytest
from zaqarserver import config
from zaqarserver.errors import Forbidden, SettingsError
from zaqarserver.identity.access import RulePolicy
from zaqarserver.identity.policy import list_all, list_rules, make_enforcer
from zaqarserver.operations.context import Context

RULE = "queues:get"
DENIED = '"queues:get": "role:auditor"\n'
TOOLS = Path(sys.executable).parent


class World:
    """A policy file, and the rules that come of it."""

    def __init__(self, directory):
        self.file = directory / "policy.yaml"
        self._settings = directory / "zaqarserver.conf"
        self._settings.write_text(f"[oslo_policy]\npolicy_file = {self.file}\n")

    def write(self, text):
        self.file.write_text(text)

    def start(self):
        self.rules = RulePolicy(config.load(["--config-file", str(self._settings)]))

    def look(self):
        """Have the rules look at the file, as they do every second."""
        self.rules._next_check = 0.0

    def allows(self, rule=RULE, roles=(), **who):
        caller = Context(None, who.get("project", "p"), "c", 0.0, "r", roles)
        try:
            self.rules.check(rule, caller)
        except Forbidden:
            return False
        return True

    def tool(self, name, *more):
        return subprocess.run(
            [
                *(TOOLS / f"oslopolicy-{name}", "--namespace", "zaqarserver"),
                *("--config-file", self._settings, *more),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.file.parent,
        )


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.write(DENIED)
    made.start()
    return made


def test_a_change_of_the_file_is_followed(world):
    assert not world.allows()
    assert world.allows(roles=("auditor",))
    world.write('"queues:create": "role:auditor"\n')
    world.look()
    assert world.allows()
    assert not world.allows("queues:create")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "- a\n- b\n",
        '"queues:get": "role:"and"\n',
        '"queues:get": "role:auditor and ("\n',
        '"queues:get": "rule:nowhere"\n',
        '"queues:get": "rule:a"\n"a": "rule:queues:get"\n',
        '"queues:get": 7\n',
        "\x00",
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(world, caplog, text):
    world.write(text)
    world.look()
    assert not world.allows()
    assert world.allows(roles=("auditor",))
    assert "rules stay as they were" in caplog.text
    assert str(world.file) in caplog.text


def test_a_removed_file_changes_nothing_until_there_is_one_again(world, caplog):
    world.file.unlink()
    world.look()
    assert not world.allows()
    assert f"{world.file} is missing" in caplog.text
    world.look()
    assert not world.allows()
    world.write("{}\n")
    world.look()
    assert world.allows()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "expected"),
        ('"queues:get": "role:auditor and ("\n', "queues:get"),
        ('"queues:get": "rule:nowhere"\n', "queues:get"),
        (None, "does not exist"),
    ],
)
def test_a_server_does_not_start_with_rules_that_it_cannot_read(world, text, named):
    world.file.unlink()
    if text is not None:
        world.write(text)
    with pytest.raises(SettingsError) as refused:
        world.start()
    assert "[oslo_policy] policy_file" in str(refused.value)
    assert str(world.file) in str(refused.value)
    assert named in str(refused.value)


def test_a_rule_can_be_reserved_for_administrators(world):
    world.write('"queues:get": "rule:context_is_admin"\n')
    world.look()
    assert not world.allows(roles=("member",))
    assert world.allows(roles=("admin",))


def test_the_target_of_a_rule_is_empty(world):
    world.write('"queues:get": "project_id:%(project_id)s"\n')
    world.look()
    assert not world.allows()


def test_the_rules_can_tell_projects_apart(world):
    world.write('"queues:get": "project_id:alpha"\n')
    world.look()
    assert world.allows(project="alpha")
    assert not world.allows(project="beta")


def test_the_tools_of_oslo_policy_know_the_rules(world):
    world.write('"queues:get": ""\n"queues:delete": "role:operator"\n')
    redundant = world.tool("list-redundant")
    assert redundant.stdout == '"queues:get": ""\n', redundant.stderr
    whole = world.tool("policy-generator").stdout
    assert '"queues:delete": "role:operator"' in whole
    assert all(f'"{rule.name}": ' in whole for rule in list_all())
    assert world.tool("validator").returncode == 0
    world.write('"queues:get": "role:auditor and ("\n')
    wrong = world.tool("validator")
    assert wrong.returncode == 1
    assert "Failed to parse rule: role:auditor and (" in wrong.stdout


def test_the_sample_has_each_rule_with_what_it_guards(world, tmp_path):
    sample = tmp_path / "sample.yaml"
    subprocess.run(
        [
            *(TOOLS / "oslopolicy-sample-generator", "--namespace", "zaqarserver"),
            *("--output-file", sample),
        ],
        check=True,
        timeout=60,
    )
    text = sample.read_text()
    assert all(f'#"{rule.name}": "{rule.check_str}"' in text for rule in list_all())
    assert "# POST  /v2/queues/{queue_name}/messages\n" in text
    # As it is written, it changes nothing.
    world.write(text)
    world.look()
    assert world.allows()


def test_the_defaults_hold_without_a_file(tmp_path):
    (tmp_path / "z.conf").write_text("")
    rules = RulePolicy(config.load(["--config-file", str(tmp_path / "z.conf")]))
    caller = Context(None, "p", "c", 0.0, "r")
    rules.check(RULE, caller)
    with pytest.raises(Forbidden):
        rules.check("health:get", caller)


@pytest.mark.parametrize("roles", [(), ("member",), ("admin",), ("member", "admin")])
def test_the_library_decides_the_same_by_the_defaults(tmp_path, roles):
    conf = config.load(["--config-file", str(_write(tmp_path / "z.conf", ""))])
    rules = RulePolicy(conf)
    caller = Context(None, "p", "c", 0.0, "r", roles)
    library = make_enforcer(conf)
    for rule in list_rules():
        expected = library.enforce(rule.name, {}, {"roles": list(roles)})
        assert rules._allows(rule.name, caller) == expected, rule.name


def _write(path, text):
    path.write_text(text)
    return path
