"""Callers with Keystone tokens (``rest-v2`` 6.1).

``keystonemiddleware`` verifies tokens, with its own settings in
``[keystone_authtoken]``. It blocks, so it runs in a few threads; a token verdict is
cached for ``token_cache_time``, so that most requests need only a look-up.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from typing import Any

import msgspec
import webob
from keystonemiddleware.auth_token import AuthProtocol
from oslo_config import cfg

from zaqarserver.clock import Clock
from zaqarserver.common.lru import LRU
from zaqarserver.common.tasks import SingleFlight, Threads
from zaqarserver.errors import (
    Forbidden,
    IdentityUnavailable,
    SettingsError,
    Unauthorized,
    ZaqarServerError,
)
from zaqarserver.identity.auth import Headers, Identity
from zaqarserver.identity.keystone_settings import CACHE, GROUP, prepare

LOG = logging.getLogger(__name__)

#: Maximum numbers of cached verdicts, of accepted and of refused tokens: invented
#: tokens must not push the verdicts on real ones out of the cache.
MOST_VERDICTS = 10_000
#: Seconds for which a refusal is cached.
REFUSED_SECONDS = 5.0
#: Tokens that may wait for Keystone at a time.
MOST_WAITING = 256
#: Seconds that a request waits for Keystone.
PATIENCE = 10.0
#: Seconds without requests to Keystone after one that got no answer.
PAUSE = 1.0
#: Threads that send requests to Keystone.
THREADS = 4
#: Seconds that a verdict is cached here if ``memcached_servers`` cache it, too: their
#: time counts from the first server that verified the token.
MEMCACHED_SECONDS = 10.0

_TOKEN = re.compile(rb"[\x21-\x7e]{1,8192}")
_MISSING = "A token is needed: send one in the header X-Auth-Token."
_REFUSED = (
    "The token is not valid for this request: it is unknown, expired, revoked, or "
    "restricted to others."
)
_NO_PROJECT = "The token is for no project: get one that is scoped to a project."


class TokenVerdict(msgspec.Struct, frozen=True, gc=False):
    """The result of verifying a token.

    Attributes:
        identity: The caller, or ``None`` if the token is refused.
        error: The reason of a refusal, if known.
        until: When it expires from the cache, in the server's time.
        exact: True if it holds for one method and path only.
    """

    identity: Identity | None
    error: ZaqarServerError | None
    until: float
    exact: bool = False


class TokenVerdicts(LRU[bytes, TokenVerdict]):
    """An LRU cache of token verdicts."""

    def valid(self, key: bytes, now: float) -> TokenVerdict | None:
        """Return a verdict that has not expired."""
        verdict = self.use(key)
        if verdict is not None and verdict.until <= now:
            del self[key]
            return None
        return verdict


class _NoCache:
    """An empty cache for the middleware: verdicts are cached here instead."""

    def get(self, _key: str) -> None:
        """Return ``None``."""

    def set(self, _key: str, _value: bytes, **_options: object) -> None:
        """Do nothing."""


class TokenQuery(msgspec.Struct, frozen=True):
    """The input of the middleware.

    Attributes:
        token: The caller's token.
        service_token: The token of a service that acts for the caller, or ``None``.
        method: The request's method; tokens can be restricted to some requests.
        path: The request's path.
    """

    token: bytes
    service_token: bytes | None
    method: str
    path: str


class Middleware:
    """Verifies tokens with Keystone; each call blocks.

    Attributes:
        uri: The URL where callers get tokens.
        keeps: Seconds for which a verdict may be cached.

    Raises:
        SettingsError: A setting is missing or invalid; the text names it.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        overrides = prepare(conf)
        self.uri = overrides.www_authenticate_uri
        self.keeps = overrides.seconds
        if overrides.is_shared:
            self.keeps = min(self.keeps, MEMCACHED_SECONDS)
        options = {"oslo_config_config": conf, **overrides.options}
        try:
            self._app: Any = AuthProtocol(webob.Response(), options)
        except Exception as error:  # plug-ins may raise anything
            raise SettingsError(f"[{GROUP}]: {error}") from error
        self._extra = {CACHE: _NoCache()}

    def ask(self, query: TokenQuery) -> tuple[int, Any, Any]:
        """Return the status, the token's user, and the service of the service token."""
        headers = {"X-Auth-Token": query.token.decode("ascii")}
        if query.service_token is not None:
            headers["X-Service-Token"] = query.service_token.decode("ascii")
        request = webob.Request.blank(
            "/", environ=dict(self._extra), method=query.method, headers=headers
        )
        request.path_info = query.path
        status: int = request.get_response(self._app).status_int
        found = request.environ.get("keystone.token_auth")
        if status != 200 or found is None:
            return status, None, None
        return status, found.user, found.service


