"""What the guide for CI jobs shows, run and read as it is printed there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from zaqarclient.auth import signed_url
from zaqarclient.queues.v2.client import Client

DOC = Path(__file__).parents[3] / "doc" / "source" / "user"
EXAMPLES = DOC / "examples" / "ci"
GUIDE = (DOC / "ci.rst").read_text()
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


def last_commands(name: str) -> list[str]:
    """Return what a CI system runs after the build, whatever came of it."""
    build = yaml.safe_load((EXAMPLES / name).read_text())
    if name.startswith("gitlab"):
        # GitLab runs it after a failure too, with its variables set.
        commands: list[str] = build["build"]["after_script"]
        return commands
    last = build["jobs"]["build"]["steps"][-1]
    assert last["if"] == "always()"
    assert all(
        value in (f"${{{{ {kind}.{name} }}}}" for kind in ("secrets", "vars"))
        for name, value in last["env"].items()
    )
    shown: str = last["run"]
    return shown.replace("${{ job.status }}", "success").splitlines()


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_each_ci_system_installs_this_package_and_runs_the_script(
    name: str, tmp_path: Path
) -> None:
    install, post = last_commands(name)
    assert post.startswith(f"sh ci/{SCRIPT.name} ")
    wheel = tmp_path / "python_zaqarclient-5.0.0-py3-none-any.whl"
    foreign = tmp_path / "python_zaqarclient-4.3.0-py3-none-any.whl"
    for file in (wheel, foreign):
        info = f"python_zaqarclient-{file.name.split('-')[1]}.dist-info"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr(
                f"{info}/METADATA",
                "Metadata-Version: 2.1\nName: python-zaqarclient\n"
                f"Version: {file.name.split('-')[1]}\n",
            )
            archive.writestr(f"{info}/RECORD", "")
    for file, status in ((wheel, 0), (foreign, 1)):
        trial = (
            f"'{sys.executable}' -m {install} --dry-run --ignore-installed --no-index"
        )
        done = subprocess.run(
            ["sh", "-c", trial],
            env={**os.environ, "ZAQAR_WHEEL": file.as_uri()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["github-curl.yml", "gitlab-curl.yml"])
def test_each_ci_system_posts_with_nothing_but_curl(
    name: str, owner: Client, server: Any
) -> None:
    queue = owner.queue(name.partition(".")[0], auto_create=False)
    signed = signed_url.SignedURL.of(server.url, queue.signed_url(methods=["POST"]))
    variables = {"GITHUB_RUN_NUMBER": "12", "CI_PIPELINE_IID": "12"}
    subprocess.run(
        ["sh", "-euc", "\n".join(last_commands(name))],
        env={"PATH": os.defpath, "CI_JOB_STATUS": "success", **variables}
        | {"ZAQAR_LINK": signed_url.format_link(signed)},
        capture_output=True,
        check=True,
    )
    assert [message.body for message in queue.messages(echo=True)] == [
        "build 12 ended with success"
    ]


# -- zaqar run ---------------------------------------------------------------------


def shell_lines(name: str) -> tuple[str, dict[str, str]]:
    """Return what a CI system has a shell run, and the variables that its file sets."""
    text = (EXAMPLES / name).read_text()
    if name == "Jenkinsfile":
        return text.split("'''")[1], {}
    build = yaml.safe_load(text)
    if name == "zuul.yaml":
        (task,) = build[0]["tasks"]
        return task["shell"], task["environment"]
    if name == "buildkite.yml":
        commands = build["steps"][0]["commands"]
    elif name == "gitlab-run.yml":
        commands = build["build"]["script"]
    else:
        commands = [build["jobs"]["build"]["steps"][-1]["run"]]
    return "\n".join(commands), {}


SYSTEMS = {
    "github-run.yml": ("github", {"GITHUB_ACTIONS": "true", "GITHUB_SHA": "0a1b"}),
    "gitlab-run.yml": ("gitlab", {"GITLAB_CI": "true", "CI_COMMIT_SHA": "0a1b"}),
    "Jenkinsfile": ("jenkins", {"JENKINS_URL": "http://j", "GIT_COMMIT": "0a1b"}),
    "buildkite.yml": ("buildkite", {"BUILDKITE": "true", "BUILDKITE_COMMIT": "0a1b"}),
    "zuul.yaml": ("zuul", {}),
}


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("status", [0, 2])
def test_each_ci_system_runs_its_tests_and_tells(
    name: str, status: int, owner: Client, job: dict[str, str], tmp_path: Path
) -> None:
    system, variables = SYSTEMS[name]
    queue = owner.queue("builds", auto_create=False)
    queue.purge()
    for program, script in {
        "make": f"echo tested; exit {status}",
        "git": "echo 0a1b",
        "pip": "true",
    }.items():
        (tmp_path / program).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / program).chmod(0o755)
    commands, own = shell_lines(name)
    told = {key: value for key, value in own.items() if key not in job}
    done = subprocess.run(
        ["sh", "-euc", commands.replace("$$", "$")],
        env={**told, **job, **variables, "ZAQAR_WHEEL": "https://example.com/it.whl"}
        | {"PATH": f"{tmp_path}{os.pathsep}{job['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, "tested\n"), done.stderr
    (message,) = queue.messages(echo=True)
    assert message.body["command"] == ["make", "test"]
    assert message.body["event"] == ("failure" if status else "success")
    assert message.body["tail"] == "tested"
    assert message.body["ci"]["system"] == system
    assert message.body["ci"]["commit"] == "0a1b"


def test_the_url_of_the_guide_is_enough_to_take_a_message(
    owner: Client, server: Any, job: dict[str, str]
) -> None:
    queue = owner.queue("gates", auto_create=False)
    for n in range(3):
        queue.post({"body": {"n": n}})
    asked = re.search(r"--paths (messages,\S+) --methods (GET,\S+?)`", GUIDE)
    assert asked is not None
    paths, methods = (words.split(",") for words in asked.groups())
    signed = signed_url.SignedURL.of(server.url, queue.signed_url(paths, None, methods))
    job["ZAQAR_SIGNED_URL"] = signed_url.format_signed_url(signed)
    words = ["zaqar", "message", "wait", "gates", "--filter", "n=1", "--consume"]
    done = subprocess.run(
        [*words, "-f", "value", "-c", "Body", "--timeout", "1m"],
        env=job,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"n":1}\n', "")
    left = [message.body["n"] for message in queue.messages(echo=True)]
    assert left == [0, 2]


def test_the_guide_prints_these_very_files() -> None:
    for file in EXAMPLES.iterdir():
        assert f".. literalinclude:: examples/ci/{file.name}\n" in GUIDE


def test_a_job_reads_nothing_with_a_url_that_allows_to_post(
    job: dict[str, str],
) -> None:
    words = ["zaqar", "message", "list", "builds", "-f", "json"]
    done = subprocess.run(words, env=job, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert "the signed URL allows POST" in done.stderr
