"""The sockets of a process: inherited from the process that starts it, or bound.

Sockets come as inherited descriptors, and readiness is told to the socket named
by ``NOTIFY_SOCKET``, as systemd does it. The supervisor of ``--workers`` treats its
workers so too; it names the descriptors itself, and gives them a lifeline: a pipe that
ends when the supervisor does.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import socket
import struct
import sys
from collections.abc import Mapping, MutableMapping

from oslo_config import cfg

from zaqarserver.errors import StartupError

LOG = logging.getLogger(__name__)

_FIRST = 3  # systemd's first descriptor
_SOCKETS = "ZAQARSERVER_SOCKETS"
_LIFELINE = "ZAQARSERVER_LIFELINE"
_WORKER = "ZAQARSERVER_WORKER"
_SO_ATTACH_FILTER = 26
#: Load the flags of TCP; drop the packet if SYN is among them, else take it.
_NO_SYN = struct.pack(
    "=" + "HBBI" * 4,
    *(0x30, 0, 0, 13),
    *(0x45, 0, 1, 0x02),
    *(0x06, 0, 0, 0),
    *(0x06, 0, 0, 0xFFFFFFFF),
)


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


# -- binding --------------------------------------------------------------------


def listen(conf: cfg.ConfigOpts, group: str) -> socket.socket:
    """Bind the address of ``[server]`` or ``[websocket]``.

    Raises:
        StartupError: The address is wrong or taken.
    """
    return _bind(conf[group].host, conf[group].port)


def _bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(address[0], socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address[4])
    except OSError as error:
        raise StartupError(
            f"cannot listen on {host} port {port}: {error.strerror}"
        ) from error
    return listener


def listen_all(
    conf: cfg.ConfigOpts, given: Mapping[str, socket.socket], worker: int | None
) -> dict[str, socket.socket]:
    """Bind the addresses of both transports, and the one of the metrics.

    WebSockets are done without (the REST port takes them too) if only their
    default port is taken.

    Args:
        conf: The settings.
        given: Sockets that this process was started with, by group.
        worker: Which worker this is, since each has a port for its own metrics;
            ``None`` for their supervisor, which has none.

    Returns:
        The sockets by what they are for: ``server``, ``websocket``, ``metrics``.

    Raises:
        StartupError: An address is wrong or taken.
    """
    found = dict(given) or {"server": listen(conf, "server")}
    if not given:
        try:
            found["websocket"] = listen(conf, "websocket")
        except StartupError as error:
            place = conf.get_location("port", "websocket")
            if place is None or place.location is not cfg.Locations.opt_default:
                found["server"].close()
                raise
            LOG.warning("%s; WebSockets are served on the REST port only", error)
    if conf.server.metrics_port and worker is not None:
        port = conf.server.metrics_port + worker
        # A worker and its successor have the same port for a moment.
        found["metrics"] = _bind(conf.server.metrics_host, port, shared=True)
    return found


def places(sockets: Mapping[str, socket.socket]) -> str:
    """Say where a server listens."""
    schemes = {"websocket": "ws"}
    return " and ".join(
        f"{schemes.get(name, 'http')}://{_host_and_port(one)}"
        for name, one in sockets.items()
    )


def _host_and_port(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refuse_new_peers(listener: socket.socket) -> None:
    """Let no new peer into the queue of a listener, which stays as it is.

    Those that try meanwhile do not notice: their system tries again after a second,
    and meets whoever listens then. Only Linux can do this.
    """
    if sys.platform == "linux":
        code = ctypes.create_string_buffer(_NO_SYN)
        program = struct.pack("HP", 4, ctypes.addressof(code))
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
