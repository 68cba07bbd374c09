"""What a demonstration needs: a server of its own, and commands shown as they run."""

from __future__ import annotations

import contextlib
import http.client
import os
import pty
import queue
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from postbox import Postbox

HERE = Path(__file__).resolve().parent
#: The programs of the environment that runs this, before all others.
BIN = Path(sys.executable).parent
START_SECONDS = 30.0
#: The width of the story.
COLUMNS = 80
#: How long the story waits for something that has to come.
PATIENCE = 30.0
#: What webhooks are signed with; a real one is random and secret.
SIGNING_KEY = "whsec_bm90LWEtc2VjcmV0LWp1c3QtdGhlLWRlbW8="


class DemoError(Exception):
    """A step failed; the text says which."""


def _paint(code: str, text: str) -> str:
    wanted = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return f"\033[{code}m{text}\033[0m" if wanted else text


def _folded(command: str) -> str:
    """Return a command in lines that fit, broken before its options."""
    lines = [""]
    for part in command.split(" --"):
        option = f" --{part}" if lines[0] else part
        if len(lines[-1] + option) > COLUMNS - 6:
            lines.append("   ")
        lines[-1] += option
    return " \\\n".join(lines)


class Program:
    """A program that runs in the background of the story.

    Args:
        script: Its name.
        environment: Its variables.
    """

    def __init__(self, script: str, environment: dict[str, str]) -> None:
        self._script = script
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._lines.put(line.rstrip())
        self._lines.put(None)

    def show(self) -> str:
        """Wait for the next line that it prints, show it and return it.

        Raises:
            DemoError: It ended, or printed nothing for long.
        """
        try:
            line = self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            line = None
        if line is None:
            raise DemoError(f"{self._script} printed no more")
        print(f"{_paint('1;33', self._script + ':')} {line}", flush=True)
        return line

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Stage:
    """Shows and runs the steps of a story.

    Attributes:
        environment: The variables that all programs are started with.
        postbox: Takes the mail of the server.
    """

    def __init__(self, url: str, postbox: Postbox) -> None:
        self.postbox = postbox
        self._programs: list[Program] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if name[:3] != "OS_"},
            "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)]),
            "OS_QUEUES_ENDPOINT": url,
            "OS_QUEUES_PROJECT_ID": "demo",
            # Colours only where they are seen.
            **({} if sys.stdout.isatty() else {"TERM": "dumb"}),
            # Else the commands make one and keep it in the home directory.
            "OS_MESSAGE_CLIENT_ID": str(uuid.uuid4()),
            "WEBHOOK_SIGNING_KEY": SIGNING_KEY,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            program.stop()

    def chapter(self, title: str, text: str) -> None:
        """Begin a part of the story."""
        print(f"\n{_paint('1;36', title)}\n{text}", flush=True)

    def run(self, command: str) -> str:
        """Show a command, run it, show its output and return it.

        Raises:
            DemoError: It failed.
        """
        print(f"\n{_paint('1', '$ ' + _folded(command))}", flush=True)
        return self._run(shlex.split(command), command)

    def python(self, script: str) -> None:
        """Show a script of this directory, run it and show its output.

        Raises:
            DemoError: It failed.
        """
        self._show_source(script, f"python {script}")
        self._run([sys.executable, str(HERE / script)], f"python {script}")

    def start(self, script: str, *, shown: bool = True) -> Program:
        """Show a script of this directory and run it in the background."""
        command = f"python {script} &"
        if shown:
            self._show_source(script, command)
        else:
            print(f"\n{_paint('1', '$ ' + command)}", flush=True)
        self._programs.append(Program(script, self.environment))
        return self._programs[-1]

    def show_mail(self) -> None:
        """Wait for the next mail and show it.

        Raises:
            DemoError: None came for long.
        """
        mail = self.postbox.next_mail(PATIENCE)
        if mail is None:
            raise DemoError("no mail came")
        lines = mail.splitlines()
        for line in (part for whole in lines for part in textwrap.wrap(whole, 72)):
            print(f"{_paint('1;33', 'mail:')} {line}", flush=True)

    def _show_source(self, script: str, command: str) -> None:
        print(f"\n{_paint('1', '$ ' + command)}")
        source = (HERE / script).read_text().rstrip()
        lines = "\n".join(f"  | {line}" for line in source.splitlines())
        print(_paint("2", lines), flush=True)

    def _run(self, arguments: list[str], shown: str) -> str:
        """Run a program on a terminal of its own, as wide as that of old."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, COLUMNS))
        with subprocess.Popen(
            arguments,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            output = _read_all(ours).replace("\r\n", "\n")
        print(output, end="", flush=True)
        if process.returncode != 0:
            raise DemoError(f"'{shown}' ended with status {process.returncode}")
        return output


def _read_all(terminal: int) -> str:
    """Return all that is written to a terminal until its writers end; close it."""
    parts = []
    with contextlib.suppress(OSError):  # how Linux ends it
        while part := os.read(terminal, 65536):
            parts.append(part)
    os.close(terminal)
    return b"".join(parts).decode()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/")
        return connection.getresponse().status == 300
    return False


def _port_in(log: Path) -> int | None:
    """Return the port that the server says it listens on, if it has said it."""
    found = re.search(r"ready on http://127\.0\.0\.1:(\d+)", log.read_text())
    return int(found[1]) if found else None


def _wait(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        port = _port_in(log)
        if port is not None and _answers(port):
            return port
        time.sleep(0.05)
    raise DemoError(f"the server did not start:\n{log.read_text()}")


def _configuration(home: str, mail_port: int) -> str:
    return f"""
[server]
host = 127.0.0.1
port = 0

[websocket]
port = {_free_port()}

[storage]
uri = sqlite:///{home}/zaqar.db

[transport]
min_message_ttl = 1
min_claim_ttl = 1
min_claim_grace = 1

[notification]
webhook_signing_key = {SIGNING_KEY}
smtp_mode = self_local
smtp_host = 127.0.0.1
smtp_port = {mail_port}
smtp_tls = none
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def server(mail_port: int) -> Iterator[str]:
    """Run a server on a free port with a store that is thrown away; give its URL.

    It is stopped at the end, however that comes.

    Args:
        mail_port: Where on loopback it hands mail over.

    Raises:
        DemoError: It did not start, or did not end well.
    """
    with tempfile.TemporaryDirectory(prefix="zaqar-demo-") as home:
        config = Path(home, "zaqar.conf")
        config.write_text(_configuration(home, mail_port))
        log = Path(home, "server.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(BIN / "zaqarserver"), "--config-file", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is for the demonstration, which then stops the server.
                start_new_session=True,
            )
        try:
            yield f"http://127.0.0.1:{_wait(process, log)}"
        finally:
            status = _stop(process)
        if status != 0:
            raise DemoError(f"the server ended with {status}:\n{log.read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=START_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
