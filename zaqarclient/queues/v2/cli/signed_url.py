"""Commands on signed URLs, which give access to a queue without a token."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.queues.v2.cli.argument_types import whole_seconds
from zaqarclient.queues.v2.cli.arguments import QUEUE, arg, paging
from zaqarclient.queues.v2.cli.base import Command
from zaqarclient.queues.v2.cli.displays import Lister, Shown, ShowOne
from zaqarclient.queues.v2.cli.output import CommandError
from zaqarclient.queues.v2.cli.terminal import duration, is_terminal, safe
from zaqarclient.transport import errors

if TYPE_CHECKING:
    from zaqarclient.auth.signed_url import SignedURL

_PATHS: Final = ("messages", "subscriptions", "claims")
_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_COLUMNS: Final = ("Paths", "Methods", "Expires", "Signature", "Project ID", "ID")
_LONG: Final = 366 * 86400
"""A URL that is valid for longer, in seconds, is worth a line."""
_LIST_COLUMNS: Final = ("ID", "Paths", "Methods", "Created", "Expires", "Revoked")


class _SomeOf:
    """An argument type: some of these words, with commas between."""

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known

    def __call__(self, text: str) -> str:
        wrong = sorted(set(text.split(",")).difference(self.known))
        if wrong:
            raise argparse.ArgumentTypeError(
                f"{','.join(wrong)} is not one of {', '.join(self.known)}"
            )
        return text


class CreateSignedUrl(ShowOne):
    """Sign a URL that gives access to a queue without a token, for a time.

    With --output it is printed ready to be used: "url" is one line, for the
    option --signed-url; "env" the same as a variable of a shell; "https" a link that
    any HTTP client can use; "curl" a command that does. Everyone who has it may do
    what it allows: keep it like a password. Its id, by which it can be revoked, is
    shown on a terminal, and by -c ID.

    A queue named "list" or "revoke" is written behind "--".
    """

    columns = _COLUMNS
    example = """orders --methods GET,POST --ttl-seconds 10m
  eval "$(zaqar queue signed url orders --methods POST --output env)"
  curl "$(zaqar queue signed url orders --methods POST --output https)" -d hello
  zaqar queue signed url -- list"""
    arguments = (
        QUEUE,
        arg(
            "--paths",
            "What to give access to, with commas between: messages, claims, "
            "subscriptions (default: messages)",
            _SomeOf(_PATHS),
            default="messages",
        ),
        arg(
            "--ttl-seconds",
            "How long the URL is valid (default: one day)",
            whole_seconds(1),
        ),
        arg(
            "--methods",
            "HTTP methods to allow, with commas between: GET, HEAD, OPTIONS, "
            "POST, PUT, PATCH, DELETE (default: GET)",
            _SomeOf(_METHODS),
            default="GET",
        ),
        arg(
            "--output",
            "Print it ready to be used, in place of its parts",
            choices=("curl", "env", "https", "url"),
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Request a signed URL."""
        from zaqarclient.auth import signed_url  # noqa: PLC0415 - only when needed

        name = parsed_args.queue_name
        document = self.queue(name).signed_url(
            paths=parsed_args.paths.split(","),
            ttl_seconds=parsed_args.ttl_seconds,
            methods=parsed_args.methods.split(","),
        )
        signed = signed_url.SignedURL.of(self.client.api_url or "", document)
        if (parsed_args.ttl_seconds or 0) > _LONG:
            self.hint(f"The URL is valid for {duration(parsed_args.ttl_seconds)}.")
        shown = {
            "Paths": ",".join(signed.paths),
            "Methods": ",".join(signed.methods),
            "Expires": signed.expires,
            "Signature": signed.signature,
            "Project ID": signed.project,
        }
        if parsed_args.output:
            shown = {"Line": self._line(parsed_args.output, signed)}
        elif "id" in (column.strip().lower() for column in parsed_args.columns):
            return (*shown, "ID"), (*shown.values(), signed.id)
        if is_terminal(self.app.stderr):
            self.hint(f"It is valid until {signed.expires} UTC. To revoke it:")
            program = getattr(self.app, "NAME", "openstack")
            self.hint(f"{program} queue signed url revoke {name} {signed.id}")
        return tuple(shown), tuple(shown.values())

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any
    ) -> int:
        """Print the parts, or one line with ``--output``."""
        if not parsed_args.output:
            return super().produce_output(parsed_args, column_names, data)
        print(data[0], file=safe(self.app.stdout))
        return 0

    def _line(self, output: str, signed: SignedURL) -> str:
        from zaqarclient.auth import signed_url  # noqa: PLC0415 - only when needed

        if output in ("curl", "https"):
            return self._link(output, signed)
        line = signed_url.format_signed_url(signed)
        return line if output == "url" else _export(line)

    def _link(self, output: str, signed: SignedURL) -> str:
        """Return a link, or a command that uses it; else one with headers.

        Raises:
            CommandError: The endpoint is one of WebSocket, or the service has no
                such links.
        """
        if not signed.endpoint.startswith("http"):
            raise CommandError(
                f"--output {output} needs the HTTP endpoint of the service, not its "
                "WebSocket: name it with --os-queues-endpoint"
            )
        if not self._has_links():
            if output == "curl":
                return _curl(signed, self.client.client_uuid)
            raise CommandError(
                "this service has no links for any HTTP client (the feature "
                "signed_https); --output curl works with every service"
            )
        from zaqarclient.auth import signed_url  # noqa: PLC0415 - only when needed

        link = signed_url.format_link(signed)
        if output == "https":
            return link
        data = ["-d", "hello"] if "POST" in signed.methods else []
        return shlex.join(["curl", "--fail-with-body", "-sS", link, *data])

    def _has_links(self) -> bool:
        try:
            return "signed_https" in self.client.limits()["features"]
        except (errors.ResourceNotFound, errors.ForbiddenError):
            return False


