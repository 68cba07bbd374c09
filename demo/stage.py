"""What a demonstration needs: a server of its own, and commands shown as they run."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: The programs of the environment that runs this, before all others.
BIN = Path(sys.executable).parent
START_SECONDS = 30.0


class DemoError(Exception):
    """A step failed; the text says which."""


def _paint(code: str, text: str) -> str:
    wanted = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return f"\033[{code}m{text}\033[0m" if wanted else text


class Stage:
    """Shows and runs the steps of a story.

    Attributes:
        environment: The variables that all programs are started with.
    """

    def __init__(self, url: str) -> None:
        self.environment = {
            **{name: value for name, value in os.environ.items() if name[:3] != "OS_"},
            "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)]),
            "OS_QUEUES_ENDPOINT": url,
            "OS_QUEUES_PROJECT_ID": "demo",
            # Else the commands make one and keep it in the home directory.
            "OS_MESSAGE_CLIENT_ID": str(uuid.uuid4()),
        }

    def chapter(self, title: str, text: str) -> None:
        """Begin a part of the story."""
        print(f"\n{_paint('1;36', title)}\n{text}", flush=True)

    def run(self, command: str) -> str:
        """Show a command, run it, show its output and return it.

        Raises:
            DemoError: It failed.
        """
        print(f"\n{_paint('1', '$ ' + command)}", flush=True)
        return self._run(shlex.split(command), command)

    def python(self, script: str) -> None:
        """Show a script of this directory, run it and show its output.

        Raises:
            DemoError: It failed.
        """
        print(f"\n{_paint('1', '$ python ' + script)}")
        source = (HERE / script).read_text().rstrip()
        print(_paint("2", "\n".join(f"  | {line}" for line in source.splitlines())))
        self._run([sys.executable, str(HERE / script)], f"python {script}")

    def _run(self, arguments: list[str], shown: str) -> str:
        done = subprocess.run(
            arguments,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        print(done.stdout, end="", flush=True)
        if done.returncode != 0:
            raise DemoError(f"'{shown}' ended with status {done.returncode}")
        return done.stdout


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


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run a server on a free port with a store that is thrown away; give its URL.

    It is stopped at the end, however that comes.

    Raises:
        DemoError: It did not start, or did not end well.
    """
    with tempfile.TemporaryDirectory(prefix="zaqar-demo-") as home:
        config = Path(home, "zaqar.conf")
        config.write_text(
            "[server]\nhost = 127.0.0.1\nport = 0\n"
            "[websocket]\nport = 0\n"
            f"[storage]\nuri = sqlite:///{home}/zaqar.db\n"
        )
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
