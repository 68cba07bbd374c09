"""Each console block of the guides runs as it is written, against a new server.

A block runs in a project of its own, where what the guides name exists: a queue
``orders`` with messages, a claim, a subscription and a signed URL, a queue ``builds``,
a topic ``news``. Ids in the text stand for theirs. A block that cannot run here has the
comment ``.. not run: REASON`` before it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.auth.signed_url import SignedURL, format_signed_url
from zaqarclient.queues.client import Client

DOCS = Path(__file__).parents[3] / "doc/source"
PAGES = sorted({*DOCS.glob("user/*.rst"), *DOCS.glob("cli/*.rst")})
BLOCK = re.compile(
    r"^(?P<skip> *\.\. not run: .*\n\n)?"
    r"(?P<margin> *)\.\. code-block:: console\n(?:(?P=margin)   :.*\n)*\n"
    r"(?P<text>(?:(?P=margin)   .*\n|\n)+)",
    re.MULTILINE,
)
#: What follows until it is stopped; a test stops it soon.
ENDLESS = re.compile(r"--follow(?!.*--(limit|timeout))|claim run .*--follow")
TIMED_OUT = 124
SETTINGS = """
admin_mode = true
[signed_url]
secret_key = s3cret
[transport]
message_encryption_key = 0123456789abcdef0123456789abcdef
"""
FILES = {
    "orders.json": '[{"body": 1}, {"body": 2}]',
    "order.json": '{"items": [1, 2]}',
    "hook.json": '{"post_headers": {"X-Team": "billing"}}',
    "cleanup.txt": "queue delete job-1 --yes\n",
}


@dataclass(frozen=True)
class Block:
    """A console block of a page."""

    page: str
    line: int
    text: str
    is_run: bool

    @property
    def commands(self) -> list[str]:
        """What a reader types, one command each."""
        found: list[str] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append(line[2:])
            elif found and found[-1].endswith(("\\", "|")):
                found[-1] += "\n" + line.removeprefix("> ")
        return found


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text()
        for match in BLOCK.finditer(text):
            yield Block(
                str(page.relative_to(DOCS)),
                text.count("\n", 0, match.start("text")) + 1,
                textwrap.dedent(match["text"]),
                match["skip"] is None and page.name != "tasks.rst",
            )


RUN = [block for block in blocks() if block.is_run]
#: The first block of a page, where later ones use what it defines.
BEGIN = {block.page: block for block in reversed(RUN) if "() {" in block.text}


@pytest.fixture(scope="module")
def service(server_factory: Any) -> Any:
    return server_factory(options=SETTINGS)


def prepared(zaqar: Any, text: str) -> dict[str, str]:
    """Make what the guides name; return real ids by the texts that stand for them."""
    queue = zaqar.queue("orders")
    if "bury" in text:
        queue.metadata(new_meta={"_dead_letter_queue": "orders-failed"})
    queue.post([{"body": {"item": "tea", "n": n}, "ttl": 300} for n in range(4)])
    claim = queue.claim(ttl=300, grace=60, limit=1)
    (held,) = list(claim)
    free = next(iter(queue.messages(echo=True)))
    hook = {"subscriber": "http://127.0.0.1:9/known", "ttl": 600}
    subscription = zaqar.subscription("orders", **hook)
    builds = zaqar.queue("builds")
    builds.post({"body": {"result": "success"}})
    lent = builds if "builds" in text else queue
    lent.signed_url(["messages"], ttl_seconds=500, methods=["POST"])
    (known,) = lent.signed_urls().stream()
    zaqar.topic("news").post({"body": {"title": "Spring"}})
    link = queue.signed_url(["messages"], ttl_seconds=600, methods=["GET", "POST"])
    message = held if "--claim-id" in text else free
    return {
        "url": format_signed_url(SignedURL.of(str(zaqar.api_url), link)),
        r"0660f114[0-9a-f]{22}|\bMESSAGE(_ID)?\b": message.id,
        r"0660f116[0-9a-f]{22}|\bCLAIM(_ID)?\b": claim.id,
        r"0660f1c5[0-9a-f]{22}|(?<!-c )\bID\b": subscription.id,
        "264e2880644269078f302393c740dade": known["id"],
    }


@pytest.mark.parametrize(
    "block", RUN, ids=[f"{block.page}:{block.line}" for block in RUN]
)
def test_the_block_runs(block: Block, service: Any, tmp_path: Path) -> None:
    project = uuid.uuid4().hex
    options = {"backend": "noauth", "options": {"os_project_id": project}}
    with Client(service.url, conf={"auth_opts": options}) as zaqar:
        ids = prepared(zaqar, block.text)
    for name, content in {**FILES, "orders-url": ids.pop("url")}.items():
        (tmp_path / name).write_text(content)
    handler = tmp_path / "handle-order"
    handler.write_text("#!/bin/sh\ncat >/dev/null\n")
    handler.chmod(0o755)
    (tmp_path / "handle-result").symlink_to(handler)
    (tmp_path / "done").mkdir()
    script = ["set -u"]
    begin = BEGIN.get(block.page)
    if begin is not None and begin is not block:
        script += begin.commands
    for command in block.commands:
        for text, id_ in ids.items():
            command = re.sub(text, id_, command)  # noqa: PLW2901
        if ENDLESS.search(command):
            script.append(f"timeout -s INT 3 {command} || test $? = {TIMED_OUT}")
        else:
            script.append(f"{{ {command}\n}}")
        # A message that does not match is no failure of the command.
        fine = "-le 1" if " explain " in command else "= 0"
        script.append(f"status=$?; [ $status {fine} ] || exit 30")
    text = "\n".join(script)
    text = text.replace("http://127.0.0.1:8888", service.url)
    text = text.replace("ws://127.0.0.1:9000", service.websocket_url)
    text = text.replace("/run/secrets/orders-url", "$HOME/orders-url")
    text = text.replace("https://queues.example.com", service.url)
    known = {name: value for name, value in os.environ.items() if name[:3] != "OS_"}
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=tmp_path,
        env={
            **known,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), known["PATH"]]),
            "HOME": str(tmp_path),
            "XDG_STATE_HOME": str(tmp_path),
            "XDG_CACHE_HOME": str(tmp_path),
            "OS_QUEUES_ENDPOINT": service.url,
            "OS_QUEUES_PROJECT_ID": project,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def test_most_blocks_are_run() -> None:
    known = list(blocks())
    assert len(RUN) > len(known) * 0.6
