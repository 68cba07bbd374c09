"""What Tab completes: what the program answers, and what three shells make of it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
from terminals import Terminal, terminal

from zaqarclient.tests.functional.cli.conftest import PROGRAMS, Run

ZAQAR = str(PROGRAMS / "zaqar")


@pytest.fixture
def queues(zaqar: Run) -> None:
    for name in ("orders", "other", "invoices"):
        zaqar("queue", "create", name)
    zaqar("topic", "create", "news")


def offered(line: str, environment: dict[str, str], **extra: str) -> list[str]:
    """Return what the program offers for a line, as it answers a shell."""
    variables = {
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SHELL": "bash",
    }
    with tempfile.NamedTemporaryFile("r") as answer:
        named = {"_ARGCOMPLETE_STDOUT_FILENAME": answer.name}
        done = subprocess.run(
            [ZAQAR],
            env=environment | variables | named | extra,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, b"")
        words = answer.read().split("\n")
    return [word.rstrip().replace("\\", "") for word in words if word]


LINES = {
    "zaqar qu": ["queue", "quota"],
    "zaqar log": ["logout"],
    "zaqar pool up": ["update"],
    "zaqar queue get ": ["metadata"],
    "zaqar queue st": ["stats"],
    "zaqar topic message t": ["tail"],
    "zaqar messaging topic message t": ["tail"],
    "zaqar help message t": ["tail"],
    "zaqar help queue signed url re": ["revoke"],
    "zaqar --os-queues-project-id p queue st": ["stats"],
    "zaqar -v queue st": ["stats"],
    "zaqar --os-token-c": ["--os-token-cache"],
    "zaqar queue list --with": ["--with-count"],
    "zaqar queue signed url orders --out": ["--output"],
    "zaqar pool update ssd --pool": ["--pool-options", "--pool-uri", "--pool-weight"],
    "zaqar message list q -f ": ["csv", "json", "table", "value", "yaml"],
    "zaqar message list q -c C": ["Claim ID", "Claims", "Checksum"],
    "zaqar message tail q -c A": ["Age"],
    "zaqar queue stats q -c Old": ["Oldest", "Oldest ID", "Oldest Age"],
    "zaqar complete --shell ": ["bash", "fish", "zsh"],
    "zaqar queue signed url q --methods GET,P": ["GET,POST", "GET,PUT", "GET,PATCH"],
    "zaqar queue signed url q --paths m": ["messages"],
    "zaqar message list o": ["orders", "other"],
    "zaqar message list orders --limit 5 --marker ": [],
    "zaqar queue signed url ": ["invoices", "list", "orders", "other", "revoke"],
    "zaqar queue delete orders o": ["orders", "other"],
    "zaqar queue set orders --dead-letter-queue i": ["invoices"],
    "zaqar topic message post n": ["news"],
    "zaqar xyzzy ": [],
    "zaqar queue list --paint ": [],
}


@pytest.mark.usefixtures("queues")
@pytest.mark.parametrize(("line", "words"), LINES.items())
def test_each_word_of_a_line_is_completed(
    line: str, words: list[str], environment: dict[str, str]
) -> None:
    found = offered(line, environment)
    for _ in range(5):
        # A Tab waits for a busy service no longer than its user would.
        found = found if found or not words else offered(line, environment)
    assert sorted(found) == sorted(words)


def test_files_are_completed_where_files_are_taken(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "hook.json").write_text("{}")
    path = str(tmp_path / "hook")
    for line in ("queue export q ", "claim run q -- ", "batch "):
        assert offered(f"zaqar {line}{path}", environment) == [f"{path}.json"]
    for line in ("message post q ", "subscription create q http://h --options "):
        assert offered(f"zaqar {line}@{path}", environment) == [f"@{path}.json"]


@pytest.mark.usefixtures("queues")
def test_names_are_kept_for_a_short_while_by_the_one_who_asked(
    environment: dict[str, str], zaqar: Run, tmp_path: Path
) -> None:
    own = environment | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    line = "zaqar queue show o"
    assert offered(line, own) == ["orders", "other"]
    zaqar("queue", "create", "overdue")
    assert offered(line, own) == ["orders", "other"]
    other = own | {"OS_QUEUES_PROJECT_ID": "another"}
    assert offered(line, other) == []
    directory = tmp_path / "cache" / "zaqarclient" / "names"
    assert directory.stat().st_mode & 0o077 == 0
    for file in directory.iterdir():
        assert "another" not in file.read_text()
        os.utime(file, (time.time() - 60,) * 2)
    assert offered(line, own) == ["orders", "other", "overdue"]
    (kept,) = directory.iterdir()
    assert json.loads(kept.read_text()) == ["orders", "other", "overdue"]


def test_without_a_service_there_are_no_names(environment: dict[str, str]) -> None:
    away = {"OS_QUEUES_ENDPOINT": "http://127.0.0.1:1"}
    assert offered("zaqar queue show ", environment, **away) == []


SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
LOAD = {
    "bash": 'eval "$(zaqar complete)"',
    "zsh": 'eval "$(zaqar complete --shell zsh)"',
    "fish": "zaqar complete --shell fish | source",
}


@pytest.fixture(params=SHELLS)
def shell(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    tmp_path: Path,
    queues: None,
) -> Iterator[Terminal]:
    """A shell in a terminal that has read the completion."""
    name = request.param
    program, *options = SHELLS[name]
    path = needs.program(program, package=name)
    variables = {
        **environment,
        "PATH": f"{PROGRAMS}:{environment['PATH']}",
        "PS1": "> ",
        "ZDOTDIR": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    (tmp_path / "hook.json").write_text("{}")
    for line in ("zaqar message show inv", "zaqar queue show o"):
        # The names are kept from then on.
        assert any(offered(line, variables) for _ in range(5))
    with terminal([path, *options], variables, tmp_path) as shown:
        shown.type(f"{LOAD[name]}; echo load''ed")
        shown.press("Enter")
        shown.wait_for("^loaded$")
        yield shown


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("zaqar message ta", "zaqar message tail "),
        ("zaqar message show inv", "zaqar message show invoices "),
        ("zaqar message list orders -f js", "zaqar message list orders -f json "),
        ("zaqar queue list --deta", "zaqar queue list --detailed "),
        ("zaqar queue export orders hoo", "zaqar queue export orders hook.json "),
        ("zaqar message post orders @hoo", "zaqar message post orders @hook.json "),
    ],
)
def test_tab_completes_in_a_real_shell(
    shell: Terminal, typed: str, completed: str
) -> None:
    shell.clear()
    shell.type(typed)
    shell.press("Tab")
    # A word that is complete has a blank behind it.
    shell.type("+end")
    screen = shell.wait_for(r"\+end")
    assert f"{completed}+end" in screen


def test_two_tabs_list_what_there_is(shell: Terminal) -> None:
    shell.clear()
    shell.type("zaqar queue show o")
    shell.press("Tab")
    shell.press("Tab")
    shell.wait_for(r"orders.*\bother|orders\n.*other")
