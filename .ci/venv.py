"""Bring ``.venv`` in line with the tree: nothing to do takes some milliseconds.

``venv.py keystone`` does the same for ``.venv-keystone``, which holds the identity
service that tests run: a service with dependencies of its own. ``venv.py demo`` does it
for ``.venv-demo``, which holds what users install and nothing for developers.

Run by ``make`` under any Python >= 3.11 (see ``.ci/python``); uses the standard
library only. Two runs at once are safe: the second waits for the first, and the
lock goes away with its process.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Environment:
    """A virtual environment of the tree.

    Args:
        name: Its directory.
        inputs: What decides about its content.
        packages: What pip is told to install.
    """

    def __init__(
        self, name: str, inputs: tuple[str, ...], packages: tuple[str, ...]
    ) -> None:
        self.name = name
        self.path = ROOT / name
        self.lock = ROOT / f"{name}.lock"
        self._inputs = inputs
        self._packages = packages
        self._stamp = self.path / "fits"
        self._python = self.path / "bin/python"

    def fingerprint(self) -> str:
        """Return a digest of the inputs and of where the tree lies.

        The place counts because scripts in an environment hold absolute paths: a
        tree that was moved or copied gets a new one.
        """
        digest = hashlib.sha256(str(ROOT).encode())
        for name in self._inputs:
            digest.update((ROOT / name).read_bytes())
        return digest.hexdigest()

    def belongs_here(self) -> bool:
        """Return whether pip works in the environment and its scripts point to it.

        The scripts of a tree that was moved or copied name the old place.
        """
        try:
            here = str(self.path) in (self.path / "bin/pip").read_text()
        except OSError:
            return False
        return here and runs(self._python, "-m", "pip", "--version")

    def fits(self) -> bool:
        """Return whether it was built for these inputs and still runs."""
        try:
            wanted = self._stamp.read_text() == self.fingerprint()
        except OSError:
            return False
        return wanted and runs(self._python, "-c", "")

    def build(self) -> None:
        """Make or refresh it; an interrupted build starts again here."""
        wanted = self.fingerprint()
        self._stamp.unlink(missing_ok=True)
        if not self.belongs_here():
            version = sys.version.split()[0]
            print(f"== making {self.name} with Python {version}", flush=True)
            shutil.rmtree(self.path, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", self.path], check=True)
        print(
            f"== installing into {self.name} (the first time takes a minute or two)",
            flush=True,
        )
        command = [str(self._python), "-m", "pip", "install", *self._packages]
        lines, status = [], None
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                lines.append(line)
                show_progress(lines)
            status = process.wait()
        show_progress([])
        # What pip says of a success is noise here.
        if status != 0:
            print("".join(lines), end="", file=sys.stderr)
            raise subprocess.CalledProcessError(status, command)
        self._stamp.write_text(wanted)


def show_progress(lines: list[str]) -> None:
    """Show on a terminal how far pip is, in one line that changes.

    Args:
        lines: What it has printed; none to clear the line.
    """
    if not sys.stdout.isatty():
        return
    collected = sum(line.startswith("Collecting ") for line in lines)
    last = " ".join(lines[-1].split()[:2]) if lines else ""
    text = f"   {collected} packages; {last}" if lines else ""
    print(f"\r\033[K{text[:78]}", end="", flush=True)


ENVIRONMENTS = {
    "main": Environment(
        ".venv",
        ("setup.cfg", "server/setup.cfg", "pyproject.toml", "server/pyproject.toml"),
        ("-e", ".[test,lint,docs]", "-e", "./server[test]"),
    ),
    "demo": Environment(
        ".venv-demo",
        ("setup.cfg", "server/setup.cfg", "pyproject.toml", "server/pyproject.toml"),
        # Modules are compiled when they are first used, which are few. What checks
        # signatures in demo/receiver.py comes in addition.
        ("--no-compile", "-e", ".", "-e", "./server", "standardwebhooks>=1.1"),
    ),
    "keystone": Environment(
        ".venv-keystone", (".ci/keystone.txt",), ("-r", ".ci/keystone.txt")
    ),
}


def runs(*command: str | Path) -> bool:
    """Return whether the command can be started and succeeds."""
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def main(which: str = "main") -> int:
    """Do what is needed; return the exit status."""
    environment = ENVIRONMENTS[which]
    with environment.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not environment.fits():
            try:
                environment.build()
            except subprocess.CalledProcessError as error:
                command = " ".join(map(str, error.cmd))
                print(f"{command}\nended with {error.returncode}", file=sys.stderr)
                return 1
            except KeyboardInterrupt:
                print("interrupted: the next run goes on here", file=sys.stderr)
                return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
