"""Walk a new user's path: the commands of the README, in an empty home, from nothing.

It types the commands of the sections "Install" and "First steps" of the README into one
shell, in a copy of the tree, and shows how long each took. It fails if one fails, or if
the webhook does not receive the last message.

    python benchmarks/new_user.py
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: What a command in the background, or a shell, may take.
PATIENCE = 600.0
_BLOCK = re.compile(r"^\.\. code-block:: console\n\n((?:   .*\n|\n)+)", re.MULTILINE)
_SEEN = "webhook received: build 12 is green"
_DONE = "== done"


def commands() -> list[str]:
    """Return what the README has a new user type."""
    text = (ROOT / "README.rst").read_text().partition("\nFrom Python\n")[0]
    lines = "".join(textwrap.dedent(found[1]) for found in _BLOCK.finditer(text))
    return [line[2:] for line in lines.splitlines() if line.startswith("$ ")]


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class User:
    """Somebody at a shell, in an empty home, with a copy of the tree.

    Args:
        directory: For the home, the copy, and what the shell prints.
    """

    def __init__(self, directory: Path) -> None:
        home, tree = directory / "home", directory / "tree"
        home.mkdir()
        tracked = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        )
        for name in filter(None, tracked.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, tree / name)
        # Others may use the port that the README names.
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        known = {
            k: v for k, v in os.environ.items() if not k.startswith(("OS_", "XDG_"))
        }
        path = f"{Path(sys.base_prefix) / 'bin'}:{os.defpath}:/usr/local/bin"
        self._screen = directory / "screen"
        with self._screen.open("wb") as output:
            self._shell = subprocess.Popen(
                ["bash", "--noprofile", "--norc"],
                cwd=tree,
                env=known
                | {"HOME": str(home), "PATH": path, "OS_SERVER__PORT": str(port)}
                | {"OS_WEBSOCKET__PORT": "0", "OS_QUEUES_ENDPOINT": self.url},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                text=True,
            )

    @property
    def screen(self) -> str:
        """All that was printed."""
        return self._screen.read_text()

    def type(self, command: str) -> float:
        """Type a command; return the seconds until it is done.

        One in the background is done when the server answers, or the webhook is
        subscribed.

        Raises:
            SystemExit: It failed, or takes too long.
        """
        started = time.monotonic()
        mark = f"{_DONE} {started}"
        stdin = self._shell.stdin
        if stdin is None:
            raise SystemExit("the shell has no input")
        stdin.write(f"{command}\necho '{mark}' $?\n")
        stdin.flush()
        self._until(lambda: f"{mark} " in self.screen, command)
        if f"{mark} 0\n" not in self.screen:
            raise SystemExit(f"{command!r} failed:\n{self.screen}")
        if command.startswith("zaqarserver"):
            self._until(self._is_served, command)
        elif command.endswith("&"):
            self._until(lambda: "is subscribed to" in self.screen, command)
        return time.monotonic() - started

    def see(self, text: str) -> None:
        """Wait until something is printed."""
        self._until(lambda: text in self.screen, f"what prints {text!r}")

    def leave(self) -> None:
        """End the shell and all that it started."""
        os.killpg(self._shell.pid, signal.SIGTERM)
        self._shell.wait()

    def _is_served(self) -> bool:
        try:
            # S310: the URL is of this machine.
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5):  # noqa: S310
                return True
        except OSError:
            return False

    def _until(self, is_true: object, what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not is_true():  # type: ignore[operator]
            if time.monotonic() > deadline or self._shell.poll() is not None:
                raise SystemExit(f"{what} does not end:\n{self.screen}")
            time.sleep(0.05)


def main() -> int:
    """Walk the path; return the exit status."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    with tempfile.TemporaryDirectory(
        prefix="zaqar-new-user-", ignore_cleanup_errors=True
    ) as directory:
        user = User(Path(directory))
        started = time.monotonic()
        try:
            for command in commands():
                print(f"{user.type(command):6.1f} s  {command}", flush=True)
            user.see(_SEEN)
        finally:
            user.leave()
        print(f"{time.monotonic() - started:6.1f} s  in all; the webhook was seen")
    return 0


if __name__ == "__main__":
    sys.exit(main())
