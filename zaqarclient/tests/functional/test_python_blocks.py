"""Every Python block of the documentation runs, and satisfies a strict type checker."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import threading
import uuid
import warnings
from pathlib import Path
from typing import Any

import pytest

import zaqarclient as zq

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "doc" / "source"
BLOCK = re.compile(
    r"^( *)\.\. code-block:: python\n(?:\1   :.*\n)*\n((?:\1   .*\n|\n)+)", re.MULTILINE
)

RUN_HERE = (
    "README.rst",
    "doc/source/user/quickstart.rst",
    "doc/source/user/dead-letters.rst",
    "doc/source/user/retries.rst",
    "doc/source/user/sdk.rst",
    "doc/source/user/sdk-asyncio.rst",
    "doc/source/user/sdk-websocket.rst",
    "doc/source/user/subscriptions.rst",
    "doc/source/user/topics.rst",
    "doc/source/user/workers.rst",
)
"""The pages whose blocks run here."""

RUN_ELSEWHERE = {
    "doc/source/contributor/driver.rst": "server/tests/functional/test_driver_page.py",
    "doc/source/contributor/operation.rst": (
        "server/tests/functional/test_operation_page.py"
    ),
    "doc/source/contributor/testing.rst": "server/tests/keystone/conftest.py",
    "doc/source/user/tasks.rst": "zaqarclient/tests/functional/test_tasks_page.py",
    "doc/source/user/testing.rst": "server/tests/plugin/test_plugin.py",
}
"""The pages whose blocks are parts of files or need what is not here, and the file that
does what they say."""

TYPED = (*RUN_HERE, "doc/source/user/tasks.rst")
"""The pages that a strict type checker reads: the others are parts of files."""

KNOWN = """
from __future__ import annotations
from typing import Any
import zaqarclient as zq
zaqar: zq.Client
queue: zq.Queue
session: Any
line: str
"""
"""What a reader has after the first lines of a guide."""

ASKED = "zaqar+https://h:1/v2/queues/q?project=p&paths=messages&methods=GET"
LINE = f"{ASKED}&expires=2031-03-03T09:00:00&signature=abc"


def blocks(page: str) -> list[str]:
    found = BLOCK.finditer((ROOT / page).read_text())
    return [textwrap.dedent(match.group(2)) for match in found]


def test_no_python_block_of_the_documentation_is_left_out() -> None:
    pages = [ROOT / "README.rst", *DOCS.rglob("*.rst")]
    names = {str(page.relative_to(ROOT)) for page in pages}
    found = {name for name in names if blocks(name)}
    assert found == {*RUN_HERE, *RUN_ELSEWHERE}
    for test in RUN_ELSEWHERE.values():
        assert (ROOT / test).exists()


def test_the_blocks_satisfy_a_strict_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    for page in TYPED:
        module = tmp_path / f"{Path(page).stem.replace('-', '_').lower()}.py"
        module.write_text("\n".join([KNOWN, *blocks(page)]))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"),
            *("--config-file=", f"--cache-dir={tmp_path / 'cache'}"),
            *("--python-executable", sys.executable, str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith(f"no issues found in {len(TYPED)} source files\n")


@pytest.fixture
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ``clouds.yaml`` of the guide."""
    file = tmp_path / "clouds.yaml"
    cloud = {"queues_endpoint": "http://127.0.0.1:8888"}
    file.write_text(json.dumps({"clouds": {"mycloud": cloud}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
@pytest.mark.usefixtures("clouds")
@pytest.mark.parametrize("page", RUN_HERE)
def test_the_blocks_of_a_page_run_one_after_the_other(page: str, server: Any) -> None:
    project = uuid.uuid4().hex
    with zq.Client(server.url, project=project) as zaqar:
        queue = zaqar.queue("guide", force_create=True)
        given = {"zaqar": zaqar, "queue": queue, "session": None, "line": LINE}
        names: dict[str, Any] = {"zq": zq, **given}
        made: list[zq.Client] = []
        for block in blocks(page):
            names |= given
            code = block.replace("http://127.0.0.1:8888", server.url)
            code = code.replace("ws://127.0.0.1:9000", server.websocket_url)
            code = code.replace("demo", project).replace("timeout=60", "timeout=0.2")
            with warnings.catch_warnings():
                exec(code, names)  # noqa: S102 - the documentation's own code
            if isinstance(last := names["zaqar"], zq.Client) and last is not zaqar:
                made.append(last)
        for client in made:
            client.close()
    # No thread of a listener is left.
    assert not [t for t in threading.enumerate() if t.name == "zaqar-websocket"]
