"""The HTTP transport (contract, SDK section 17.4)."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from zaqarclient.common import http
from zaqarclient.errors import InvalidOperation
from zaqarclient.transport import base, errors, retry
from zaqarclient.transport.api import Retry
from zaqarclient.transport.request import service_root
from zaqarclient.transport.response import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.transport.api import Api
    from zaqarclient.transport.request import Request

_LOG = logging.getLogger(__name__)

_REQUEST_ID = "X-OpenStack-Request-ID"

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class _Target(NamedTuple):
    method: str
    url: str
    params: Any
    rule: Retry


class HttpTransport(base.Transport):
    """Sends requests over HTTP.

    Requests that an authentication backend prepared go over that backend's
    connection, others over the transport's own.

    Args:
        options: The configuration of the client; ``timeout``,
            ``retries`` and ``max_retry_after`` are read.

    Attributes:
        client: What sends the requests, over their own connection if they have
            one.
        sleep: Waits some seconds between two attempts.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        timeout = self.options.get("timeout")
        self.client = http.Client(float(timeout or http.DEFAULT_TIMEOUT))
        self.sleep = time.sleep
        self._retry_policy = retry.RetryPolicy.of(self.options)

    def send(self, request: Request) -> Response:
        """Send a request and wait for its answer, again where that is safe.

        Raises:
            zaqarclient.transport.errors.TransportError: The status was 400 or
                more, or no usable answer came.
        """
        target = _target(request)
        return retry.send_with_retries(
            lambda: self._send_once(request, target),
            target.rule,
            self._retry_policy,
            self.sleep,
            request.is_recognized,
        )

    def close(self) -> None:
        """Close the transport's own connections."""
        self.client.close()

    def _send_once(self, request: Request, target: _Target) -> Response:
        headers = dict(request.headers)
        if not any(name.lower() == "content-type" for name in headers):
            headers["content-type"] = "application/json"
        headers = {name: _encoded(name, text) for name, text in headers.items()}
        # One way for all of them: callers' tests put their own in its place.
        own = {} if request.connection is None else {"connection": request.connection}
        reply = self.client.request(
            target.method,
            url=target.url,
            params=target.params,
            headers=headers,
            data=request.content,
            verify=request.cert or True if request.verify else False,
            **own,
        )
        if getattr(reply, "encoding", "") is None:
            reply.encoding = "utf-8"
        response = Response(request, reply.text, reply.headers, reply.status_code)
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug(
                "%s %s -> %s %s",
                target.method,
                target.url,
                response.status_code,
                response.header(_REQUEST_ID) or "without request id",
            )
        _raise_for_status(response)
        return response


def _encoded(name: str, text: str) -> str:
    """Return the text of a header so that what is sent is its UTF-8.

    Raises:
        ValueError: A header cannot have such text; the header is named.
    """
    if _CONTROL.search(text):
        raise ValueError(f"the header {name} cannot be {text!r}: it is one line")
    # The library sends Latin-1. What is not UTF-8 on a command line reaches the
    # service as it was given.
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _target(request: Request) -> _Target:
    """Return where a request goes."""
    api = request.api
    if api is None:
        return _Target("GET", request.endpoint, request.params, Retry.SAFE)
    if request.operation:
        known = api.get_schema(request.operation)
        method, template = known["method"], known["ref"]
        rule = api.retry(request.operation, request.params)
    else:
        method, template, rule = "GET", "", Retry.SAFE
    path, query = _expand(request.ref or template, request.params)
    return _Target(method, _join(request.endpoint, api, path), query, rule)


def _expand(template: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the path, and the arguments that are not in it.

    Raises:
        zaqarclient.errors.InvalidOperation: An argument of the path is missing.
        ValueError: An argument cannot be a part of a path.
    """
    query = dict(params)

    def segment(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in params:
            raise InvalidOperation(f"the path {template} needs the argument {name}")
        query.pop(name, None)
        value = params[name]
        several = isinstance(value, list | tuple | set | frozenset)
        text = ",".join(quote(str(v), safe="") for v in (value if several else [value]))
        if text in {"", ".", ".."}:
            # Such a segment would make it the path of something else.
            raise ValueError(f"{value!r} cannot be a {name}")
        return text

    return _PLACEHOLDER.sub(segment, template), query


def _join(endpoint: str, api: Api, path: str) -> str:
    path = path.lstrip("/")
    path = path.removeprefix(f"{api.label}/")
    return f"{service_root(endpoint).rstrip('/')}/{api.label}/{path}"


def _raise_for_status(response: Response) -> None:
    status = response.status_code
    error = None if status is None else errors.error_class(status)
    if error is None:
        return
    title, description, text = _explanation(response)
    if error is errors.UnexpectedAnswer:
        target = response.header("Location")
        title = f"HTTP {status}" + (f" to {target}" if target else "")
    raise error(
        title,
        description,
        text,
        status=status,
        request_id=response.header(_REQUEST_ID),
        retry_after=retry.seconds_of(response.header("Retry-After")),
    )


def _explanation(response: Response) -> tuple[str | None, str | None, str | None]:
    """Return title, description and raw text of an error answer (REST 1.8)."""
    try:
        document = json.loads(response.content or "")
    except ValueError:
        return None, None, response.content or None
    if isinstance(document, dict):
        # The authentication layer wraps its own, with other names.
        if isinstance(inner := document.get("error"), dict):
            document = {**inner, "description": inner.get("message")}
        title, description = document.get("title"), document.get("description")
        if isinstance(title, str):
            return title, description if isinstance(description, str) else None, None
    return None, None, response.content
