"""The table of commands, its classes and the entry points of ``openstack``."""

from __future__ import annotations

import configparser
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from cliff.command import Command
from cliff.lister import Lister
from cliff.show import ShowOne

from zaqarclient import shell
from zaqarclient.queues.v2 import cli
from zaqarclient.queues.v2.cli.commands import COMMANDS, PREFIXED_ONLY
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.transport.errors import ConnectionFailed

GROUP = "openstack.messaging.v2"


def test_of_several_targets_it_is_known_how_many_were_done(
    program: Callable[..., shell.Program],
) -> None:
    command = program().command("queue delete")

    def delete(name: str) -> None:
        if name == "c":
            raise ConnectionFailed

    with pytest.raises(ConnectionFailed):
        command.for_each("queue", ["a", "b", "c"], delete)
    assert command.done == "2 of 3 queues were done"


# cli.md 1.1, all 32; "message post" prints ids by now.
CONTRACT = {
    "messaging_queue_list": ("ListQueues", Lister),
    "messaging_queue_create": ("CreateQueue", ShowOne),
    "messaging_queue_delete": ("DeleteQueue", Command),
    "messaging_queue_stats": ("GetQueueStats", ShowOne),
    "messaging_queue_set_metadata": ("SetQueueMetadata", Command),
    "messaging_queue_get_metadata": ("GetQueueMetadata", ShowOne),
    "messaging_queue_purge": ("PurgeQueue", Command),
    "messaging_queue_signed_url": ("CreateSignedUrl", ShowOne),
    "messaging_message_post": ("PostMessages", Command),
    "messaging_message_list": ("ListMessages", Lister),
    "messaging_claim_create": ("CreateClaim", Lister),
    "messaging_claim_query": ("QueryClaim", Lister),
    "messaging_claim_renew": ("RenewClaim", Lister),
    "messaging_claim_release": ("ReleaseClaim", Command),
    "messaging_subscription_create": ("CreateSubscription", ShowOne),
    "messaging_subscription_update": ("UpdateSubscription", ShowOne),
    "messaging_subscription_delete": ("DeleteSubscription", Command),
    "messaging_subscription_show": ("ShowSubscription", ShowOne),
    "messaging_subscription_list": ("ListSubscriptions", Lister),
    "messaging_pool_create": ("CreatePool", ShowOne),
    "messaging_pool_show": ("ShowPool", ShowOne),
    "messaging_pool_update": ("UpdatePool", ShowOne),
    "messaging_pool_delete": ("DeletePool", Command),
    "messaging_pool_list": ("ListPools", Lister),
    "messaging_flavor_create": ("CreateFlavor", ShowOne),
    "messaging_flavor_show": ("ShowFlavor", ShowOne),
    "messaging_flavor_update": ("UpdateFlavor", ShowOne),
    "messaging_flavor_delete": ("DeleteFlavor", Command),
    "messaging_flavor_list": ("ListFlavors", Lister),
    "messaging_ping": ("Ping", ShowOne),
    "messaging_health": ("Health", Command),
    "messaging_homedoc": ("HomeDoc", Command),
}

# What starting takes seconds to import, or nothing here has a use for.
HEAVY = (
    "requests",
    "keystoneauth1",
    "openstackclient",
    "openstack",
    "osc_lib",
    "cmd2",
    "yaml",
    "jsonschema",
    "oslo_log",
    "oslo_config",
    "oslo_utils",
    "pbr",
)


def test_the_contract_has_32_names() -> None:
    assert len(CONTRACT) == 32


@pytest.mark.parametrize(("name", "expected"), CONTRACT.items())
def test_the_contract_names_are_registered_with_their_classes(
    name: str, expected: tuple[str, type]
) -> None:
    (entry,) = entry_points(group=GROUP, name=name)
    class_name, base = expected
    assert entry.value == f"zaqarclient.queues.v2.cli:{class_name}"
    assert issubclass(entry.load(), base)


