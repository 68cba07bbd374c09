"""Mail subscribers: one mail a message (``notifications`` section 8).

A subscriber is ``mailto:ADDRESS[,ADDRESS...][?subject=TEXT]``, which
:mod:`zaqarserver.subscribers.uris` takes apart.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email.utils
import logging
import quopri
import shlex
import shutil
import ssl
from collections.abc import Mapping
from email.header import Header
from typing import Any
from urllib.parse import quote

import msgspec

from zaqarserver.errors import BadRequest, SettingsError
from zaqarserver.notify.deliverer import (
    Delivered,
    Deliverer,
    Failed,
    Notification,
    Outcome,
    Retry,
)
from zaqarserver.notify.payload import SUBSCRIPTION_CONFIRMATION
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.storage.subscriptions import Subscription
from zaqarserver.subscribers.options import check_header_value
from zaqarserver.subscribers.uris import recipients_of

LOG = logging.getLogger(__name__)

_MAX_LINE = 998  # RFC 5322

# Statuses of a mail command (sysexits) that no second try will change: bad data,
# unknown user, unknown host.
_FINAL_EXITS = frozenset((65, 67, 68))

_LINK_MEMBERS = (
    ("Signature", "URL-Signature"),
    ("Methods", "URL-Methods"),
    ("Paths", "URL-Paths"),
    ("Project", "X-Project-ID"),
    ("Expires", "URL-Expires"),
    ("Url", "WSGISubscribeURL"),
    ("Queue", "queue_name"),
)


class Mail(msgspec.Struct, frozen=True):
    """A mail, checked.

    Attributes:
        sender: The value of the header ``from``.
        recipients: The addresses.
        subject: The value of the header ``subject``.
        text: The body.
    """

    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str

    @property
    def envelope_sender(self) -> str:
        """The bare address of the sender; empty is the null sender."""
        return email.utils.parseaddr(self.sender)[1]

    def encoded(self) -> bytes:
        """Return the encoded mail, with LF as line ends.

        ASCII text is sent unchanged, other text as UTF-8 in base64, and text with
        lines that mail servers would cut as quoted-printable.
        """
        text = self.text.replace("\r\n", "\n").replace("\r", "\n")
        charset, encoding, content = "us-ascii", "7bit", text
        if not text.isascii():
            charset, encoding = "utf-8", "base64"
            content = base64.encodebytes(text.encode()).decode()
        elif any(len(line) > _MAX_LINE for line in text.split("\n")):
            encoding = "quoted-printable"
            content = quopri.encodestring(text.encode()).decode()
        lines = (
            f'Content-Type: text/plain; charset="{charset}"',
            "MIME-Version: 1.0",
            f"Content-Transfer-Encoding: {encoding}",
            f"to: {', '.join(self.recipients)}",
            f"from: {_header(self.sender)}",
            f"subject: {_header(self.subject)}",
            "",
            content,
        )
        return "\n".join(lines).encode("ascii")


def _header(value: str) -> str:
    if value.isascii() and len(value) < _MAX_LINE // 2:
        return value
    name, address = email.utils.parseaddr(value)
    if name and address.isascii() and "@" in address:
        return f"{Header(name, 'utf-8').encode()} <{address}>"
    return Header(value, "utf-8").encode()


def confirmation_link(base: str, found: Mapping[str, Any]) -> str:
    """Return the link of a confirmation mail, with its values percent-encoded.

    Args:
        base: ``external_confirmation_url``.
        found: The members of the confirmation.
    """
    query = "&".join(
        f"{name}={quote(str(found.get(key, '')), safe='/:')}"
        for name, key in _LINK_MEMBERS
    )
    return f"{base}?{query}"


class MailDeliverer(Deliverer):
    """Sends to ``mailto`` subscribers, by a command or by SMTP.

    The retry policies of queue and subscription apply to webhooks only; mail follows
    the default one.
    """

    follows_policy = False

    def __init__(self, settings: NotifySettings) -> None:
        super().__init__(settings)
        self._command = shlex.split(settings.smtp_command)
        self._tls: ssl.SSLContext | None = None
        if settings.smtp_mode == "self_local":
            self._tls = _smtp_tls(settings)
        elif not self._command:
            raise SettingsError("[notification] smtp_command must name a command.")
        elif shutil.which(self._command[0]) is None:
            LOG.info(
                "no mail can be sent: [notification] smtp_command %s is not there",
                self._command[0],
            )
        for template in (
            settings.subscription_confirmation_email_template,
            settings.unsubscribe_confirmation_email_template,
        ):
            _check_template(template)

    def endpoint(self, subscription: Subscription) -> str:  # noqa: ARG002
        """Return one name for all mail: there is one command or mail server."""
        return "mail"

    async def deliver(self, notification: Notification) -> Outcome:
        """Send one mail; a refusal of an address or of the content is final."""
        try:
            mail = self._mail(notification)
        except BadRequest as error:
            return Failed(error.description)
        except ValueError:
            return Failed("the subscriber is not a valid URI")
        try:
            async with asyncio.timeout(self.settings.smtp_timeout):
                if self.settings.smtp_mode == "self_local":
                    return await self._send(mail)
                return await self._run(mail)
        except TimeoutError:
            return Retry("timeout")

    def _mail(self, notification: Notification) -> Mail:
        addresses, subject = recipients_of(notification.subscription.subscriber)
        if notification.confirmation is not None:
            return self._confirmation(addresses, notification.confirmation)
        options = notification.subscription.options
        if subject is None:
            subject = options.get("subject", "")
        return Mail(
            sender=check_header_value("from", options.get("from", "")),
            recipients=addresses,
            subject=check_header_value("subject", subject),
            text=notification.payload.decode("ascii"),
        )

    def _confirmation(
        self, addresses: tuple[str, ...], found: Mapping[str, Any]
    ) -> Mail:
        settings = self.settings
        if not settings.external_confirmation_url:
            raise BadRequest(
                "a confirmation mail needs [notification] external_confirmation_url"
            )
        template = settings.unsubscribe_confirmation_email_template
        if found["Message_Type"] == SUBSCRIPTION_CONFIRMATION:
            template = settings.subscription_confirmation_email_template
        return Mail(
            sender=template["sender"],
            recipients=addresses,
            subject=template["topic"],
            text=template["body"].format(
                found["queue_name"],
                found["X-Project-ID"],
                confirmation_link(settings.external_confirmation_url, found),
            ),
        )

    async def _run(self, mail: Mail) -> Outcome:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            LOG.warning(
                "smtp_command %s cannot be run: %s", self._command[0], error.strerror
            )
            return Retry("smtp_command cannot be run")
        try:
            await _feed(process, mail.encoded())
        finally:
            await _end(process)
        if process.returncode == 0:
            return Delivered()
        reason = f"smtp_command ended with {process.returncode}"
        final = process.returncode in _FINAL_EXITS
        return Failed(reason) if final else Retry(reason)

    async def _send(self, mail: Mail) -> Outcome:
        # Few servers send mail by SMTP themselves.
        import aiosmtplib  # noqa: PLC0415

        settings = self.settings
        client = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_user_name,
            password=settings.smtp_user_password,
            timeout=settings.smtp_timeout,
            use_tls=settings.smtp_tls == "implicit",
            start_tls=settings.smtp_tls == "starttls",
            tls_context=self._tls,
        )
        try:
            # Ends with QUIT. If a server refuses some recipients and accepts others,
            # there is no retry: the others would get the mail twice.
            async with client:
                await client.sendmail(
                    mail.envelope_sender, mail.recipients, mail.encoded()
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refused(min(one.code for one in error.recipients))
        except aiosmtplib.SMTPAuthenticationError:
            LOG.warning("the mail server refused smtp_user_name")
            return Retry("the mail server refused the login")
        except aiosmtplib.SMTPResponseException as error:
            return _refused(error.code)
        except (aiosmtplib.SMTPException, OSError) as error:
            return Retry(f"no mail server: {type(error).__name__}")
        return Delivered()


async def _feed(process: asyncio.subprocess.Process, content: bytes) -> None:
    """Write to a command and wait for its end; it may end without reading all."""
    # The exception of a closed pipe depends on the event loop; the status decides.
    with contextlib.suppress(ConnectionError, RuntimeError):
        await process.communicate(content)
    await process.wait()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process if it still runs, and reap it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _refused(code: int) -> Outcome:
    reason = f"the mail server answered {code}"
    return Failed(reason) if code >= 500 else Retry(reason)


def _smtp_tls(settings: NotifySettings) -> ssl.SSLContext | None:
    if not settings.smtp_host:
        raise SettingsError(
            "[notification] smtp_mode = self_local needs the smtp_host to send to."
        )
    if settings.smtp_tls == "none":
        return None
    try:
        return ssl.create_default_context(cafile=settings.smtp_ca_file)
    except OSError as error:
        raise SettingsError(
            f"[notification] smtp_ca_file: {settings.smtp_ca_file} cannot be used: "
            f"{error}."
        ) from error


def _check_template(template: Mapping[str, str]) -> None:
    """Refuse a template that would make each confirmation mail fail."""
    try:
        template["body"].format("queue", "project", "link")
        check_header_value("topic", template["topic"])
        check_header_value("sender", template["sender"])
    except (LookupError, ValueError, BadRequest) as error:
        raise SettingsError(
            "[notification] a confirmation email template needs topic, sender and "
            f"body, the body with no placeholders but {{0}}, {{1}} and {{2}}: {error}"
        ) from error
