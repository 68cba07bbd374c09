"""What an operator types first: options, commands, mistakes, generated keys."""

from __future__ import annotations

import http.client
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import pytest
from zaqarserver.__main__ import main

HEADERS = {"Client-ID": "3381af922b9e11e3b19171861300734c", "X-Project-ID": "p"}
SHARE = "/v2/queues/orders/share"


class Done(NamedTuple):
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command of the program to its end, in this process."""

    def run(*arguments: str, **variables: str) -> Done:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        try:
            status = main(arguments)
        except SystemExit as error:
            status = int(error.code or 0)
        return Done(status, *capsys.readouterr())

    return run


def serve(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start a server that cannot start."""
    return subprocess.run(
        [sys.executable, "-m", "zaqarserver", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **variables},
    )


class Started:
    """A server that was started with options only."""

    def __init__(self, log: Path, *options: str) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "zaqarserver", "--port", "0", *options],
                stderr=output,
                env=os.environ
                | {"OS_WEBSOCKET__PORT": "0", "OS_DEFAULT__USE_JSON": "1"},
            )

    def __enter__(self) -> Self:
        while not any("ready on" in line for line in self.lines()):
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.05)  # between two looks at a process that starts
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(30) == 0

    def lines(self) -> list[str]:
        """Return the messages of its log."""
        return [
            json.loads(line)["message"]
            for line in self._log.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]

    def ask(self, method: str, path: str, document: object = None) -> tuple[int, bytes]:
        (ready,) = (line for line in self.lines() if "ready on" in line)
        place = ready.split("http://")[1].split()[0]
        connection = http.client.HTTPConnection(place, timeout=30)
        content = None if document is None else json.dumps(document)
        connection.request(method, path, content, HEADERS)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


# -- options ---------------------------------------------------------------------


def test_host_port_and_store_are_options(store: Path, tmp_path: Path) -> None:
    with Started(tmp_path / "log", "--store", str(store), "--host", "127.0.0.2") as one:
        assert one.ask("GET", "/healthz")[0] == 200
        (ready,) = (line for line in one.lines() if "ready on" in line)
        assert " ready on http://127.0.0.2:" in ready
        assert ready.endswith(f"messages are kept in sqlite://{store}")
        assert "messages survive a power loss" in one.lines()
    assert store.exists()


def test_the_command_line_goes_before_the_environment(run: Run) -> None:
    done = run("--port", "many", "--check-config", OS_SERVER__PORT="8888")
    assert (done.returncode, done.stderr) == (
        1,
        "zaqarserver check-config: --port: 'many' is not an integer\n",
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--prot", "9"], "there is no option --prot; did you mean --port?"),
        (["--prot=9"], "there is no option --prot; did you mean --port?"),
        (["--zzz"], "there is no option --zzz; see"),
        (["chek"], "invalid choice: 'chek'"),
        (["backup"], "the following arguments are required: TARGET"),
        (["--port"], "argument --port: expected one argument"),
    ],
)
def test_a_mistyped_command_line_is_one_line(
    run: Run, words: list[str], text: str
) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_help_names_the_everyday_options_and_the_commands(run: Run) -> None:
    text = run("--help").stdout
    for word in ("--host", "--port", "--store", "backup", "migrate", "sample-config"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 88


# -- the configuration ---------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path, store: Path) -> Path:
    path = tmp_path / "zaqar.conf"
    path.write_text(f"[storage]\nuri = sqlite://{store}\n[websocket]\nport = 0\n")
    return path


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (
            "[sever]\nport = 1",
            "line 5: there is no section [sever]; did you mean [server]?",
        ),
        ("[server]\nprt = 1", "line 6: [server] has no option prt; did you mean port?"),
        ("[quota]\nzzz: 1", "line 6: [quota] has no option zzz\n"),
    ],
)
def test_what_is_not_known_in_a_file_is_named(
    run: Run, settings: Path, lines: str, text: str
) -> None:
    with settings.open("a") as file:
        file.write(lines + "\n")
    done = run("--config-file", str(settings), "--check-config")
    assert (done.returncode, done.stderr) == (1, "")
    assert f"{settings} {text}" in done.stdout


def test_a_server_warns_of_what_it_does_not_know(
    settings: Path, tmp_path: Path
) -> None:
    with settings.open("a") as file:
        file.write("[sever]\nport = 1\n")
    with Started(tmp_path / "log", "--config-file", str(settings)) as server:
        assert any(f"{settings} line 5: there is no" in line for line in server.lines())


def test_a_variable_that_is_not_known_is_named(run: Run, settings: Path) -> None:
    done = run(
        "--config-file",
        str(settings),
        "--check-config",
        OS_SERVER__PRT="1",
        OS_X__Y="1",
    )
    assert done.returncode == 1
    assert done.stdout == (
        "OS_SERVER__PRT: [server] has no option prt; did you mean port?\n"
    )


