"""Pre-signed access is given alike on every transport (``rest-v2`` 2.8)."""

import datetime as dt

import pytest
from zaqarserver.signing import compute

from .service import BAD_REQUEST

MESSAGES = "/v2/queues/orders/messages"


def test_a_grant_is_for_reading_messages_for_a_day_unless_told(service):
    grant = service.signed_url_create("orders").result
    day = dt.datetime.fromtimestamp(service.bench.now + 86400, dt.UTC)
    expires = day.strftime("%Y-%m-%dT%H:%M:%S")
    signed = ([MESSAGES], ["GET"], service.project, expires)
    assert grant == {
        "paths": [MESSAGES],
        "methods": ["GET"],
        "project": service.project,
        "expires": expires,
        "signature": compute("s3cret", *signed),
    }
    assert service.queue_list().result == []


def test_a_grant_comes_back_sorted_and_in_universal_time(service):
    grant = service.signed_url_create(
        "orders",
        paths=["messages", "claims"],
        methods=["POST", "DELETE"],
        expires="2031-03-03T11:00:00.5+02:00",
    ).result
    assert grant["paths"] == ["/v2/queues/orders/claims", MESSAGES]
    assert grant["methods"] == ["DELETE", "POST"]
    assert grant["expires"] == "2031-03-03T09:00:00"


@pytest.mark.parametrize(
    "grant",
    [
        {"paths": ["stats"]},
        {"paths": "messages"},
        {"paths": [7]},
        {"methods": "GET"},
        {"methods": [None]},
        {"methods": ["GET,POST"]},
        {"expires": 7},
        {"expires": "1577836800"},
        {"expires": "1969-01-01"},
        {"expires": "soon"},
        {"expires": None},
        {"who": "me"},
    ],
    ids=str,
)
def test_a_grant_that_makes_no_sense_is_refused(service, grant):
    assert service.signed_url_create("orders", **grant).status == BAD_REQUEST


def test_a_server_without_a_key_signs_nothing(make_service):
    assert make_service().signed_url_create("orders").status == BAD_REQUEST
