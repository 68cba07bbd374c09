"""What the guide for CI jobs shows, run and read as it is printed there."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from zaqarclient.auth import signed_url
from zaqarclient.queues.v2.client import Client

DOC = Path(__file__).parents[3] / "doc" / "source" / "user"
EXAMPLES = DOC / "examples" / "ci"
SCRIPT = EXAMPLES / "post-build-result.sh"


@pytest.fixture(scope="module")
def server(server_factory: Callable[..., Any]) -> Any:
    """A server that signs URLs."""
    return server_factory(options="[signed_url]\nsecret_key = s3cret")


@pytest.fixture
def owner(server: Any, make_client: Callable[..., Client]) -> Client:
    """Who may use the queue."""
    return make_client(server.url)


@pytest.fixture
def job(owner: Client, server: Any, tmp_path: Path) -> dict[str, str]:
    """All that a CI job knows."""
    document = owner.queue("builds", auto_create=False).signed_url(methods=["POST"])
    signed = signed_url.SignedURL.of(server.url, document)
    return {
        "PATH": os.pathsep.join((sysconfig.get_path("scripts"), os.defpath)),
        "HOME": str(tmp_path),
        "ZAQAR_SIGNED_URL": signed_url.format_signed_url(signed),
    }


def run(job: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPT), *words],
        env=job,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_posts_a_result_with_nothing_but_a_signed_url(
    owner: Client, job: dict[str, str]
) -> None:
    queue = owner.queue("builds", auto_create=False)
    variables = {"CI_COMMIT_SHA": "0a1b", "CI_COMMIT_REF_NAME": 'it\'s "new" $HOME'}
    done = run(job | variables, "success")
    assert (done.returncode, done.stderr) == (0, "")
    message = queue.message(done.stdout.strip())
    assert message.body == {
        "result": "success",
        "commit": "0a1b",
        "branch": 'it\'s "new" $HOME',
        "run": "",
    }


def test_the_script_fails_when_nothing_could_be_posted(job: dict[str, str]) -> None:
    done = run(job | {"ZAQAR_QUEUE": "elsewhere"}, "failure")
    assert (done.returncode, done.stdout) == (4, "")
    assert "this needs POST /v2/queues/elsewhere/messages" in done.stderr
    assert run(job).returncode != 0


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_each_ci_system_runs_the_script_after_the_build_whatever_came_of_it(
    name: str,
) -> None:
    build = yaml.safe_load((EXAMPLES / name).read_text())
    if name == "github.yml":
        last = build["jobs"]["build"]["steps"][-1]
        assert last["if"] == "always()"
        assert last["env"] == {"ZAQAR_SIGNED_URL": "${{ secrets.ZAQAR_SIGNED_URL }}"}
        commands = last["run"].splitlines()
    else:
        # GitLab runs it after a failure too, with its variables set.
        commands = build["build"]["after_script"]
    assert commands[0] == "pip install python-zaqarclient"
    assert commands[1].startswith(f"sh ci/{SCRIPT.name} ")


def test_the_guide_prints_these_very_files() -> None:
    text = (DOC / "ci.rst").read_text()
    for file in EXAMPLES.iterdir():
        assert f".. literalinclude:: examples/ci/{file.name}\n" in text


def test_a_job_reads_nothing_with_a_url_that_allows_to_post(
    job: dict[str, str],
) -> None:
    words = ["zaqar", "message", "list", "builds", "-f", "json"]
    done = subprocess.run(words, env=job, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert "the signed URL allows POST" in done.stderr
