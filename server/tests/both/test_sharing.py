"""Pre-signed access is given alike on every transport (``rest-v2`` 2.8)."""

import datetime as dt
import json

import pytest
from zaqarserver.operations.signed_urls import compute

from .service import BAD_REQUEST, CLIENT, CONFLICT, NOT_FOUND, OK

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
    assert service.signed_url_create("orders", paths=[], methods=[]).result == grant
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


# -- on record ------------------------------------------------------------------


def moment(service, seconds):
    """Return a moment as a grant shows it."""
    end = dt.datetime.fromtimestamp(service.bench.now + seconds, dt.UTC)
    return end.strftime("%Y-%m-%dT%H:%M:%S")


def share(service, queue="orders", seconds=600, **grant):
    return service.signed_url_create(
        queue, expires=moment(service, seconds), **grant
    ).result


def test_what_is_shared_is_on_record_without_its_signature(service):
    made = share(service, paths=["claims", "messages"], methods=["POST", "GET"])
    (shown,) = service.signed_url_list("orders").result
    assert shown.pop("id") != made["signature"]
    assert shown == {
        "paths": made["paths"],
        "methods": ["GET", "POST"],
        "created": moment(service, 0),
        "expires": moment(service, 600),
        "revoked": False,
    }
    assert service.signed_url_list("other").result == []
    stranger = service.as_caller(project="stranger")
    assert stranger.signed_url_list("orders").result == []
    assert service.queue_list().result == []


def test_sharing_the_same_again_is_one_record(service):
    assert share(service) == share(service)
    assert len(service.signed_url_list("orders").result) == 1


def test_records_come_in_pages(service):
    for seconds in range(100, 107):
        share(service, seconds=seconds)
    pages = list(service.pages(service.signed_url_list("orders", limit=3)))
    assert [len(page) for page in pages] == [3, 3, 1]
    ids = [item["id"] for page in pages for item in page]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("limit", [0, 21, -1])
def test_a_page_of_records_has_bounds(service, limit):
    assert service.signed_url_list("orders", limit=limit).status == BAD_REQUEST


def test_what_has_expired_is_no_longer_listed(service):
    share(service, seconds=60)
    service.wait(59)
    assert len(service.signed_url_list("orders").result) == 1
    service.wait(1)
    assert service.signed_url_list("orders").result == []


def test_a_revoked_record_says_so(service):
    share(service)
    (shown,) = service.signed_url_list("orders").result
    for _ in range(2):
        assert service.signed_url_revoke("orders", shown["id"]).status == OK
    shown["revoked"] = True
    assert service.signed_url_list("orders").result == [shown]


def test_what_was_revoked_is_not_signed_again(service):
    share(service)
    (shown,) = service.signed_url_list("orders").result
    assert service.signed_url_revoke("orders", shown["id"]).status == OK
    again = service.signed_url_create("orders", expires=moment(service, 600))
    assert again.status == CONFLICT
    assert share(service, seconds=601)["signature"]


@pytest.mark.parametrize("id_", ["x", "0" * 32, "%2e%2e", "é"])
def test_an_unknown_record_is_not_revoked(service, id_):
    share(service)
    assert service.signed_url_revoke("orders", id_).status == NOT_FOUND


def test_nobody_else_revokes(service):
    share(service)
    (shown,) = service.signed_url_list("orders").result
    assert service.signed_url_revoke("other", shown["id"]).status == NOT_FOUND
    stranger = service.as_caller(project="stranger")
    assert stranger.signed_url_revoke("orders", shown["id"]).status == NOT_FOUND
    assert service.signed_url_list("orders").result == [shown]


def test_a_queue_has_no_more_than_so_many(make_service):
    service = make_service(
        "[signed_url]\nsecret_key = s3cret\n"
        "[transport]\nmax_signed_urls_per_queue = 2\n"
    )
    share(service, seconds=60)
    share(service, seconds=600)
    full = service.signed_url_create("orders", expires=moment(service, 601))
    assert full.status == CONFLICT
    assert share(service, seconds=600), "one on record is signed again"
    assert share(service, queue="other")
    service.wait(60)
    assert share(service, seconds=541)


# -- in frames ------------------------------------------------------------------


@pytest.fixture
def holder(bench):
    """A connection of somebody without credentials."""
    dialog = bench.dial()
    yield dialog
    dialog.close()


def test_a_revoked_signature_opens_nothing_on_a_connection_that_used_it(
    service, holder
):
    grant = share(service, methods=["GET", "POST"])
    headers = {
        "Client-ID": CLIENT,
        "X-Project-ID": service.project,
        "URL-Signature": grant["signature"],
        "URL-Expires": grant["expires"],
        "URL-Methods": grant["methods"],
        "URL-Paths": grant["paths"],
    }

    def ask(action, **body):
        frame = {"action": action, "headers": headers, "body": body}
        holder.send(json.dumps(frame).encode(), binary=False)
        answer = json.loads(holder.receive()["text"])
        return answer["headers"]["status"], answer["body"].get("error")

    post = {"queue_name": "orders", "messages": [{"body": 1}]}
    refused = (403, "Not authentified.")
    assert ask("message_post", **post) == (201, None)
    assert ask("signed_url_list", queue_name="orders") == refused
    (shown,) = service.signed_url_list("orders").result
    id_ = {"queue_name": "orders", "signed_url_id": shown["id"]}
    assert ask("signed_url_revoke", **id_) == refused
    assert service.signed_url_revoke("orders", shown["id"]).status == OK
    assert ask("message_post", **post) == refused
    assert service.bodies("orders") == [1]
