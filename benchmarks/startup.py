"""What it costs to start the commands.

Runs the same commands by ``zaqar`` and by ``openstack`` in turn and compares the
CPU time of the processes: the help of a command, which sends nothing, and a post,
which authenticates. ``zaqar`` posts with a kept token (``--os-token-cache``) and
without; the service and the identity service are stand-ins on loopback, which
count the requests that each program sends them.

Also measures what importing ``zaqarclient.queues.cli`` adds to a start of
``openstack``: all of the programs' other commands pay that.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.tests.identity_stub import IdentityStub

HELP = ["queue", "list", "--help"]
POST = ["message", "post", "orders", '[{"body": "hello", "ttl": 300}]']
#: What a cold start of `zaqar` may cost of that of `openstack`.
BOUND = 0.5
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


class Case(NamedTuple):
    """One command by one program.

    Attributes:
        words: The command.
        variables: What is set for it beside the credentials.
    """

    words: list[str]
    variables: Mapping[str, str] = {}


CASES = {
    "help, zaqar": Case(["zaqar", *HELP]),
    "help, openstack": Case(["openstack", "messaging", *HELP]),
    "post, zaqar, kept token": Case(["zaqar", *POST], {"ZAQAR_TOKEN_CACHE": "1"}),
    "post, zaqar": Case(["zaqar", *POST]),
    "post, openstack": Case(["openstack", "messaging", *POST]),
}
RATIOS = {
    "help": ("help, zaqar", "help, openstack"),
    "post with a kept token": ("post, zaqar, kept token", "post, openstack"),
    "post": ("post, zaqar", "post, openstack"),
}


@contextlib.contextmanager
def services() -> Iterator[tuple[dict[str, str], HttpStub]]:
    """Run both services; yield the variables of a user, and the identity service."""
    with (
        HttpStub().running() as zaqar,
        HttpStub().running() as asked,
        tempfile.TemporaryDirectory() as home,
    ):
        zaqar.default = Answer(201, {"resources": ["/v2/queues/orders/messages/m1"]})
        identity = IdentityStub(asked, zaqar.url)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OS_", "XDG_", "ZAQAR_"))
        }
        # The index of installed entry points that openstack keeps is as warm as
        # it is for somebody who uses it every day.
        yield (
            kept
            | {
                "HOME": home,
                "OS_AUTH_URL": identity.url,
                "OS_USERNAME": "alice",
                "OS_PASSWORD": "secret",
                "OS_PROJECT_NAME": "sales",
                "OS_USER_DOMAIN_ID": "default",
                "OS_PROJECT_DOMAIN_ID": "default",
                "OS_IDENTITY_API_VERSION": "3",
                "OS_REGION_NAME": "one",
            },
            asked,
        )


def program(name: str) -> str:
    """Return the path of a program beside this Python, or on the search path."""
    here = str(Path(sys.executable).parent)
    found = shutil.which(name, path=here) or shutil.which(name)
    if found is None:
        raise StartupError(f"{name} is not installed")
    return found


def cpu_of(case: Case, environment: Mapping[str, str]) -> float:
    """Run a command; return its CPU time, user and system, in seconds.

    Raises:
        StartupError: It failed.
    """
    with subprocess.Popen(
        [program(case.words[0]), *case.words[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**environment, **case.variables},
    ) as process:
        text = process.stderr.read().decode() if process.stderr else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise StartupError(f"{' '.join(case.words)} failed: {text[-500:]}")
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


class Figures(NamedTuple):
    """What was measured.

    Attributes:
        cpu: Median CPU time of each case, in seconds.
        asked: Requests to the identity service in each case, all turns together.
        import_ms: Median time of the plug-in's import, in milliseconds.
    """

    cpu: dict[str, float]
    asked: dict[str, int]
    import_ms: float

    def ratios(self) -> dict[str, float]:
        """Return what ``zaqar`` costs of ``openstack``."""
        return {
            name: self.cpu[ours] / self.cpu[theirs]
            for name, (ours, theirs) in RATIOS.items()
        }


def measure(repeats: int) -> Figures:
    """Run each case so many times, one after the other in each turn.

    Raises:
        StartupError: A program fails.
    """
    cpu: dict[str, list[float]] = {name: [] for name in CASES}
    asked = dict.fromkeys(CASES, 0)
    imports = []
    with services() as (environment, identity):
        for turn in range(repeats + 1):
            for name, case in CASES.items():
                before = len(identity.seen)
                used = cpu_of(case, environment)
                if turn:  # the first may compile modules, and gets the kept token
                    cpu[name].append(used)
                    asked[name] += len(identity.seen) - before
            imports.append(import_seconds())
    medians = {name: statistics.median(values) for name, values in cpu.items()}
    return Figures(medians, asked, statistics.median(imports) * 1e3)


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
    try:
        figures = measure(args.repeats)
    except StartupError as error:
        print(f"startup: {error}", file=sys.stderr)
        return 1
    ratios = figures.ratios()
    if args.json:
        print(json.dumps({**figures._asdict(), "ratios": ratios}))
    else:
        for name, seconds in figures.cpu.items():
            asked = figures.asked[name]
            print(f"{name:<26} {seconds * 1e3:>6.0f} ms CPU, identity asked {asked}x")
        for name, ratio in ratios.items():
            print(f"ratio of {name}: {ratio:.2f}")
        took = figures.import_ms
        print(f"import zaqarclient.queues.cli inside openstack: {took:.1f} ms")
    kept_asked = figures.asked["post, zaqar, kept token"]
    return 1 if kept_asked or ratios["post"] > BOUND else 0


if __name__ == "__main__":
    sys.exit(main())