def test_former_names_and_the_settings_of_keystone_are_known(
    run: Run, settings: Path
) -> None:
    with settings.open("a") as file:
        file.write("[drivers:transport:wsgi]\nbind = 127.0.0.1\n")
        file.write("[keystone_authtoken]\nauth_url = http://127.0.0.1:5000\n")
        file.write("[oslo_policy]\nremote_timeout = 60\n")
    done = run("--config-file", str(settings), "--check-config")
    assert (done.returncode, done.stdout) == (0, "the settings can be used\n")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("[server]\nport = abc", "line 6: [server] port: 'abc' is not an integer"),
        ("[DEFAULT]\ndebug = 7", "line 6: [DEFAULT] debug: '7' is not true or false"),
        (
            "[DEFAULT]\nauth_strategy = magic",
            "line 6: [DEFAULT] auth_strategy: 'magic' is not one of keystone",
        ),
        (
            "[transport]\nmin_claim_ttl = 61",
            "line 6: [transport] min_claim_ttl: Should be less than or equal to 60",
        ),
        (
            "[drivers:transport:wsgi]\nport = abc",
            "line 6: [server] port: 'abc' is not an integer",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_file_and_line(
    run: Run, settings: Path, lines: str, text: str
) -> None:
    with settings.open("a") as file:
        file.write(lines + "\n")
    done = run("--config-file", str(settings), "--check-config")
    assert done.returncode == 1
    assert f"{settings} {text}\n" in done.stderr


def test_a_variable_that_cannot_be_used_is_named() -> None:
    done = serve(OS_SERVER__PORT="abc")
    assert done.stderr == (
        "zaqarserver: OS_SERVER__PORT: [server] port: 'abc' is not an integer\n"
    )


def test_a_store_without_a_scheme_in_a_file_is_told_the_form(run: Run) -> None:
    done = run("--check-config", OS_STORAGE__URI="/var/lib/zaqar.db")
    assert "a file is sqlite:///var/lib/zaqar.db" in done.stderr


def test_a_port_in_use_says_what_to_do(server) -> None:
    done = serve("--port", str(server.port), "--store", "sqlite://:memory:")
    assert done.returncode == 1
    assert "--port 0 for any free one" in done.stderr


def test_the_sample_can_be_used_as_it_is(run: Run, settings: Path) -> None:
    sample = run("sample-config").stdout
    assert "#min_message_ttl = 60" in sample
    settings.write_text(settings.read_text() + sample)
    done = run("--config-file", str(settings), "--check-config")
    assert (done.returncode, done.stderr) == (0, "")


# -- keys ------------------------------------------------------------------------


def test_a_fresh_server_signs_and_keeps_its_key(store: Path, tmp_path: Path) -> None:
    keys = Path(f"{store}.keys")
    with Started(tmp_path / "log", "--store", str(store)) as server:
        status, first = server.ask("POST", SHARE, {"expires": "2100-01-01"})
        assert status == 200
        assert f"made keys for signed URLs and encryption: {keys}" in server.lines()
        metadata = {"_enable_encrypt_messages": True}
        assert server.ask("PUT", "/v2/queues/secret", metadata)[0] == 201
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    with Started(tmp_path / "again", "--store", str(store)) as server:
        assert server.ask("POST", SHARE, {"expires": "2100-01-01"}) == (200, first)
    left = [path.name for path in tmp_path.iterdir() if ".keys" in path.name]
    assert left == [keys.name]


def test_keys_are_not_made_where_the_operator_says_so(
    store: Path, tmp_path: Path
) -> None:
    options = ["--store", str(store), "--no-generated-keys"]
    with Started(tmp_path / "log", *options) as server:
        assert server.ask("POST", SHARE, {})[0] == 400
    assert not Path(f"{store}.keys").exists()


def test_a_store_in_memory_has_keys_for_as_long_as_it_lives(tmp_path: Path) -> None:
    with Started(tmp_path / "log", "--store", "sqlite://:memory:") as server:
        assert server.ask("POST", SHARE, {})[0] == 200
        assert (
            "messages are lost when the store ends: it is in memory" in server.lines()
        )
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_file_of_keys_that_is_damaged_is_not_replaced(store: Path) -> None:
    keys = Path(f"{store}.keys")
    keys.write_text("[signed_url]\n")
    done = serve("--store", str(store))
    assert done.returncode == 1
    assert f"{keys} cannot be used as a file of keys" in done.stderr
    assert keys.read_text() == "[signed_url]\n"


# -- commands --------------------------------------------------------------------


def test_a_running_server_is_backed_up_with_its_keys(
    run: Run, store: Path, tmp_path: Path
) -> None:
    post = "/v2/queues/orders/messages"
    copy = tmp_path / "copy.db"
    with Started(tmp_path / "log", "--store", str(store)) as server:
        server.ask("POST", post, {"messages": [{"body": 1}]})
        _, signed = server.ask("POST", SHARE, {"expires": "2100-01-01"})
        done = run("backup", str(copy), str(store))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == [str(copy), f"{copy}.keys"]
        server.ask("POST", post, {"messages": [{"body": 2}]})
    for path in (copy, Path(f"{copy}.keys")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run("check", str(copy)).returncode == 0
    assert run("migrate", str(copy)).returncode == 0
    with Started(tmp_path / "again", "--store", str(copy)) as server:
        _, page = server.ask("GET", post + "?echo=true")
        assert [one["body"] for one in json.loads(page)["messages"]] == [1]
        assert server.ask("POST", SHARE, {"expires": "2100-01-01"}) == (200, signed)
    again = run("backup", str(copy), str(store))
    assert (again.returncode, again.stdout) == (2, "")
    assert "exists already" in again.stderr


@pytest.mark.parametrize("uri", ["/no/such/file.db", "sqlite://:memory:", "redis://h"])
def test_what_cannot_be_backed_up_is_said(run: Run, uri: str, tmp_path: Path) -> None:
    done = run("backup", str(tmp_path / "copy"), uri)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
