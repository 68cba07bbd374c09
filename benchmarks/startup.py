"""What it costs to start the commands.

Runs ``zaqar queue list --help`` and ``openstack messaging queue list --help`` in
turn and compares the CPU time of the processes. Also measures what importing
``zaqarclient.queues.cli`` adds to a start of ``openstack``: all of the programs'
other commands pay that.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

COMMANDS = {
    "zaqar": ["zaqar", "queue", "list", "--help"],
    "openstack": ["openstack", "messaging", "queue", "list", "--help"],
}
# Times the plug-in's import where it happens: `openstack` loads all plug-ins
# while it imports its client manager.
IMPORT_PROBE = """
import time
from importlib.metadata import EntryPoint

load, spent = EntryPoint.load, []

def timed(self):
    start = time.perf_counter()
    plugin = load(self)
    if self.module == "zaqarclient.queues.cli":
        spent.append(time.perf_counter() - start)
    return plugin

EntryPoint.load = timed
import openstackclient.common.clientmanager
assert spent, "openstack does not know the plug-in"
print(sum(spent))
"""


class StartupError(Exception):
    """A program cannot be measured; the text says why."""


def program(name: str) -> str:
    """Return the path of a program beside this Python, or on the search path."""
    here = str(Path(sys.executable).parent)
    found = shutil.which(name, path=here) or shutil.which(name)
    if found is None:
        raise StartupError(f"{name} is not installed")
    return found


def cpu_of(command: list[str]) -> float:
    """Run a command; return its CPU time in seconds.

    Raises:
        StartupError: It failed.
    """
    with subprocess.Popen(
        [program(command[0]), *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        text = process.stderr.read().decode() if process.stderr else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise StartupError(f"{' '.join(command)} failed: {text[-500:]}")
    return usage.ru_utime + usage.ru_stime


def import_seconds() -> float:
    """Return what the plug-in's import takes at a start of ``openstack``.

    Raises:
        StartupError: It cannot be imported.
    """
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_PROBE],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StartupError(done.stderr[-500:])
    return float(done.stdout)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print a JSON document")
    args = parser.parse_args(arguments)
    if args.repeats <= 0:
        parser.error("--repeats must be above 0")
    cpu: dict[str, list[float]] = {name: [] for name in COMMANDS}
    imports = []
    try:
        for turn in range(args.repeats + 1):
            for name, command in COMMANDS.items():
                used = cpu_of(command)
                if turn:  # the first turn may still compile modules
                    cpu[name].append(used)
            imports.append(import_seconds())
    except StartupError as error:
        print(f"startup: {error}", file=sys.stderr)
        return 1
    medians = {name: statistics.median(values) for name, values in cpu.items()}
    ratio = medians["zaqar"] / medians["openstack"]
    plugin_ms = statistics.median(imports) * 1e3
    if args.json:
        report = {"cpu_seconds": medians, "ratio": ratio, "import_ms": plugin_ms}
        print(json.dumps(report))
        return 0
    for name, command in COMMANDS.items():
        print(f"{' '.join(command):<40} {medians[name] * 1e3:>6.0f} ms CPU")
    print(f"ratio {ratio:.2f}")
    print(f"import zaqarclient.queues.cli inside openstack: {plugin_ms:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
