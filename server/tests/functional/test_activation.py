"""How the server is started by others: systemd's sockets, readiness, workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from zaqarserver.process import listening

SECONDS = 30.0
BECOME_SERVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "zaqarserver", *sys.argv[2:]])
"""


def start(arguments: list[str], **options: object) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
    environment |= options.pop("variables", {})
    return subprocess.Popen(
        [sys.executable, "-m", "zaqarserver", *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def config_file(directory: Path, text: str) -> Path:
    path = directory / "zaqarserver.conf"
    path.write_text(text)
    return path


def test_a_socket_of_systemd_is_served_and_readiness_is_told(tmp_path: Path) -> None:
    config = config_file(tmp_path, f"[storage]\nuri = sqlite:///{tmp_path}/zaqar.db\n")
    with (
        socket.create_server(("127.0.0.1", 0)) as rest,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        told.bind(str(tmp_path / "notify"))
        told.settimeout(SECONDS)
        # As systemd does it: the socket is descriptor 3 of a process that then
        # becomes the server.
        server = subprocess.Popen(
            [
                sys.executable,
                "-c",
                BECOME_SERVER,
                str(rest.fileno()),
                "--config-file",
                str(config),
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[rest.fileno()],
            env=os.environ
            | {"LISTEN_FDS": "1", "NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        try:
            lines = told.recv(4096).decode().splitlines()
            assert lines == ["READY=1", f"MAINPID={server.pid}"]
            with socket.create_connection(rest.getsockname(), SECONDS) as client:
                client.sendall(
                    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                )
                assert client.recv(100).startswith(b"HTTP/1.1 300 ")
        finally:
            server.send_signal(signal.SIGTERM)
            _, log = server.communicate(timeout=SECONDS)
        assert server.returncode == 0, log


def test_workers_are_refused_where_only_one_process_may_open_the_store(
    tmp_path: Path,
) -> None:
    uri = f"sqlite:///{tmp_path}/zaqar.db"
    config = config_file(tmp_path, f"[storage]\nuri = {uri}\n")
    server = start(["--config-file", str(config), "--workers", "2"])
    _, log = server.communicate(timeout=SECONDS)
    assert server.returncode == 1
    assert log.splitlines()[-1] == (
        f"zaqarserver: --workers 2: the store {uri} can be open in one process only. "
        "Use one worker, or a store such as redis://HOST that processes share."
    )


def test_sockets_that_were_meant_for_another_process_are_left_alone() -> None:
    environment = {"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid() + 1)}
    assert listening.inherited(environment) == {}
    assert environment == {}


def test_what_is_handed_over_to_a_worker_is_what_it_inherits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        given = os.dup(listener.fileno())
        line_end, held = os.pipe()
        environment = listening.handed_over({"server": given}, line_end, 2)
        sockets = listening.inherited(environment)
        with sockets["server"] as found:
            assert found.getsockname() == listener.getsockname()
        assert listening.worker_number(environment) == 2
        assert listening.lifeline(environment) == line_end
        assert listening.lifeline(environment) is None
        os.close(line_end)
        os.close(held)


@pytest.mark.parametrize("address", ["", "/no/such/socket"])
def test_nobody_need_listen_for_readiness(address: str) -> None:
    listening.notify({"NOTIFY_SOCKET": address}, "READY=1")
