"""The REST edge behind a server of ASGI: what requests in one piece do not show."""

from __future__ import annotations

import json

import pytest
from zaqarserver.common.metrics import Metrics
from zaqarserver.http import RestEdge
from zaqarserver.http.asgi import AsgiApp
from zaqarserver.identity.auth import NoAuth

HEADERS = [
    (b"client-id", b"3381af922b9e11e3b19171861300734c"),
    (b"x-project-id", b"4f2a"),
]
MESSAGES = "/v2/queues/orders/messages"
POST = json.dumps({"messages": [{"body": 1, "ttl": 60}]}).encode()


def part(body, *, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


def serve(api, method, path, *received, send=None):
    """Serve one request; return what the application sent."""
    scope = {"type": "http", "method": method, "path": path, "query_string": b""}
    coming, sent = iter(received), []

    async def receive():
        return next(coming)

    async def keep(message):
        sent.append(message)

    app = AsgiApp(RestEdge(api.server, NoAuth(), Metrics()))
    api.run(app({**scope, "headers": HEADERS}, receive, send or keep))
    return sent


def free(api):
    return api.get("/v2/queues/orders/stats").json["messages"]["free"]


def test_a_body_may_come_in_parts(api):
    parts = [part(POST[:5]), part(b""), part(POST[5:], more=False)]
    start, body = serve(api, "POST", MESSAGES, *parts)
    assert start["status"] == 201
    assert dict(start["headers"])[b"content-length"] == b"%d" % len(body["body"])
    assert free(api) == 1


def test_a_request_that_breaks_off_is_not_carried_out(api):
    gone = {"type": "http.disconnect"}
    start, _ = serve(api, "POST", MESSAGES, part(POST), gone)
    assert start["status"] == 400
    assert free(api) == 0


def test_no_more_of_a_body_is_read_than_it_may_have(api):
    piece = part(b" " * 200_000)
    start, _ = serve(api, "POST", MESSAGES, piece, piece)
    assert start["status"] == 400


def test_a_claim_whose_answer_cannot_be_sent_is_released(api):
    serve(api, "POST", MESSAGES, part(POST, more=False))

    async def broken(_message):
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        serve(
            api, "POST", "/v2/queues/orders/claims", part(b"", more=False), send=broken
        )
    assert free(api) == 1


def test_other_protocols_are_left_to_others(api):
    app = AsgiApp(RestEdge(api.server, NoAuth(), Metrics()))
    with pytest.raises(NotImplementedError, match="lifespan"):
        api.run(app({"type": "lifespan"}, None, None))