def test_entry_points_are_the_rows_of_the_table_long_and_short() -> None:
    long = {
        f"messaging_{name.replace(' ', '_')}": entry.cls
        for name, entry in COMMANDS.items()
    }
    short = {
        name.replace(" ", "_"): entry.cls
        for name, entry in COMMANDS.items()
        if name not in PREFIXED_ONLY
    }
    registered = {
        entry.name: entry.value.partition(":")[2] for entry in entry_points(group=GROUP)
    }
    assert registered == long | short


def test_the_installed_entry_points_are_those_of_the_checkout() -> None:
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[4] / "setup.cfg")
    lines = config["options.entry_points"][GROUP].split("\n")
    written = {line.partition(" = ")[0] for line in lines if line}
    assert written == {entry.name for entry in entry_points(group=GROUP)}


def test_a_command_knows_the_words_that_the_table_calls_it_by(
    program: Callable[..., shell.Program],
) -> None:
    words = {name: program().command(name).words for name in COMMANDS}
    assert words == {name: name for name in COMMANDS}


@pytest.mark.parametrize("name", [name for name in COMMANDS if "topic" in name])
def test_a_command_on_topics_speaks_of_topics(
    name: str, program: Callable[..., shell.Program]
) -> None:
    text = program().command(name).get_parser(name).format_help()
    assert "topic" in text
    assert "queue" not in text


@pytest.mark.parametrize("name", cli.__all__)
def test_every_class_can_be_imported_from_the_package(name: str) -> None:
    assert getattr(cli, name).__name__ == name


def test_a_class_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="ListNothing"):
        getattr(cli, "ListNothing")  # noqa: B009 - the name is the point


def imported_by(code: str, **variables: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after some code."""
    script = f"import sys\n{code}\nsys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | variables,
    )
    return {name.partition(".")[0] for name in done.stderr.split()} | set(
        done.stderr.split()
    )


def test_the_plugin_module_imports_nothing_but_itself_and_small_parts() -> None:
    loaded = imported_by("import zaqarclient.queues.cli")
    assert loaded.isdisjoint({*HEAVY, "cliff", "argparse", "stevedore", "json"})


def test_the_table_of_commands_imports_no_command() -> None:
    loaded = imported_by("import zaqarclient.queues.v2.cli")
    assert loaded.isdisjoint({*HEAVY, "cliff"})


def test_the_help_of_a_command_needs_neither_network_nor_openstack() -> None:
    loaded = imported_by(
        "from zaqarclient.shell import main\n"
        "try:\n  main(['queue', 'list', '--help'])\n"
        "except SystemExit: pass"
    )
    assert "cliff.lister" in loaded
    assert loaded.isdisjoint({*HEAVY, "zaqarclient.queues.v2.client"})


@pytest.mark.parametrize("words", [["ping"], ["message", "post", "q", "1"]])
def test_a_command_without_credentials_needs_nothing_of_keystoneauth(
    words: list[str], stub: HttpStub
) -> None:
    stub.default = Answer(201, {"resources": ["/v2/queues/q/messages/m"]})
    script = f"from zaqarclient.shell import main\nmain({words})"
    loaded = imported_by(script, OS_QUEUES_ENDPOINT=stub.url)
    assert stub.last.headers["x-project-id"] == "fake_project_id_for_noauth"
    assert "requests" in loaded
    assert loaded.isdisjoint({*HEAVY, "websocket"} - {"requests"})


def test_the_help_of_the_program_needs_neither_network_nor_openstack() -> None:
    loaded = imported_by("from zaqarclient.shell import main\nmain(['--help'])")
    assert "zaqarclient.queues.v2.cli.queue" in loaded
    assert loaded.isdisjoint({*HEAVY, "cliff", "stevedore", "importlib.metadata"})


def test_a_program_runs_the_class_of_a_module_on_a_class_of_cliff() -> None:
    module = importlib.import_module("zaqarclient.queues.v2.cli.queue")
    assert issubclass(cli.ListQueues, module.ListQueues)
    assert not issubclass(module.ListQueues, Lister)
    assert cli.ListQueues is cli.ListQueues
    assert cli.ListQueues.__module__ == module.__name__
