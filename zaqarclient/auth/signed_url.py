"""Access with a pre-signed URL in place of a token (contract, REST 2.8).

What `Queue.signed_url` returns may be written as one line, which a person can
paste and a program can read from a variable::

    zaqar+https://HOST:PORT/v2/queues/QUEUE?project=…&paths=messages
        &methods=GET,POST&expires=2031-03-03T09:00:00&signature=…

It has where the service is, what may be done there and until when, and the
signature: everyone who knows the line may do that. After ``zaqar+`` comes any
scheme of the service, also ``wss``; the part before ``/v2/`` in its path
belongs to the endpoint. ``paths`` are named below the queue.

The same as a link, which any HTTP client can use where the service has the feature
``signed_https``::

    https://HOST:PORT/v2/queues/QUEUE/messages?project=…&methods=POST
        &paths=%2Fv2%2Fqueues%2FQUEUE%2Fmessages&expires=…&signature=…
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from zaqarclient import errors
from zaqarclient.auth import base

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.transport.request import Request

_PREFIX = "zaqar+"
_SCHEMES = ("https", "http", "wss", "ws")
_QUEUES = "/v2/queues/"
_MEMBERS = ("project", "paths", "methods", "expires", "signature")
_HEADERS = {
    "paths": "URL-Paths",
    "methods": "URL-Methods",
    "expires": "URL-Expires",
    "signature": "URL-Signature",
}
_EXAMPLE = (
    "zaqar+https://HOST:PORT/v2/queues/QUEUE?project=…&paths=messages"
    "&methods=GET&expires=2031-03-03T09:00:00&signature=…"
)
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")


@dataclasses.dataclass(frozen=True)
class SignedURL:
    """Everything needed to use a queue without a token.

    Attributes:
        endpoint: The URL of the service, without the version.
        project: The project of the queue.
        queue: The queue.
        paths: What may be used, as ``/v2/queues/QUEUE/messages``.
        methods: The HTTP methods that may be used.
        expires: When it ends, ISO 8601 in UTC without a zone, as it was signed.
        signature: Proves the rest; a secret, and not shown by ``repr``.
    """

    endpoint: str
    project: str
    queue: str
    paths: tuple[str, ...]
    methods: tuple[str, ...]
    expires: str
    signature: str = dataclasses.field(repr=False)

    @classmethod
    def of(cls, endpoint: str | None, document: Mapping[str, Any]) -> SignedURL:
        """Return what `Queue.signed_url` returned, with where to use it.

        Args:
            endpoint: The URL of the service, as `Client.api_url`.
            document: ``paths``, ``methods``, ``project``, ``expires`` and
                ``signature``; more members do not count.

        Raises:
            ValueError: One of them or the URL is missing, or the paths are not those
                of one queue.
        """
        if endpoint is None:
            raise ValueError("a signed URL needs the URL of the service")
        missing = [name for name in _MEMBERS if not document.get(name)]
        if missing:
            raise ValueError(f"a signed URL needs also: {', '.join(missing)}")
        paths = tuple(str(path) for path in document["paths"])
        queues = {_queue_of(path) for path in paths}
        if len(queues) != 1:
            raise ValueError("the paths of a signed URL must be of one queue")
        return cls(
            endpoint=endpoint.rstrip("/").removesuffix("/v2"),
            project=str(document["project"]),
            queue=queues.pop(),
            paths=paths,
            methods=tuple(str(method) for method in document["methods"]),
            expires=str(document["expires"]),
            signature=str(document["signature"]),
        )

    @property
    def id(self) -> str:
        """The id under which it is listed and revoked; not a secret."""
        return hashlib.sha256(self.signature.encode()).hexdigest()[:32]

    @property
    def ends(self) -> dt.datetime:
        """When it ends.

        Raises:
            ValueError: ``expires`` is not a time.
        """
        moment = dt.datetime.fromisoformat(self.expires)
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment

    def options(self) -> dict[str, Any]:
        """Return the options of the backend ``signed-url``."""
        return {
            "paths": list(self.paths),
            "methods": list(self.methods),
            "expires": self.expires,
            "signature": self.signature,
            "os_project_id": self.project,
        }


def signature_headers(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that present a signature, from the options of the backend."""
    given = {header: options[name] for name, header in _HEADERS.items()}
    return {
        header: ",".join(value) if isinstance(value, list) else str(value)
        for header, value in given.items()
    }


def is_signed_url(text: str | None) -> bool:
    """Return whether a text is meant as a signed URL, right or wrong."""
    text = (text or "").lstrip()
    target, _, query = text.partition("?")
    is_link = _QUEUES in target and "signature=" in query
    return text.lower().startswith(_PREFIX) or is_link


def format_signed_url(signed: SignedURL) -> str:
    """Return a signed URL as one line; `parse_signed_url` reads it.

    Raises:
        ValueError: The endpoint is not the URL of a service, or the paths are
            not those of the queue.
    """
    endpoint = urlsplit(signed.endpoint)
    if endpoint.scheme not in _SCHEMES or not endpoint.netloc:
        raise ValueError(f"{signed.endpoint!r} is not the URL of a messaging service")
    root = f"{_QUEUES}{signed.queue}/"
    if not all(path.startswith(root) for path in signed.paths):
        raise ValueError(f"the paths of a signed URL of {signed.queue} begin with it")
    members = {
        "project": signed.project,
        "paths": ",".join(path.removeprefix(root) for path in signed.paths),
        "methods": ",".join(signed.methods),
        "expires": signed.expires,
        "signature": signed.signature,
    }
    query = urlencode(members, quote_via=quote, safe=",:")
    queue = quote(signed.queue, safe="")
    return f"{_PREFIX}{signed.endpoint.rstrip('/')}{_QUEUES}{queue}?{query}"


