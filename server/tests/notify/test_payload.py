"""What subscribers are sent (``notifications`` 5.1, 7.2 and section 3)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zaqarserver.notify import payload


def test_a_notification_has_exactly_these_four_keys_in_this_order():
    found = payload.notification("backups", b'{"event": "BackupStarted"}', 300)
    assert found == (
        b'{"ttl": 300, "body": {"event": "BackupStarted"}, '
        b'"Message_Type": "Notification", "queue_name": "backups"}'
    )


def test_a_delayed_message_has_a_fifth_key():
    found = json.loads(payload.notification("q", b"1", 60, delay=5))
    assert found == {
        "ttl": 60,
        "body": 1,
        "delay": 5,
        "Message_Type": "Notification",
        "queue_name": "q",
    }


def test_a_body_keeps_its_digits():
    found = payload.notification("q", b"[1.10, 1e400, 123456789012345678901]", 60)
    assert b'"body": [1.10, 1e400, 123456789012345678901]' in found


def test_what_is_not_ascii_is_escaped():
    found = payload.notification("q", '{"é": "日本 😀 \\u00e9"}'.encode(), 60)
    assert found.isascii()
    assert json.loads(found)["body"] == {"é": "日本 😀 é"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_body_arrives_as_it_was_posted(body):
    text = json.dumps(body, ensure_ascii=False)
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raw = json.dumps(body).encode()
    found = payload.notification("q", raw, 60)
    assert found.isascii()
    assert json.loads(found)["body"] == body


@pytest.mark.parametrize("raw", [b"", b"{", b'"\xff"', b"1 2", b"nul"])
def test_a_body_that_is_not_json_is_refused(raw):
    with pytest.raises(ValueError, match=r".*"):
        payload.notification("q", raw, 60)


MESSAGE = payload.notification("q", b'"hi"', 60)


def test_post_data_has_the_message_in_place_of_the_placeholder():
    template = '{"messages": [{"body": "$zaqar_message$", "ttl": 60}]}'
    found = json.loads(payload.substituted(MESSAGE, template))
    assert found == {"messages": [{"body": json.loads(MESSAGE), "ttl": 60}]}


def test_each_placeholder_is_replaced():
    found = payload.substituted(MESSAGE, '["$zaqar_message$", "$zaqar_message$"]')
    assert json.loads(found) == [json.loads(MESSAGE)] * 2


def test_a_placeholder_without_its_quotes_stays():
    found = payload.substituted(MESSAGE, '{"text": "got $zaqar_message$"}')
    assert found == b'{"text": "got $zaqar_message$"}'


def test_post_data_without_placeholder_is_sent_as_it_is():
    assert payload.substituted(MESSAGE, "é") == "é".encode()
    assert payload.substituted(MESSAGE, None) == MESSAGE


def test_a_confirmation_is_not_swallowed_by_post_data():
    assert payload.substituted(MESSAGE, "ping", keep=True) == MESSAGE
    wrapped = payload.substituted(MESSAGE, '["$zaqar_message$"]', keep=True)
    assert json.loads(wrapped) == [json.loads(MESSAGE)]


PATH = "/v2/queues/backups/subscriptions/2063f1ba/confirm"
SIGNED = payload.SignedConfirmation(
    "75fd", "PUT", PATH, "9c41d7", "2031-05-04T03:02:01"
)


def test_a_confirmation_has_the_keys_that_listeners_read():
    found = payload.confirmation(
        payload.SUBSCRIPTION_CONFIRMATION,
        "backups",
        SIGNED,
        "http://api.example:8888/",
    )
    text = found.pop("Message")
    assert "backups" in text
    assert found == {
        "Message_Type": "SubscriptionConfirmation",
        "URL-Signature": "75fd",
        "URL-Methods": "PUT",
        "URL-Paths": PATH,
        "X-Project-ID": "9c41d7",
        "URL-Expires": "2031-05-04T03:02:01",
        "SubscribeBody": {"confirmed": True},
        "UnsubscribeBody": {"confirmed": False},
        "WSGISubscribeURL": "http://api.example:8888" + PATH,
        "queue_name": "backups",
    }


def test_without_a_public_address_there_is_no_link():
    found = payload.confirmation(payload.UNSUBSCRIBE_CONFIRMATION, "q", SIGNED, None)
    assert "WSGISubscribeURL" not in found
    assert "confirmed=True" in found["Message"]
    assert json.loads(payload.encoded(found)) == found
