"""The sockets of a process: inherited from the process that starts it, or bound.

The protocol is systemd's: sockets are inherited descriptors, and readiness is reported
to the socket named by ``NOTIFY_SOCKET``. The supervisor of ``--workers`` uses it, too,
for its workers; it also names the descriptors and passes a lifeline, a pipe that closes
when the supervisor ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
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
    """A listening socket that other processes share."""


def handed_over(
    sockets: Mapping[str, int], lifeline: int, worker: int
) -> dict[str, str]:
    """Return the environment variables for a worker.

    Args:
        sockets: Descriptors by the name of the configuration's group.
        lifeline: The descriptor whose other end the supervisor holds.
        worker: The number of the worker, from 0.
    """
    given = ",".join(f"{name}={number}" for name, number in sockets.items())
    return {_SOCKETS: given, _LIFELINE: str(lifeline), _WORKER: str(worker)}


def worker_number(environment: Mapping[str, str]) -> int:
    """Return the number of this worker process; 0 without a supervisor."""
    return int(environment.get(_WORKER, "0"))


def inherited(environment: MutableMapping[str, str]) -> dict[str, Inherited]:
    """Return the inherited listening sockets.

    Their names are those of the configuration's groups, ``server`` and
    ``websocket``; systemd's sockets without names are used in this order. The
    variables are removed, so that child processes do not use the sockets.
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
    """Return the descriptor that becomes readable when the supervisor ends."""
    number = environment.pop(_LIFELINE, "")
    if not number:
        return None
    os.set_inheritable(int(number), False)
    return int(number)


def notify(environment: Mapping[str, str], state: str) -> None:
    """Report a change of state to the parent process, if it wants to know.

    Args:
        environment: The environment of this process.
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
            return  # the receiver is gone


# -- binding --------------------------------------------------------------------


def listen(conf: cfg.ConfigOpts, group: str) -> socket.socket:
    """Bind the address of ``[server]`` or ``[websocket]``.

    Raises:
        StartupError: The address is invalid or in use.
    """
    setting = f"[{group}] port"
    if group == "server":
        setting += ", such as --port 0 for any free one"
    return _bind(conf[group].host, conf[group].port, setting)


def _bind(host: str, port: int, setting: str, *, shared: bool = False) -> socket.socket:
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(address[0], socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address[4])
    except OSError as error:
        hint = ""
        if error.errno == errno.EADDRINUSE:
            hint = f"; stop the program that uses it, or set another {setting}"
        raise StartupError(
            f"cannot listen on {host} port {port}: {error.strerror}{hint}"
        ) from error
    return listener


def listen_all(
    conf: cfg.ConfigOpts, given: Mapping[str, socket.socket], worker: int | None
) -> dict[str, socket.socket]:
    """Bind the addresses of both transports and of the metrics.

    If the default port for WebSockets is in use, there is no separate port for them:
    the REST port serves them, too.

    Args:
        conf: The settings.
        given: The inherited sockets, by group.
        worker: The number of this worker, which has a port for its own metrics;
            ``None`` for the supervisor, which has none.

    Returns:
        The sockets by name: ``server``, ``websocket``, ``metrics``.

    Raises:
        StartupError: An address is invalid or in use.
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
        # A worker and its successor share the port for a moment.
        found["metrics"] = _bind(
            conf.server.metrics_host, port, "[server] metrics_port", shared=True
        )
    return found


def places(sockets: Mapping[str, socket.socket]) -> str:
    """Return the addresses of a server, for the log."""
    schemes = {"websocket": "ws"}
    return " and ".join(
        f"{schemes.get(name, 'http')}://{_host_and_port(one)}"
        for name, one in sockets.items()
    )


def _host_and_port(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refuse_new_peers(listener: socket.socket) -> None:
    """Keep new peers out of the queue of a listener.

    Their SYN packets are dropped, so their system tries again after a second and
    reaches the next process that listens. Only Linux can do this.
    """
    if sys.platform == "linux":
        code = ctypes.create_string_buffer(_NO_SYN)
        program = struct.pack("HP", 4, ctypes.addressof(code))
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
