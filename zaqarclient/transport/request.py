"""One request to the service, before any transport has seen it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from zaqarclient import auth, transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zaqarclient.transport.api import Api


_DEEPEST = 20
"""The most steps to the member that an error names."""
_ENCODER = json.JSONEncoder(allow_nan=False)


def encode(document: object) -> str:
    """Return a document as JSON.

    Raises:
        ValueError: It is not JSON; the text names the member.
    """
    try:
        return _ENCODER.encode(document)
    except (TypeError, ValueError, RecursionError) as error:
        where = _culprit(document)
        raise ValueError(f"{where} cannot be sent as JSON: {error}") from error


def _culprit(document: object) -> str:
    """Return the path of the first member that is not JSON, as ``messages[0].body``."""
    path = ""
    # A document may hold itself.
    for _ in range(_DEEPEST):
        found = next(filter(_is_not_json, _members(document)), None)
        if found is None:
            break
        path += found[0]
        document = found[1]
    return path.lstrip(".") or "this"


def _is_not_json(member: tuple[str, object]) -> bool:
    try:
        _ENCODER.encode(member[1])
    except (TypeError, ValueError, RecursionError):
        return True
    return False


def _members(document: object) -> list[tuple[str, object]]:
    if isinstance(document, dict):
        return [(f".{name}", value) for name, value in document.items()]
    if isinstance(document, list | tuple):
        return [(f"[{place}]", value) for place, value in enumerate(document)]
    return []


class Request:
    """One request, as plain attributes.

    Args:
        endpoint: The URL of the service, without the version.
        operation: The name of an operation of the API, as ``message_post``.
        ref: A path below the version's prefix, with query if wanted, in place
            of the operation's own.
        content: The body as text, None for none; it may also be set as `document`.
        params: The arguments that are not in the body. Those named in the
            path template go there, the rest is the query.
        headers: Headers to send besides the transport's own.
        api: The API, as a version number; None for a bare URL.
        verify: Whether the server's certificate is checked.
        cert: The path of the CA certificates to check against (the name is
            historical).
        session: A keystoneauth1 session, for the authentication backend.

    Attributes:
        connection: What carries the request; set by the authentication
            backend, None for the transport's own.
        is_recognized: Returns True if the service recognizes the request when it is
            sent again; None if it never does.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the contract's signature (SDK 17.2)
        self,
        endpoint: str = "",
        operation: str = "",
        ref: str = "",
        content: str | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        api: object = None,
        verify: bool = True,
        cert: str | None = None,
        session: Any = None,
    ) -> None:
        self.endpoint = endpoint
        self.operation = operation
        self.ref = ref
        self._content = content
        self._document: Any = None
        self.params: dict[str, Any] = dict(params or {})
        self.headers: dict[str, str] = dict(headers or {})
        self.verify = verify
        self.cert = cert
        self.session = session
        self.connection: Any = None
        self.is_recognized: Callable[[], bool] | None = None
        self._api_mod = api
        self._api: Api | None = None

    @property
    def content(self) -> str | None:
        """The body as text, None for none.

        Raises:
            ValueError: The document that was set is not JSON.
        """
        if self._content is None and self._document is not None:
            self._content = encode(self._document)
        return self._content

    @content.setter
    def content(self, text: str | None) -> None:
        self._content, self._document = text, None

    @property
    def document(self) -> Any:
        """The body before it is encoded as JSON, None for none."""
        if self._document is None and self._content:
            self._document = json.loads(self._content)
        return self._document

    @document.setter
    def document(self, document: Any) -> None:
        self._content, self._document = None, document

    @property
    def api(self) -> Api | None:
        """The API that the operation belongs to, None for a bare URL.

        Raises:
            ValueError: The version is not a number.
            zaqarclient.errors.DriverLoadFailure: There is no such version.
        """
        if self._api is None and self._api_mod is not None:
            version = transport.api_version(self._api_mod)
            self._api = transport.load(transport.API_GROUP, f"queues.v{version}")()
        return self._api

    def validate(self) -> bool:
        """Return whether the arguments fit the operation; True without API."""
        if self.api is None:
            return True
        members = self.document if isinstance(self.document, dict) else {}
        return self.api.validate(self.operation, {**self.params, **members})


def prepare_request(
    auth_opts: Mapping[str, Any] | None = None,
    data: object = None,
    **request_kwargs: Any,
) -> Request:
    """Make a request and authenticate it.

    Args:
        auth_opts: ``backend`` and ``options`` as in a client's ``conf``
            (contract, SDK section 5); None for no authentication at all.
        data: The body, encoded as JSON; None for none.
        **request_kwargs: The arguments of `Request`.

    Raises:
        zaqarclient.errors.ZaqarError: The credentials are not complete or not
            accepted.
    """
    request = Request(**request_kwargs)
    if auth_opts is not None:
        backend = auth.get_backend(**auth_opts)
        request = backend.authenticate(request_kwargs.get("api"), request)
    if data is not None:
        request.content = json.dumps(data)
    return request


def service_root(endpoint: str) -> str:
    """Return the URL of a service without the version that some add to it."""
    for suffix in ("/v2", "/v2.0"):
        bare = endpoint.rstrip("/")
        if bare.endswith(suffix):
            return bare.removesuffix(suffix)
    return endpoint
