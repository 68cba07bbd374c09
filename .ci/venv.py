"""Bring ``.venv`` in line with the tree: nothing to do takes some milliseconds.

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
VENV = ROOT / ".venv"
STAMP = VENV / "fits"
LOCK = ROOT / ".venv.lock"
#: What decides about the content of the environment.
INPUTS = ("setup.cfg", "server/setup.cfg", "pyproject.toml", "server/pyproject.toml")
PACKAGES = ("-e", ".[test,lint,docs]", "-e", "./server[test]")


def fingerprint() -> str:
    """Return a digest of the inputs and of where the tree lies.

    The place counts because scripts in an environment hold absolute paths: a
    tree that was moved or copied gets a new one.
    """
    digest = hashlib.sha256(str(ROOT).encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def runs(*command: str | Path) -> bool:
    """Return whether the command can be started and succeeds."""
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def belongs_here() -> bool:
    """Return whether pip works in the environment and its scripts point to it.

    The scripts of a tree that was moved or copied name the old place.
    """
    try:
        here = str(VENV) in (VENV / "bin/pip").read_text()
    except OSError:
        return False
    return here and runs(VENV / "bin/python", "-m", "pip", "--version")


def fits(wanted: str) -> bool:
    """Return whether the environment was built for these inputs and still runs."""
    try:
        return STAMP.read_text() == wanted and runs(VENV / "bin/python", "-c", "")
    except OSError:
        return False


def build(wanted: str) -> None:
    """Make or refresh the environment; an interrupted build starts again here."""
    python = VENV / "bin/python"
    STAMP.unlink(missing_ok=True)
    if not belongs_here():
        print(f"== making .venv with Python {sys.version.split()[0]}", flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    print("== installing into .venv (the first time takes a minute or two)", flush=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *PACKAGES],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # What pip says of a success is noise here.
    if done.returncode != 0:
        print(done.stdout, end="", file=sys.stderr)
        done.check_returncode()
    STAMP.write_text(wanted)


def main() -> int:
    """Do what is needed; return the exit status."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = fingerprint()
        if not fits(wanted):
            try:
                build(wanted)
            except subprocess.CalledProcessError as error:
                command = " ".join(map(str, error.cmd))
                print(f"{command}\nended with {error.returncode}", file=sys.stderr)
                return 1
            except KeyboardInterrupt:
                print("interrupted: the next run goes on here", file=sys.stderr)
                return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
