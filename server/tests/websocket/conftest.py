"""Real sockets to a real server."""

import pytest

from .frames import Socket


@pytest.fixture
def connect(server, tmp_path):
    """Make sockets of a project of their own."""
    made = []

    def make(url=server.websocket_url, *, binary=False):
        made.append(Socket(url, str(tmp_path), binary=binary))
        return made[-1]

    yield make
    for peer in made:
        peer.peer.shutdown()


@pytest.fixture(params=["json", "msgpack"])
def socket(request, connect):
    """A socket, in each encoding."""
    return connect(binary=request.param == "msgpack")
