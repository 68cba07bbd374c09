"""Mail by a real command and to a real SMTP server (``notifications`` 8)."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import json
import re
import shlex
import socket
import stat
import sys
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from hypothesis import given
from hypothesis import strategies as st
from receivers import listening
from zaqarserver.errors import BadRequest, SettingsError
from zaqarserver.notify import payload
from zaqarserver.notify.deliverer import Delivered, Failed, Retry
from zaqarserver.notify.email import MailDeliverer, confirmation_link
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.subscribers.uris import recipients_of

from .certificates import make_certificate
from .doubles import notification_of
from .loops import LOOPS

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    return request.param


# The test server does not see that its port speaks nothing but TLS.
IMPLICIT_TLS = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring")

PATH = "/v2/queues/backups/subscriptions/s1/confirm"
SIGNED = payload.SignedConfirmation("75fd", "PUT", PATH, "4f2a", "2031-05-04T03:02:01")


class Mailbox:
    """An SMTP server that keeps what it takes; ``answers`` may refuse."""

    def __init__(self):
        self.mails = []
        self.answers = {}
        self.ended = 0

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 -- the library's name
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 -- the library's name
        if "DATA" in self.answers:
            return self.answers["DATA"]
        self.mails.append(envelope)
        return "250 OK"

    async def handle_QUIT(self, server, session, envelope):  # noqa: N802 -- the library's name
        self.ended += 1
        return "221 Bye"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def smtp(certificate):
    """Run SMTP servers; return a mailbox and the settings to reach it."""
    stack = contextlib.AsyncExitStack()

    async def start(tls="none", *, user=None):
        context, ca_file = certificate
        mailbox = Mailbox()

        def authenticate(server, session, envelope, mechanism, data):
            given = (data.login.decode(), data.password.decode())
            return AuthResult(success=given == user, handled=False)

        async def serve(connection):
            session = SMTP(
                mailbox,
                hostname="localhost",
                tls_context=context if tls == "starttls" else None,
                require_starttls=tls == "starttls",
                authenticator=authenticate if user else None,
                auth_required=bool(user),
                auth_require_tls=tls != "implicit",
            )
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: session, connection, ssl=context if tls == "implicit" else None
            )
            try:
                await asyncio.shield(session._closed)
            finally:
                transport.abort()
                await asyncio.wait([session._closed])

        port = await stack.enter_async_context(listening(serve))
        return mailbox, {
            "smtp_mode": "self_local",
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "smtp_tls": tls,
            "smtp_ca_file": ca_file,
            "smtp_timeout": 10,
        }

    async with stack:
        yield start


@pytest.fixture
def command(tmp_path):
    """Make commands that keep their standard input and end with a status."""

    def make(status=0, *, lines=""):
        kept = tmp_path / "kept"
        program = tmp_path / "program.py"
        program.write_text(
            f"import pathlib, sys\n{lines}\n"
            f"pathlib.Path({str(kept)!r}).write_bytes(sys.stdin.buffer.read())\n"
            f"sys.exit({status} if sys.argv[1:] == ['-t', '-oi'] else 99)\n"
        )
        script = tmp_path / "sendmail"
        script.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {program} "$@"\n'
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        return kept, {"smtp_command": f"{script} -t -oi"}

    return make


def deliverer(**settings):
    return MailDeliverer(NotifySettings(**settings))


async def test_the_text_is_exactly_that_of_the_contract(command, notification):
    kept, settings = command()
    options = {"from": "zaqar@mail.example", "subject": "Hello"}
    made = notification("mailto:joe@mail.example", **options)
    assert await deliverer(**settings).deliver(made) == Delivered()
    head, _, body = kept.read_bytes().partition(b"\n\n")
    assert head.decode() == (
        'Content-Type: text/plain; charset="us-ascii"\n'
        "MIME-Version: 1.0\n"
        "Content-Transfer-Encoding: 7bit\n"
        "to: joe@mail.example\n"
        "from: zaqar@mail.example\n"
        "subject: Hello"
    )
    assert json.loads(body) == {
        "ttl": 300,
        "body": {"event": "started"},
        "Message_Type": "Notification",
        "queue_name": "backups",
    }


async def test_from_and_subject_are_empty_by_default(command, notification):
    kept, settings = command()
    await deliverer(**settings).deliver(notification("mailto:joe@mail.example"))
    assert b"\nfrom: \nsubject: \n\n" in kept.read_bytes()


async def test_the_subject_of_the_uri_wins(command, notification):
    kept, settings = command()
    made = notification(
        "mailto:joe@mail.example?subject=Hi%20there&body=x", subject="Other"
    )
    await deliverer(**settings).deliver(made)
    assert b"\nsubject: Hi there\n" in kept.read_bytes()


@pytest.mark.parametrize(
    ("subscriber", "addresses", "subject"),
    [
        ("mailto:joe@mail.example", ["joe@mail.example"], None),
        ("MAILTO:joe@mail.example?subject=", ["joe@mail.example"], ""),
        ("mailto:a@x.example,b@y.example", ["a@x.example", "b@y.example"], None),
        ("mailto:joe%2Bzaqar@mail.example", ["joe+zaqar@mail.example"], None),
        ("mailto:joe+zaqar@mail.example", ["joe+zaqar@mail.example"], None),
        ("mailto:joe@bücher.example", ["joe@xn--bcher-kva.example"], None),
        ("mailto:j@x.example?subject=a&subject=b", ["j@x.example"], "a"),
        ("mailto:j@x.example?cc=eve@x.example", ["j@x.example"], None),
    ],
)
async def test_a_mailto_names_addresses_and_maybe_a_subject(
    subscriber, addresses, subject
):
    assert recipients_of(subscriber) == (tuple(addresses), subject)


@pytest.mark.parametrize(
    "subscriber",
    [
        "mailto:",
        "mailto:joe",
        "mailto:@mail.example",
        "mailto:joe@",
        "mailto:joe@mail.example,",
        "mailto:joe@mail.example%0ABcc:%20eve@mail.example",
        "mailto:joe%0D%0A@mail.example",
        "mailto:joe@mail.example\nBcc: eve@mail.example",
        "mailto:joe%20eve@mail.example",
        "mailto:%22a%22@mail.example",
        "mailto:<joe@mail.example>",
        "mailto:joe@mail.example;eve@mail.example",
        "mailto:joe@-mail.example",
        "mailto:joe@mail..example",
        "mailto:jöe@mail.example",
        "mailto:" + "a" * 65 + "@mail.example",
        "mailto:" + ",".join(["a@b.example"] * 21),
    ],
)
async def test_a_mailto_with_a_wrong_address_is_refused(subscriber):
    with pytest.raises(BadRequest):
        recipients_of(subscriber)


@pytest.mark.parametrize(
    ("subscriber", "options"),
    [
        ("mailto:j@x.example?subject=a%0D%0ABcc:%20eve@x.example", {}),
        ("mailto:j@x.example", {"subject": "a\nBcc: eve@x.example"}),
        ("mailto:j@x.example", {"from": "a\rBcc: eve@x.example"}),
        ("mailto:j@x.example", {"from": ["a"]}),
        ("mailto:j@x.example%0aBcc:eve@x.example", {}),
        ("mailto://[x", {}),
    ],
)
async def test_nothing_can_be_put_into_the_header(
    command, notification, subscriber, options
):
    kept, settings = command()
    outcome = await deliverer(**settings).deliver(notification(subscriber, **options))
    assert isinstance(outcome, Failed)
    assert not kept.exists()


addresses = st.builds(
    "{}@x.example{}".format, st.text("ab.%0\r\n", max_size=6), st.text()
)


@given(
    subscriber=addresses,
    options=st.fixed_dictionaries(
        {}, optional={"from": st.text(), "subject": st.text()}
    ),
)
def test_whatever_is_asked_for_the_header_has_six_lines_of_ours(subscriber, options):
    try:
        mail = deliverer()._mail(notification_of(f"mailto:{subscriber}", **options))
    except (BadRequest, ValueError):
        return  # refused
    head = mail.encoded().partition(b"\n\n")[0].decode("ascii")
    names = [line.partition(":")[0] for line in re.split(r"\n(?! )", head)]
    assert names == [
        "Content-Type",
        "MIME-Version",
        "Content-Transfer-Encoding",
        "to",
        "from",
        "subject",
    ]


async def test_what_is_not_ascii_is_encoded(command, notification):
    kept, settings = command()
    options = {"from": "Jörg <j@x.example>", "subject": "Grüße"}
    await deliverer(**settings).deliver(notification("mailto:joe@x.example", **options))
    assert kept.read_bytes().isascii()
    mail = email.message_from_bytes(kept.read_bytes(), policy=email.policy.default)
    assert mail["subject"] == "Grüße"
    assert mail["from"] == "Jörg <j@x.example>"


async def test_a_body_with_long_lines_arrives_whole(command, notification):
    kept, settings = command()
    body = json.dumps(["x" * 5000]).encode()
    await deliverer(**settings).deliver(notification("mailto:joe@x.example", body=body))
    assert max(map(len, kept.read_bytes().split(b"\n"))) <= 998
    mail = email.message_from_bytes(kept.read_bytes())
    assert json.loads(mail.get_payload(decode=True))["body"] == ["x" * 5000]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0, Delivered()),
        (67, Failed("smtp_command ended with 67")),
        (75, Retry("smtp_command ended with 75")),
        (1, Retry("smtp_command ended with 1")),
    ],
)
async def test_the_status_of_the_command_decides(
    command, notification, status, outcome
):
    _, settings = command(status)
    made = notification("mailto:joe@x.example")
    assert await deliverer(**settings).deliver(made) == outcome


async def test_a_command_that_does_not_read_is_judged_by_its_status(notification):
    made = notification(
        "mailto:joe@x.example", body=json.dumps("x" * 1_000_000).encode()
    )
    assert await deliverer(smtp_command="true").deliver(made) == Delivered()
    assert isinstance(await deliverer(smtp_command="false").deliver(made), Retry)


async def test_a_command_that_hangs_is_ended(command, notification):
    _, settings = command(lines="import time; time.sleep(600)")
    made = notification("mailto:joe@x.example")
    outcome = await deliverer(**settings, smtp_timeout=0.3).deliver(made)
    assert outcome == Retry("timeout")


async def test_a_command_that_is_missing_is_named_at_the_start_and_tried_again(
    notification, tmp_path, caplog
):
    missing = tmp_path / "nothing"
    caplog.set_level("INFO")
    sender = deliverer(smtp_command=f"{missing} -t")
    assert f"smtp_command {missing} is not there" in caplog.text
    made = notification("mailto:joe@x.example")
    assert isinstance(await sender.deliver(made), Retry)
    assert f"smtp_command {missing} cannot be run" in caplog.text


async def test_smtp_reaches_every_recipient_and_says_goodbye(smtp, notification):
    mailbox, settings = await smtp()
    made = notification("mailto:a@x.example,b@x.example", **{"from": "Z <z@x.example>"})
    assert await deliverer(**settings).deliver(made) == Delivered()
    (mail,) = mailbox.mails
    assert mail.mail_from == "z@x.example"
    assert mail.rcpt_tos == ["a@x.example", "b@x.example"]
    assert b"\r\nto: a@x.example, b@x.example\r\n" in mail.content
    assert mailbox.ended == 1


async def test_mail_without_from_has_the_null_sender(smtp, notification):
    mailbox, settings = await smtp()
    await deliverer(**settings).deliver(notification("mailto:a@x.example"))
    assert mailbox.mails[0].mail_from == "<>"


@IMPLICIT_TLS
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_smtp_is_protected_by_tls(smtp, notification, tls):
    mailbox, settings = await smtp(tls, user=("zaqar", "secret"))
    login = {"smtp_user_name": "zaqar", "smtp_user_password": "secret"}
    made = notification("mailto:a@x.example")
    assert await deliverer(**settings, **login).deliver(made) == Delivered()
    assert len(mailbox.mails) == 1


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(
    smtp, notification
):
    mailbox, settings = await smtp("implicit")
    outcome = await deliverer(**(settings | {"smtp_ca_file": None})).deliver(
        notification("mailto:a@x.example")
    )
    assert isinstance(outcome, Retry)
    assert mailbox.mails == []


async def test_starttls_is_not_done_without(smtp, notification):
    mailbox, settings = await smtp("none")
    outcome = await deliverer(**(settings | {"smtp_tls": "starttls"})).deliver(
        notification("mailto:a@x.example")
    )
    assert isinstance(outcome, Retry)
    assert mailbox.mails == []


@IMPLICIT_TLS
async def test_a_wrong_password_is_tried_again(smtp, notification):
    mailbox, settings = await smtp("implicit", user=("zaqar", "secret"))
    login = {"smtp_user_name": "zaqar", "smtp_user_password": "wrong"}
    outcome = await deliverer(**settings, **login).deliver(
        notification("mailto:a@x.example")
    )
    assert outcome == Retry("the mail server refused the login")
    assert mailbox.mails == []


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({"a@x.example": "550 no"}, Failed("the mail server answered 550")),
        ({"a@x.example": "450 later"}, Retry("the mail server answered 450")),
        ({"DATA": "554 no"}, Failed("the mail server answered 554")),
        ({"DATA": "451 later"}, Retry("the mail server answered 451")),
    ],
)
async def test_the_mail_servers_answer_decides(smtp, notification, answers, outcome):
    mailbox, settings = await smtp()
    mailbox.answers = answers
    made = notification("mailto:a@x.example")
    assert await deliverer(**settings).deliver(made) == outcome


async def test_one_refused_recipient_does_not_repeat_the_mail_to_others(
    smtp, notification
):
    mailbox, settings = await smtp()
    mailbox.answers = {"a@x.example": "450 later"}
    made = notification("mailto:a@x.example,b@x.example")
    assert await deliverer(**settings).deliver(made) == Delivered()
    assert mailbox.mails[0].rcpt_tos == ["b@x.example"]


async def test_no_mail_server_is_tried_again(notification):
    settings = {"smtp_mode": "self_local", "smtp_host": "127.0.0.1", "smtp_tls": "none"}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings["smtp_port"] = closed.getsockname()[1]
        outcome = await deliverer(**settings).deliver(
            notification("mailto:a@x.example")
        )
    assert isinstance(outcome, Retry)


# -- confirmations ----------------------------------------------------------


def confirmation(notification, message_type, subscriber="mailto:joe@x.example"):
    found = payload.confirmation(
        message_type, "backups", SIGNED, "http://api.example:8888"
    )
    made = notification(subscriber, subject="ignored")
    return msgspec.structs.replace(
        made, payload=payload.encoded(found), confirmation=found
    )


@pytest.mark.parametrize(
    ("message_type", "topic"),
    [
        (payload.SUBSCRIPTION_CONFIRMATION, "Subscription Confirmation"),
        (payload.UNSUBSCRIBE_CONFIRMATION, "Unsubscribe Confirmation"),
    ],
)
async def test_a_confirmation_mail_ends_with_its_link(
    command, notification, message_type, topic
):
    kept, settings = command()
    sender = deliverer(**settings, external_confirmation_url="https://c.example/page")
    outcome = await sender.deliver(confirmation(notification, message_type))
    assert outcome == Delivered()
    mail = email.message_from_bytes(kept.read_bytes())
    assert mail["subject"] == f"Zaqar Notification - {topic}"
    assert mail["from"] == "Zaqar Notifications <no-reply@openstack.org>"
    text = mail.get_payload()
    assert "backups" in text
    assert "4f2a" in text
    link = text.rpartition("below: ")[2]
    assert link == (
        "https://c.example/page?Signature=75fd&Methods=PUT"
        f"&Paths={PATH}&Project=4f2a&Expires=2031-05-04T03:02:01"
        f"&Url=http://api.example:8888{PATH}&Queue=backups"
    )


async def test_the_link_is_percent_encoded():
    found = {"X-Project-ID": "a&b=c d", "queue_name": "é?"}
    link = confirmation_link("https://c.example/", found)
    assert "a&b" not in link
    assert parse_qs(urlsplit(link).query)["Project"] == ["a&b=c d"]
    assert parse_qs(urlsplit(link).query)["Queue"] == ["é?"]


async def test_without_a_page_no_confirmation_mail_is_sent(command, notification):
    kept, settings = command()
    made = confirmation(notification, payload.SUBSCRIPTION_CONFIRMATION)
    outcome = await deliverer(**settings).deliver(made)
    assert isinstance(outcome, Failed)
    assert "external_confirmation_url" in outcome.reason
    assert not kept.exists()


async def test_a_template_of_ones_own_is_used(command, notification):
    kept, settings = command()
    template = {"topic": "Grüße", "body": "{0}|{1}|é {2}", "sender": "Z <z@x.example>"}
    sender = deliverer(
        **settings,
        external_confirmation_url="https://c.example/page",
        subscription_confirmation_email_template=template,
    )
    await sender.deliver(confirmation(notification, payload.SUBSCRIPTION_CONFIRMATION))
    mail = email.message_from_bytes(kept.read_bytes(), policy=email.policy.default)
    assert mail["content-transfer-encoding"] == "base64"
    assert mail["subject"] == "Grüße"
    assert mail.get_content().startswith("backups|4f2a|é https://c.example/page?")


# -- settings ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"smtp_command": " "}, "smtp_command"),
        ({"smtp_mode": "self_local"}, "smtp_host"),
        (
            {
                "smtp_mode": "self_local",
                "smtp_host": "x",
                "smtp_ca_file": "/nowhere/ca.pem",
            },
            "smtp_ca_file",
        ),
        ({"subscription_confirmation_email_template": {"body": "x"}}, "topic"),
        (
            {
                "unsubscribe_confirmation_email_template": {
                    "topic": "x",
                    "sender": "y",
                    "body": "{3}",
                }
            },
            "placeholders",
        ),
    ],
)
async def test_settings_that_cannot_be_used_stop_the_start(settings, text):
    with pytest.raises(SettingsError, match=text):
        deliverer(**settings)
