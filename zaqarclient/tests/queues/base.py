"""The base class of test cases with a client and a queue."""

from __future__ import annotations

import os
import socket
from unittest import mock

from zaqarclient.queues import client
from zaqarclient.tests import base
from zaqarclient.tests.transport import dummy

__all__ = ["QueuesTestBase"]


def _own_address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


_HOST = os.environ.get("ZAQAR_SERVICE_HOST") or _own_address()

ZAQAR_ENDPOINT = os.environ.get("ZAQAR_ENDPOINT") or f"http://{_HOST}:8888"


class QueuesTestBase(base.TestBase):
    """A test case with a client whose requests all go over one transport.

    Attributes:
        transport_cls: The class of the transport.
        url: The service.
        version: The version of the API.
        is_functional: Whether the tests need a service: they are skipped
            without ``ZAQARCLIENT_TEST_FUNCTIONAL`` in the environment.
        transport: The transport: where tests put their answers.
        client: The client.
        queue: A queue of the name 1.
    """

    transport_cls = dummy.DummyTransport
    url = ZAQAR_ENDPOINT
    version = 2
    is_functional = False

    def setUp(self) -> None:
        super().setUp()
        if self.is_functional and not base.is_set("ZAQARCLIENT_TEST_FUNCTIONAL"):
            self.skipTest("ZAQARCLIENT_TEST_FUNCTIONAL is not set")
        self.transport = self.transport_cls(self.conf)
        self.addCleanup(self.transport.close)
        self.client = client.Client(self.url, self.version, self.conf)
        self.addCleanup(self.client.close)
        patched = mock.patch.object(
            self.client, "_get_transport", return_value=self.transport
        )
        patched.start()
        self.addCleanup(patched.stop)
        self.queue = self.client.queue(1, auto_create=False)
