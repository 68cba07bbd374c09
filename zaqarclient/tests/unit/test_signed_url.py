"""A signed URL in one line: written, read back, and refused when it is wrong."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaqarclient.auth.signed_url import (
    SignedURL,
    format_link,
    format_signed_url,
    is_signed_url,
    parse_signed_url,
)
from zaqarclient.queues import client as factory
from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.tests.ws_stub import WebsocketStub
from zaqarclient.tests.ws_stub import answer as ws_answer

FC = factory.Client
V2C = v2_client.Client
SIGNATURE = "5ef3ebc4c19ce6079d2f47e81ba528b996e214bca6866df86bf9a8ffc7fb69cc"
DOCUMENT = {
    "paths": ["/v2/queues/orders/claims", "/v2/queues/orders/messages"],
    "methods": ["DELETE", "GET"],
    "project": "4f2a",
    "expires": "2031-03-03T09:00:00",
    "signature": SIGNATURE,
}
LINE = (
    "zaqar+https://mq.example.org:8888/v2/queues/orders?project=4f2a"
    "&paths=claims,messages&methods=DELETE,GET&expires=2031-03-03T09:00:00"
    f"&signature={SIGNATURE}"
)
LINK = (
    "https://mq.example.org:8888/v2/queues/orders/messages?project=4f2a"
    "&methods=DELETE,GET"
    "&paths=%2Fv2%2Fqueues%2Forders%2Fclaims,%2Fv2%2Fqueues%2Forders%2Fmessages"
    f"&expires=2031-03-03T09:00:00&signature={SIGNATURE}"
)

SIGNED_HEADERS = {
    "URL-Signature": SIGNATURE,
    "URL-Expires": "2031-03-03T09:00:00",
    "URL-Methods": ["DELETE", "GET"],
    "URL-Paths": ["/v2/queues/orders/claims", "/v2/queues/orders/messages"],
    "X-Project-ID": "4f2a",
}


def test_what_the_service_signed_is_one_readable_line() -> None:
    signed = SignedURL.of("https://mq.example.org:8888/", DOCUMENT)
    assert format_signed_url(signed) == LINE
    assert format_link(signed) == LINK


@pytest.mark.parametrize("line", [LINE, LINK, LINK + "&echo=true"])
def test_a_line_says_where_the_service_is_and_what_may_be_done(line: str) -> None:
    signed = parse_signed_url(f"  {line}\n")
    assert signed.endpoint == "https://mq.example.org:8888"
    assert signed.queue == "orders"
    assert signed.ends == dt.datetime(2031, 3, 3, 9, tzinfo=dt.UTC)
    assert signed.options() == {
        "paths": DOCUMENT["paths"],
        "methods": DOCUMENT["methods"],
        "expires": DOCUMENT["expires"],
        "signature": SIGNATURE,
        "os_project_id": "4f2a",
    }


def test_a_signed_url_does_not_show_its_signature() -> None:
    assert SIGNATURE not in repr(parse_signed_url(LINE))


_NAME = st.text("abcXYZ019_-.", min_size=1, max_size=64)
_VISIBLE = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40
)


@given(
    scheme=st.sampled_from(["http", "https", "ws", "wss"]),
    host=st.sampled_from(["mq.example.org:8888", "127.0.0.1:1", "[::1]:8888", "h"]),
    prefix=st.sampled_from(["", "/messaging", "/a/v2/queues/b"]),
    queue=_NAME.filter(lambda name: name not in {".", ".."}),
    kinds=st.lists(
        st.sampled_from(["messages", "claims", "subscriptions"]), min_size=1
    ),
    methods=st.lists(st.sampled_from(["GET", "POST", "PATCH"]), min_size=1),
    project=_VISIBLE,
    signature=_VISIBLE,
)
def test_every_signed_url_comes_back_as_it_was(
    *, scheme, host, prefix, queue, kinds, methods, project, signature
) -> None:
    signed = SignedURL(
        endpoint=f"{scheme}://{host}{prefix}",
        project=project,
        queue=queue,
        paths=tuple(f"/v2/queues/{queue}/{kind}" for kind in kinds),
        methods=tuple(methods),
        expires="2031-03-03T09:00:00",
        signature=signature,
    )
    line = format_signed_url(signed)
    assert parse_signed_url(line) == signed
    assert " " not in line
    if scheme.startswith("http"):
        link = format_link(signed)
        assert parse_signed_url(link) == signed
        assert " " not in link
    else:
        with pytest.raises(ValueError, match="not the HTTP endpoint"):
            format_link(signed)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (LINE, True),
        (LINK, True),
        (" ZAQAR+http://x", True),
        ("https://x", False),
        ("https://x/v2/queues/?signature=y", True),
        ("https://x/?signature=y", False),
        (None, False),
    ],
)
def test_a_signed_url_is_known_by_its_scheme(text: str | None, meant: bool) -> None:
    assert is_signed_url(text) is meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LINE.replace("zaqar+https", "https"), "QUEUE/messages, not 'claims'"),
        (LINE.replace("+https", "+ftp"), r"begins with one of zaqar\+https, "),
        (LINK.replace("https", "wss"), r"begins with one of zaqar\+https, "),
        (LINK.partition("&")[0], "lacks paths, methods, expires, signature; was it"),
        (LINK + "&project=x", "has project more than once"),
        (LINK.replace("orders%2Fclaims", "bills%2Fclaims"), "must be of one queue"),
        (LINE.replace("mq.example.org:8888", ""), "has a host"),
        (LINE.replace("8888", "x"), "has a host"),
        (LINE.replace("https://mq", "https://[mq"), "has a host"),
        (LINE + "#part", "has a host and no #"),
        (LINE.replace("/orders", "/"), "names one queue"),
        (LINE.replace("/orders", "/orders/messages"), "names one queue"),
        (LINE.replace("/v2/queues/orders", ""), "names one queue"),
        (LINE.partition("&")[0], "lacks paths, methods, expires, signature; was it"),
        (LINE.replace("=4f2a", "="), "lacks project;"),
        (LINE + "&expires=2099-01-01", "has expires more than once"),
        (LINE.replace("4f2a", "4f%0a2a"), "project of the signed URL has odd"),
        (LINE.replace("4f2a", "4f 2a"), "has no blanks"),
        (LINE.replace("2031-03-03T09:00:00", "soon"), "must be a moment .* not 'soon'"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_without_its_signature(
    text: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_signed_url(text)
    assert SIGNATURE not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"signature": None}, "needs also: signature"),
        ({"paths": ["/v2/queues/a/claims", "/v2/queues/b/claims"]}, "of one queue"),
        ({"paths": ["/v2/pools/a"]}, "not '/v2/pools/a'"),
        ({"paths": ["/v2/queues/a"]}, "not '/v2/queues/a'"),
    ],
)
def test_a_document_that_is_no_signed_url_is_refused(change, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SignedURL.of("http://h", {**DOCUMENT, **change})


def test_only_the_url_of_a_service_makes_a_line() -> None:
    with pytest.raises(ValueError, match=r"'mq\.example\.org' is not the URL"):
        format_signed_url(SignedURL.of("mq.example.org", DOCUMENT))


@pytest.mark.parametrize("make", [FC, V2C])
def test_a_client_needs_nothing_but_the_line(make, stub: HttpStub) -> None:
    line = LINE.replace("https://mq.example.org:8888", stub.url)
    stub.default = Answer(200, {"messages": []})
    with make(line, version=2) as client:
        list(client.queue("orders").messages())
        assert client.api_url == stub.url
    sent = stub.last.headers
    assert sent["url-paths"] == "/v2/queues/orders/claims,/v2/queues/orders/messages"
    assert sent["url-methods"] == "DELETE,GET"
    assert sent["url-expires"] == "2031-03-03T09:00:00"
    assert sent["url-signature"] == SIGNATURE
    assert sent["x-project-id"] == "4f2a"
    assert "x-auth-token" not in sent


def test_frames_hold_the_lists_of_a_signed_url_as_lists(ws_stub: WebsocketStub) -> None:
    ws_stub.reply = lambda frame: ws_answer(frame, 200, {"messages": []})
    line = LINE.replace("https://mq.example.org:8888", ws_stub.url)
    with V2C(url=line) as client:
        list(client.queue("orders").messages())
    (frame,) = ws_stub.frames
    assert frame["action"] == "message_list"
    assert frame["headers"] | SIGNED_HEADERS == frame["headers"]
    assert "X-Auth-Token" not in frame["headers"]


def test_a_line_says_who_asks_and_the_configuration_how() -> None:
    options = {"cacert": "/ca.pem", "auth_token": "t", "signature": "other"}
    conf = {"timeout": 5, "auth_opts": {"backend": "keystone", "options": options}}
    client = V2C(LINE, conf=conf)
    assert client.auth_opts["backend"] == "signed-url"
    assert client.auth_opts["options"]["cacert"] == "/ca.pem"
    assert client.auth_opts["options"]["signature"] == SIGNATURE
    assert client.conf["timeout"] == 5
    assert conf["auth_opts"] == {"backend": "keystone", "options": options}


def test_a_line_that_is_cut_short_makes_no_client() -> None:
    with pytest.raises(ValueError, match="lacks signature; was it cut short"):
        FC(LINE.partition("&signature")[0])


@pytest.mark.parametrize("wire", ["http", "ws"])
def test_no_log_has_the_signature(
    wire: str,
    stub: HttpStub,
    ws_stub: WebsocketStub,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    ws_stub.reply = lambda frame: ws_answer(frame, 200, {"messages": []})
    url = {"http": stub.url, "ws": ws_stub.url}[wire]
    stub.default = Answer(200, {"messages": []}, {"X-OpenStack-Request-ID": "req-7"})
    with FC(LINE.replace("https://mq.example.org:8888", url)) as client:
        list(client.queue("orders").messages())
    assert "req-" in caplog.text
    assert SIGNATURE not in caplog.text
