"""What a newcomer sees: forty commands on a terminal, wide and narrow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
from terminals import Terminal, terminal

from zaqarclient.tests.functional.cli.conftest import PROGRAMS

SCREENS = Path(__file__).parents[2] / "golden" / "screens"

#: With this variable set the screens are written, not compared.
WRITE = "WRITE_SCREENS"

#: What is typed, in this order; what follows ``<<`` answers a question.
TYPED = """
zaqar
zaqar --version
zaqar ping
zaqar ls
zaqar queue
zaqar queue list
zaqar queue create
zaqar queue create orders
zaqar queue create 'my orders'
zaqar queue ls
zaqar queue list
zaqar queue list --limt 5
zaqar queue list -f jsn
zaqar message list orders
zaqar send orders hello
zaqar message post orders hello
zaqar message post orders '{"item": "tea", "count": 2, "for": "a friend of ours"}'
zaqar message post orders '{"item": "tea"'
zaqar message post orders later --delay 30
zaqar message list orders
zaqar message list oders
zaqar message list orders -c boddy
zaqar message show orders 123
zaqar message post --ttl 1h orders 'a long text is cut where it does not fit'
zaqar queue stats orders
zaqar queue show orders
zaqar message tail orders
zaqar receive orders
zaqar claim create orders
zaqar claim create orders
zaqar message pop orders
zaqar message delete orders nope
zaqar subscription create orders http://127.0.0.1:8080/hook
zaqar subscribe orders nonsense
zaqar subscription create orders nonsense
zaqar subscription list orders
zaqar queue create short --ttl 5
zaqar pool list
zaqar health
zaqar queue rm orders
zaqar queue purge orders << n
zaqar queue delete orders << y
zaqar --os-queues-endpoint http://127.0.0.1:1 queue list
zaqar help message pop
""".strip().splitlines()

#: What differs from run to run, each character of which becomes a 0.
NORMAL = (
    r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    r"\b[0-9a-f]{24,32}\b",
    r"\b\d(?= s ago)",
    r"(?<=until )\d\d:\d\d:\d\d",
)

PROMPT = r"(?s)\A\$ .*\n\$\Z"
QUESTION = r"\[y/N\]\Z"


def normal(text: str) -> str:
    """Return a screen without what differs from run to run."""
    for pattern in NORMAL:
        text = re.sub(pattern, lambda found: re.sub(r"\w", "0", found[0]), text)
    return text


def loose(text: str) -> list[str]:
    """Return the screens that have to be the same, also where times are wider."""
    times = r"\d+ (s|min|h) ago|in \d+ (s|min|h)\b( \d+ s\b)?"
    text = re.sub(times, "TIME", text)
    text = re.sub(r"\S*…", "…", re.sub(r"  +", "  ", text))
    return text.split("\n\n$ ")


def wrapped(text: str, width: int) -> str:
    """Return a text as a terminal of that width shows it."""
    lines = (
        line[start : start + width]
        for line in text.splitlines()
        for start in range(0, max(len(line), 1), width)
    )
    return "\n".join(line.rstrip() for line in lines)


def screens(shell: Terminal, width: int) -> Iterator[str]:
    """Yield what each command shows."""
    for line in TYPED:
        typed, _, answer = line.partition(" << ")
        shell.press("C-l")
        shell.wait_for(r"\A\$\Z")
        shell.type(typed)
        shell.press("Enter")
        if answer:
            shell.wait_for(QUESTION)
            shell.type(answer)
            shell.press("Enter")
        shown = shell.wait_for(PROMPT).removesuffix("\n$")
        yield wrapped(normal(shown), width)


@pytest.mark.parametrize("width", [80, 40])
def test_what_a_newcomer_types_is_shown_as_before(
    environment: dict[str, str], tmp_path: Path, width: int
) -> None:
    bash = needs.program("bash", package="bash")
    path = f"{PROGRAMS}:{os.environ['PATH']}"
    variables = environment | {"PATH": path, "PS1": "$ ", "NO_COLOR": "1"}
    with terminal([bash, "--norc"], variables, tmp_path, width, 200) as shell:
        shown = "\n\n".join(screens(shell, width)) + "\n"
    golden = SCREENS / f"{width}.txt"
    if os.environ.get(WRITE):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(shown, encoding="utf-8")
    assert loose(shown) == loose(golden.read_text(encoding="utf-8"))