def format_link(signed: SignedURL) -> str:
    """Return a signed URL as a link for any HTTP client; `parse_signed_url` reads it.

    It is that of the messages, or of the first path that was signed.

    Raises:
        ValueError: The endpoint is that of a WebSocket.
    """
    if not signed.endpoint.startswith(("http://", "https://")):
        raise ValueError(f"{signed.endpoint!r} is not the HTTP endpoint of a service")
    messages = f"{_QUEUES}{signed.queue}/messages"
    path = messages if messages in signed.paths else signed.paths[0]
    members = {
        "project": signed.project,
        "methods": ",".join(signed.methods),
        "paths": ",".join(signed.paths),
        "expires": signed.expires,
        "signature": signed.signature,
    }
    query = urlencode(members, quote_via=quote, safe=",:")
    return f"{signed.endpoint}{quote(path)}?{query}"


def parse_signed_url(text: str) -> SignedURL:
    """Return what a signed URL in one line says.

    Args:
        text: As `format_signed_url` or `format_link` writes it; blanks and line
            ends around it do not count.

    Raises:
        ValueError: A part is missing, twice there or of the wrong form; the
            text names the part, but never the signature.
    """
    parts = _split(text)
    is_link = not parts.scheme.startswith(_PREFIX)
    prefix, found, queue = parts.path.rpartition(_QUEUES)
    queue = unquote(queue.partition("/")[0] if is_link else queue.removesuffix("/"))
    if not found or not queue or "/" in queue:
        raise ValueError(f"a signed URL names one queue, as in {_EXAMPLE}")
    members = _members(parts.query)
    root = "" if is_link else f"{_QUEUES}{queue}/"
    scheme = parts.scheme.removeprefix(_PREFIX)
    document: dict[str, Any] = {
        **members,
        "paths": [root + path for path in members["paths"].split(",")],
        "methods": members["methods"].split(","),
    }
    signed = SignedURL.of(f"{scheme}://{parts.netloc}{prefix}", document)
    try:
        _ = signed.ends
    except ValueError:
        raise ValueError(
            "expires of a signed URL must be a moment as 2031-03-03T09:00:00, "
            f"not {signed.expires!r}"
        ) from None
    return signed


def _split(text: str) -> SplitResult:
    text = text.strip()
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname)
        _ = parts.port
    except ValueError:
        raise ValueError(f"a signed URL has a host and port as in {_EXAMPLE}") from None
    known = (*(f"{_PREFIX}{one}" for one in _SCHEMES), "https", "http")
    if parts.scheme not in known:
        raise ValueError(f"a signed URL begins with one of {', '.join(known)}")
    if not named or parts.fragment:
        raise ValueError(f"a signed URL has a host and no #, as in {_EXAMPLE}")
    if re.search(r"[^\x21-\x7e]", text):
        raise ValueError("a signed URL has no blanks and only ASCII characters")
    return parts


def _members(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    members = dict(pairs)
    missing = [name for name in _MEMBERS if not members.get(name)]
    if missing:
        raise ValueError(
            f"the signed URL lacks {', '.join(missing)}; was it cut short, or "
            f"not quoted in a shell? It looks like {_EXAMPLE}"
        )
    twice = [name for name in _MEMBERS if sum(name == one for one, _ in pairs) > 1]
    if twice:
        raise ValueError(f"the signed URL has {', '.join(twice)} more than once")
    # All of them become headers.
    odd = [name for name in _MEMBERS if not _HEADER_SAFE.fullmatch(members[name])]
    if odd:
        raise ValueError(f"{', '.join(odd)} of the signed URL has odd characters")
    return members


def _queue_of(path: str) -> str:
    queue, slash, below = path.removeprefix(_QUEUES).partition("/")
    if not path.startswith(_QUEUES) or not (queue and slash and below):
        raise ValueError(
            f"a path of a signed URL is as {_QUEUES}QUEUE/messages, not {path!r}"
        )
    return queue


class SignedURLAuth(base.AuthBackend):
    """Presents a signature that `Queue.signed_url` made.

    Options: ``paths``, ``methods``, ``expires``, ``signature`` as the service
    gave them, and ``os_project_id`` or ``project_id``.
    """

    sends_token = False

    def authenticate(self, api_version: object, request: Request) -> Request:
        """Add the signature headers.

        Raises:
            zaqarclient.errors.ZaqarError: A part of the signature is missing.
        """
        missing = [name for name in _HEADERS if not self.conf.get(name)]
        if missing:
            raise errors.ZaqarError(
                "a signed URL needs the options " + ", ".join(missing)
            )
        request.headers |= signature_headers(self.conf)
        # The project is part of what was signed.
        request.headers["X-Project-Id"] = self.project_id() or ""
        if base.uses_http(request):
            self.connect(request, request.session)
        return request
