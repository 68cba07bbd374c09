"""What a process is given by the one that starts it, as systemd does it.

Sockets come as inherited descriptors, and readiness is told to the socket named
by ``NOTIFY_SOCKET``. The supervisor of ``--workers`` treats its workers so too;
it names the descriptors itself, and gives them a lifeline: a pipe that ends when
the supervisor does.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping

_FIRST = 3  # systemd's first descriptor
_SOCKETS = "ZAQARSERVER_SOCKETS"
_LIFELINE = "ZAQARSERVER_LIFELINE"
_WORKER = "ZAQARSERVER_WORKER"


class Inherited(socket.socket):
    """A listening socket that other processes have too."""


def handed_over(
    sockets: Mapping[str, int], lifeline: int, worker: int
) -> dict[str, str]:
    """Return the variables that tell a worker what it is given.

    Args:
        sockets: Descriptors by the name of the configuration's group.
        lifeline: The descriptor whose other end the supervisor holds.
        worker: Which worker it is, from 0 on.
    """
    given = ",".join(f"{name}={number}" for name, number in sockets.items())
    return {_SOCKETS: given, _LIFELINE: str(lifeline), _WORKER: str(worker)}


def worker_number(environment: Mapping[str, str]) -> int:
    """Return which worker this process is; 0 without a supervisor."""
    return int(environment.get(_WORKER, "0"))


def inherited(environment: MutableMapping[str, str]) -> dict[str, Inherited]:
    """Return the listening sockets that this process was started with.

    Their names are those of the configuration's groups, ``server`` and
    ``websocket``; systemd's sockets without names are taken in this order. The
    variables are removed, so that no child takes the same.
    """
    given = environment.pop(_SOCKETS, "")
    count = int(environment.pop("LISTEN_FDS", "0"))
    names = environment.pop("LISTEN_FDNAMES", "server:websocket").split(":")
    meant_for = environment.pop("LISTEN_PID", str(os.getpid()))
    if given:
        pairs = [one.split("=") for one in given.split(",")]
        numbers = {name: int(number) for name, number in pairs}
    elif int(meant_for) == os.getpid():
        numbers = dict(zip(names, range(_FIRST, _FIRST + count), strict=False))
    else:
        numbers = {}
    for number in numbers.values():
        os.set_inheritable(number, False)
    return {name: Inherited(fileno=number) for name, number in numbers.items()}


def lifeline(environment: MutableMapping[str, str]) -> int | None:
    """Return the descriptor that becomes readable when the supervisor is gone."""
    number = environment.pop(_LIFELINE, "")
    if not number:
        return None
    os.set_inheritable(int(number), False)
    return int(number)


def notify(environment: Mapping[str, str], state: str) -> None:
    """Tell a change of state to whoever started this process, if it asked.

    Args:
        environment: The process's.
        state: Such as ``READY=1`` or ``STOPPING=1``.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(f"{state}\nMAINPID={os.getpid()}".encode(), address)
        except OSError:
            return  # nobody listens any more: there is nobody to tell
