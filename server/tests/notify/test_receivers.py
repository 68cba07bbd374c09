"""The receivers of these tests leave nothing open behind them."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings

import pytest
import uvloop
from receivers import receiving

from .certificates import make_certificate


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("is_encrypted", [False, True])
@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_receiver_closes_also_what_it_is_just_accepting(
    tmp_path, make_loop, is_encrypted, turns
):
    context = make_certificate(tmp_path)[0] if is_encrypted else None

    async def connect_and_end():
        async with receiving(tls=context) as receiver:
            peer = socket.create_connection(("127.0.0.1", receiver.port))
            for _ in range(turns):
                await asyncio.sleep(0)
        return peer

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with asyncio.Runner(loop_factory=make_loop) as runner:
            peer = runner.run(connect_and_end())
        gc.collect(1)
    peer.close()
    assert [str(one.message) for one in caught] == []