class KeystoneAuth:
    """Identifies callers by a valid Keystone token for a project.

    Args:
        conf: The settings.
        clock: The clock.

    Raises:
        SettingsError: A setting is missing or invalid; the text names it.
    """

    required = True

    def __init__(self, conf: cfg.ConfigOpts, clock: Clock | None = None) -> None:
        if not conf.debug:
            # It logs each refusal in five lines; ours has the request's id, too.
            logging.getLogger("keystonemiddleware").setLevel(logging.WARNING)
        self._middleware = Middleware(conf)
        self._challenge = f'Keystone uri="{self._middleware.uri}"'
        self._keeps = self._middleware.keeps
        self._clock = clock or Clock()
        self._accepted = TokenVerdicts(MOST_VERDICTS)
        self._refused = TokenVerdicts(MOST_VERDICTS)
        self._asking: SingleFlight[bytes, TokenVerdict] = SingleFlight()
        self._unavailable_until = 0.0
        self._threads = Threads("keystone", THREADS)

    async def identify(self, headers: Headers, method: str, path: str, /) -> Identity:
        """Return the identity of the token of a request.

        Raises:
            Unauthorized: The token is missing or not valid for this request.
            Forbidden: The token is not scoped to a project.
            IdentityUnavailable: Keystone does not answer.
        """
        token = headers.get(b"x-auth-token")
        if token is None:
            raise self._unauthorized(_MISSING)
        service_token = headers.get(b"x-service-token")
        key = _digest(token, service_token or b"")
        verdict = self._accepted.valid(key, self._clock.now())
        if verdict is None:
            query = self._query(token, service_token, method, path)
            verdict = await self._look_up(key, query)
        if verdict.identity is None:
            raise verdict.error or self._unauthorized(_REFUSED)
        return verdict.identity

    def _unauthorized(self, description: str) -> Unauthorized:
        return Unauthorized(description, challenge=self._challenge)

    def _query(
        self, token: bytes, service_token: bytes | None, method: str, path: str
    ) -> TokenQuery:
        """Return the query for the tokens; refuse malformed ones.

        Surrounding blanks are removed, as the middleware does.
        """
        token = token.strip()
        service_token = service_token.strip() if service_token else None
        for one in (token, service_token):
            if one is not None and _TOKEN.fullmatch(one) is None:
                raise self._unauthorized(_REFUSED)
        return TokenQuery(token, service_token, method, path)

    async def _look_up(self, key: bytes, query: TokenQuery) -> TokenVerdict:
        """Return a cached verdict for exactly this request, or verify the token.

        Concurrent requests with one token share one verification, unless its verdict
        holds for the path of the first request only.
        """
        exact = _digest(key, query.method.encode(), query.path.encode())
        while True:
            now = self._clock.now()
            for kept in (self._accepted, self._refused):
                verdict = kept.valid(exact, now)
                if verdict is not None:
                    return verdict
            if time.monotonic() < self._unavailable_until:
                raise IdentityUnavailable("Keystone did not answer a moment ago.")
            mine = key not in self._asking
            if mine and len(self._asking) >= MOST_WAITING:
                raise IdentityUnavailable("Too many tokens wait for Keystone.")
            # Begin without yielding: another request must not begin it first, since
            # the verdict may hold for that request only.
            flight = self._asking.begin(key, lambda: self._ask(key, exact, query))
            verdict = await self._wait(flight)
            if mine or not verdict.exact:
                return verdict

    async def _wait(self, flight: asyncio.Task[TokenVerdict]) -> TokenVerdict:
        try:
            return await asyncio.wait_for(asyncio.shield(flight), PATIENCE)
        except TimeoutError:
            self._unavailable_until = time.monotonic() + PAUSE
            raise IdentityUnavailable("Keystone takes too long.") from None

    async def _ask(self, key: bytes, exact: bytes, query: TokenQuery) -> TokenVerdict:
        verdict = await self._threads.run(lambda: self._verify(query))
        self._keep(key, exact, verdict)
        return verdict

    def _keep(self, key: bytes, exact: bytes, verdict: TokenVerdict) -> None:
        if isinstance(verdict.error, IdentityUnavailable):
            self._unavailable_until = time.monotonic() + PAUSE
        elif verdict.identity is None:
            self._refused[exact] = verdict
        else:
            self._accepted[exact if verdict.exact else key] = verdict

    # -- in a thread -----------------------------------------------------------

    def _verify(self, query: TokenQuery) -> TokenVerdict:
        """Call the middleware; every failure except a refusal is Keystone's."""
        if time.monotonic() < self._unavailable_until:
            return _unknown("Keystone did not answer the previous request.")
        try:
            status, user, service = self._middleware.ask(query)
        except Exception as error:  # noqa: BLE001 - any failure refuses the request
            LOG.warning("a token could not be verified: %s", type(error).__name__)
            return _unknown("Keystone cannot be reached.")
        now = self._clock.now()
        if status == 401:
            refusal = self._unauthorized(_REFUSED)
            until = now + min(REFUSED_SECONDS, self._keeps)
            return TokenVerdict(None, refusal, until, exact=True)
        if status != 200:
            return _unknown("Keystone does not answer.")
        return self._accept(query, user, service, now)

    def _accept(
        self, query: TokenQuery, user: Any, service: Any, now: float
    ) -> TokenVerdict:
        # Keystone's times are those of the system's clock, which may be set. From here
        # on they are in the server's time.
        ahead = self._clock.ahead()
        expires = user.expires.timestamp() - ahead
        if expires <= now and service is not None:
            # A service may use an expired token as long as its own token is valid.
            expires = service.expires.timestamp() - ahead
        until = min(now + self._keeps, expires)
        if not user.project_id:
            return TokenVerdict(None, Forbidden(_NO_PROJECT), until, True)
        identity = Identity(
            user.project_id,
            tuple(role.lower() for role in user.role_names),
            user.user_id or "",
            query.token.decode("ascii"),
            expires,
            until,
            user.application_credential_access_rules is not None,
        )
        return TokenVerdict(identity, None, until, identity.restricted)


def _unknown(description: str) -> TokenVerdict:
    return TokenVerdict(None, IdentityUnavailable(description), 0.0)


def _digest(*parts: bytes) -> bytes:
    """Return a short key that does not reveal the secrets in it."""
    return hashlib.sha256(b"\0".join(parts)).digest()
