"""A Keystone process on loopback, with its own database."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import requests
from ports import free_port

ROOT: Final = Path(__file__).resolve().parent.parent
VENV: Final = ROOT / ".venv-keystone"
START_SECONDS: Final = 60.0

CONFIG = """\
[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{directory}/keystone.db
[fernet_tokens]
key_repository = {directory}/tokens
[fernet_receipts]
key_repository = {directory}/receipts
[credential]
key_repository = {directory}/credentials
[identity]
password_hash_rounds = 4
# In its own memory: a tenth of the time for each request.
[cache]
enabled = true
backend = oslo_cache.dict
"""


class KeystoneProcess:
    """An identity service on loopback.

    Args:
        directory: Its database, its keys, its configuration and its log.

    Attributes:
        url: Its endpoint, with ``/v3``; the same after a stop and a start.
        short_url: The same service's for tokens that live shortly; see
            ``keystone_app.py``.
        log: The file that its log goes to.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._port = free_port()
        self._short_port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/v3"
        self.short_url = f"http://127.0.0.1:{self._short_port}/v3"
        self.log = directory / "keystone.log"
        self._config = directory / "keystone.conf"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """True if it was started and not stopped."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process id, while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the service and wait until it answers."""
        self._config.write_text(CONFIG.format(directory=self.directory))
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OS_", "PYTHON"))
        }
        environment["OS_KEYSTONE_CONFIG_FILES"] = str(self._config)
        app = Path(__file__).with_name("keystone_app.py")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    VENV / "bin/python",
                    *("-W", "ignore"),
                    *(app, str(self._port), str(self._short_port)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        for port in (self._port, self._short_port):
            self._wait_for(port)

    def _wait_for(self, port: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"Keystone ended:\n{self.log.read_text()[-4000:]}")
            with (
                contextlib.suppress(requests.ConnectionError),
                requests.get(f"http://127.0.0.1:{port}/v3", timeout=30) as answer,
            ):
                if answer.ok:
                    return
            # Polling a process that starts, not waiting for a guess to pass.
            time.sleep(0.05)
        raise RuntimeError(f"Keystone did not start:\n{self.log.read_text()[-4000:]}")

    def stop(self) -> None:
        """End the service at once: connections to it are refused from now on."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
