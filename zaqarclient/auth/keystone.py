"""Authentication with a token of the identity service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from zaqarclient import errors
from zaqarclient.auth import base

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.transport.request import Request


_WEBSOCKET_TYPE = "messaging-websocket"

_USER = ("username", "user_id", "user_domain_id", "user_domain_name")
"""The options that name a user to the identity service."""

_SCOPE = (
    "project_id",
    "project_name",
    "project_domain_id",
    "project_domain_name",
    "domain_id",
    "domain_name",
    "system_scope",
    "trust_id",
)
"""The options that name what a token is for."""

_CREDENTIALS = (
    "auth_url",
    "password",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
    *_USER,
    *_SCOPE,
)


class KeystoneAuth(base.AuthBackend):
    """Sends a token: a given one, the session's, or one for a password.

    Options, each also with the prefix ``os_`` (contract, SDK section 5):
    ``auth_token``; ``auth_url``, ``username`` or ``user_id``, ``password``,
    ``user_domain_id`` or ``user_domain_name``; ``application_credential_id``
    or ``application_credential_name``, ``application_credential_secret``;
    ``project_id`` or ``project_name``, ``project_domain_id`` or
    ``project_domain_name``, or another scope; ``auth_type`` with the options
    of that plugin of keystoneauth1; ``region_name``, ``service_type``,
    ``endpoint_type``; ``insecure``, ``cacert``, ``cert``, ``key``.

    A token together with the URL of the service needs no identity service.
    Whatever is missing comes from the session. Without a session one is made
    from the options; it fetches a token once and again only when the old one
    is about to expire or was refused.
    """

    def __init__(self, conf: Mapping[str, Any]) -> None:
        super().__init__(conf)
        self._session: Any = None
        self._endpoints: dict[str, str] = {}
        self._endpoints_of: Any = None

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        super().close()
        if self._session is not None:
            self._session.session.close()

    def locates(self, session: Any) -> bool:
        """Return whether the endpoint can be found without being given."""
        return session is not None or self.option("auth_url", "auth_type") is not None

    def authenticate(self, api_version: object, request: Request) -> Request:
        """Add the token, the project and, if missing, the endpoint.

        Raises:
            zaqarclient.errors.EndpointNotFound: Neither the options nor the
                session say where the identity service or the endpoint is.
            zaqarclient.errors.AuthenticationFailed: There is no token for
                these credentials.
        """
        token = self._given_token()
        if token is None or not request.endpoint:
            token = self._ask_identity(request, token)
        elif base.uses_http(request):
            self.connect(request, request.session)
        if token:
            request.headers["X-Auth-Token"] = str(token)
        project = self.project_id() or self._project_of_token(request)
        if project:
            request.headers["X-Project-Id"] = project
        request.verify = not base.is_true(self.option("insecure"))
        request.cert = self.option("cacert")
        return request

    def websocket_endpoint(self, session: Any) -> str | None:
        """Return where the catalog has the service's WebSocket, or None."""
        if not self.locates(session):
            return None
        from zaqarclient.auth import session as ks  # noqa: PLC0415 - heavy

        session = self._own_session() if session is None else session
        try:
            with ks.typed_errors():
                return self._known_endpoint(session, _WEBSOCKET_TYPE)
        except errors.EndpointNotFound:
            return None

    def renew(self, session: Any) -> None:
        """Make the session fetch a new token, unless a given one is sent."""
        session = self._session if session is None else session
        traded = session is self._session
        if session is not None and (traded or self._given_token() is None):
            session.invalidate()

    def _project_of_token(self, request: Request) -> str | None:
        """Return the project that frames have to name, which HTTP need not."""
        session = self._session if request.session is None else request.session
        if base.uses_http(request) or session is None:
            return None
        from zaqarclient.auth import session as ks  # noqa: PLC0415 - heavy

        with ks.typed_errors():
            return cast("str | None", session.get_project_id())

    def _ask_identity(self, request: Request, token: object) -> object:
        """Fill in what only a session knows, and return the token to send."""
        from zaqarclient.auth import session as ks  # noqa: PLC0415 - heavy

        session = request.session
        if session is None:
            # It trades a given token for one of its own.
            session, token = self._own_session(), None
        with ks.typed_errors():
            found = session.get_token() if token is None else token
            if not request.endpoint:
                service_type = self.option("service_type") or "messaging"
                request.endpoint = self._known_endpoint(session, service_type)
            proven = found or (
                # Some plugins authenticate in other ways than by a token.
                base.uses_http(request) and session.get_auth_headers()
            )
        if not proven:
            raise errors.AuthenticationFailed("the session gives no token")
        if base.uses_http(request):
            self.connect(request, session, authenticated=token is None)
        return cast("object", found)

    def _own_session(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = self._get_keystone_session(**self._credentials())
            return self._session

    def _known_endpoint(self, session: Any, service_type: str) -> str:
        with self._lock:
            if self._endpoints_of is not session:
                self._endpoints, self._endpoints_of = {}, session
            if service_type not in self._endpoints:
                self._endpoints[service_type] = self._get_endpoint(
                    session,
                    service_type=service_type,
                    interface=self.option("endpoint_type", "interface") or "publicURL",
                    region_name=self.option("region_name"),
                )
            return self._endpoints[service_type]

    def _credentials(self) -> dict[str, Any]:
        credentials = {name: self.option(name) for name in _CREDENTIALS}
        credentials["token"] = self._given_token()
        return credentials

    def _given_token(self) -> Any:
        return self.option("auth_token", "token")

    def _get_keystone_session(self, **kwargs: Any) -> Any:
        """Return a new session for these credentials; nothing is sent.

        Raises:
            zaqarclient.errors.EndpointNotFound: There is no ``auth_url``.
        """
        if not (kwargs.get("auth_url") or self.option("auth_type")):
            raise errors.EndpointNotFound(
                "the Keystone endpoint cannot be determined: give a session, "
                "the option auth_url, or both auth_token and the service's URL; for "
                "a service without authentication give its URL and project="
            )
        from zaqarclient.auth import session as ks  # noqa: PLC0415 - heavy

        auth_type = self.option("auth_type")
        if auth_type is None:
            user = {name: kwargs.get(name) for name in _USER}
            scope = {name: kwargs.get(name) for name in _SCOPE}
            plugin = ks.identity_plugin(kwargs, user, scope)
        else:
            plugin = ks.named_plugin(str(auth_type), self.option)
        return ks.open_session(
            plugin,
            self.connection_options,
            self.verification(),
            self.client_certificate(),
        )

    def _get_endpoint(self, ks_session: Any, **kwargs: Any) -> str:
        """Return the endpoint of the messaging service from the catalog.

        Raises:
            zaqarclient.errors.EndpointNotFound: The catalog has none.
        """
        endpoint = ks_session.get_endpoint(**kwargs)
        if not endpoint:
            region = kwargs.get("region_name")
            raise errors.EndpointNotFound(
                f"the catalog has no {kwargs.get('interface')} endpoint of "
                f"{kwargs.get('service_type')}"
                + (f" in region {region}" if region else "")
            )
        return cast("str", endpoint)