class ListSignedUrls(Lister):
    """List the signed URLs of a queue that have not expired.

    Their signatures are not kept by the service, so none can be shown again.
    """

    columns = _LIST_COLUMNS
    example = "orders"
    arguments = (QUEUE, *paging("signed_url_id", "Begin after the URL of this id"))

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """List the signed URLs."""
        queue = self.queue(parsed_args.queue_name)
        columns, rows = self.listed(
            _LIST_COLUMNS,
            queue.signed_urls,
            parsed_args,
            f"There are no signed URLs of queue {queue.name}.",
        )
        return columns, [
            tuple(
                ",".join(value) if isinstance(value, list) else value for value in row
            )
            for row in rows
        ]


class RevokeSignedUrl(Command):
    """Revoke signed URLs: they are refused from now on, before they expire."""

    example = "orders SIGNED_URL_ID"
    arguments = (
        QUEUE,
        arg("signed_url_id", "IDs, as queue signed url list shows them", nargs="+"),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Revoke them, one after the other."""
        queue = self.queue(parsed_args.queue_name)
        self.for_each("signed URL", parsed_args.signed_url_id, queue.revoke_signed_url)


def _export(line: str) -> str:
    return f"export ZAQAR_SIGNED_URL={shlex.quote(line)}"


def _curl(signed: SignedURL, client_id: str) -> str:
    """Return a command that does one thing of what a signed URL allows."""
    method = "POST" if "POST" in signed.methods else signed.methods[0]
    path = signed.paths[0]
    for wanted in signed.paths:
        path = wanted if wanted.endswith("/messages") else path
    from zaqarclient.auth.signed_url import signature_headers  # noqa: PLC0415 - only when needed

    headers = {
        "Client-ID": client_id,
        "X-Project-ID": signed.project,
        **signature_headers(signed.options()),
    }
    words = ["curl", "--fail-with-body", "--silent", "--show-error", "-X", method]
    if method == "POST" and path.endswith("/messages"):
        headers["Content-Type"] = "application/json"
        words += ["-d", '{"messages": [{"body": "hello"}]}']
    for name, value in headers.items():
        words += ["-H", f"{name}: {value}"]
    return shlex.join([*words, signed.endpoint + path])
