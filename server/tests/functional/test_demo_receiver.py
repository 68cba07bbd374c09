"""The webhook that the guide shows takes what the server signed, and nothing else."""

from __future__ import annotations

import email.message
import importlib.util
import time
from pathlib import Path

import pytest
from zaqarserver.notify.webhook import signature, signing_key

RECEIVER = Path(__file__).parents[3] / "demo/receiver.py"
KEY = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
CONTENT = b'{"body": 1}'


@pytest.fixture
def receiver(monkeypatch):
    monkeypatch.setenv("WEBHOOK_SIGNING_KEY", KEY)
    spec = importlib.util.spec_from_file_location("receiver", RECEIVER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def signed(content=CONTENT, sent=None, key=KEY):
    """Return the headers of a request as the server signs it."""
    sent = int(time.time()) if sent is None else sent
    headers = email.message.Message()
    headers["webhook-id"] = "m1"
    headers["webhook-timestamp"] = str(sent)
    headers["webhook-signature"] = signature(signing_key(key), "m1", sent, content)
    return headers


def test_what_the_server_signed_is_genuine(receiver):
    assert receiver.is_genuine(signed(), CONTENT)


def test_a_signature_with_an_older_key_beside_the_right_one_is_genuine(receiver):
    headers = signed()
    right = headers["webhook-signature"]
    del headers["webhook-signature"]
    headers["webhook-signature"] = f"v1,b2xk {right}"
    assert receiver.is_genuine(headers, CONTENT)


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        pytest.param(signed(), b'{"body": 2}', id="another content"),
        pytest.param(signed(sent=1), CONTENT, id="an old request"),
        pytest.param(signed(key="whsec_" + "A" * 32), CONTENT, id="another key"),
        pytest.param(email.message.Message(), CONTENT, id="no signature"),
    ],
)
def test_anything_else_is_refused(receiver, headers, content):
    assert not receiver.is_genuine(headers, content)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-timestamp", "²"),
        ("webhook-timestamp", "5" * 5000),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "nan"),
        ("webhook-timestamp", ""),
        ("webhook-signature", "v1"),
        ("webhook-signature", "v1,é"),
        ("webhook-signature", "v1,A"),
        ("webhook-signature", ",,"),
        ("webhook-id", ""),
        ("webhook-id", "é"),
    ],
    ids=lambda text: text[:20],
)
def test_a_header_that_makes_no_sense_is_refused(receiver, name, value):
    headers = signed()
    headers.replace_header(name, value)
    assert not receiver.is_genuine(headers, CONTENT)


def test_content_that_is_not_utf_8_is_refused(receiver):
    assert not receiver.is_genuine(signed(b"\xff"), b"\xff")
