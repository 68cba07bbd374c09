"""Callers with Keystone tokens (``rest-v2`` 6.1).

Tokens are checked by ``keystonemiddleware``, with its own settings in
``[keystone_authtoken]``. It blocks, so it runs in a few threads; a verdict is
kept for ``token_cache_time``, so that most requests cost a look-up.
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

#: Verdicts that are kept at most, good ones and bad ones apart: made-up
#: tokens must not push out the verdicts on real ones.
MOST_VERDICTS = 10_000
#: Seconds for which a refused token is not asked about again.
REFUSED_SECONDS = 5.0
#: Tokens that may wait for Keystone at the same time.
MOST_WAITING = 256
#: Seconds that a request waits for Keystone.
PATIENCE = 10.0
#: Seconds before a Keystone that did not answer is asked again.
PAUSE = 1.0
#: Threads that ask Keystone at the same time.
THREADS = 4
#: Seconds that a verdict is kept here if ``memcached_servers`` keep it too: what
#: they keep counts from the first server that asked.
BESIDE_MEMCACHED = 10.0

_TOKEN = re.compile(rb"[\x21-\x7e]{1,8192}")
_MISSING = "A token is needed: send one in the header X-Auth-Token."
_REFUSED = (
    "The token is not valid for this request: it is unknown, expired, revoked, or "
    "restricted to others."
)
_NO_PROJECT = "The token is for no project: get one that is scoped to a project."


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What came out about a token.

    Attributes:
        identity: Whose it is, or ``None``.
        error: Why it is refused, if it is.
        until: When it has to be asked about again, by the server's time.
        exact: Whether it holds for one method and path only.
    """

    identity: Identity | None
    error: ZaqarServerError | None
    until: float
    exact: bool = False


class Verdicts(LRU[bytes, Verdict]):
    """An LRU cache of token verdicts."""

    def valid(self, key: bytes, now: float) -> Verdict | None:
        """Return a verdict that still holds."""
        verdict = self.use(key)
        if verdict is not None and verdict.until <= now:
            del self[key]
            return None
        return verdict


class _Forgetful:
    """A cache that keeps nothing, for the middleware: verdicts are kept here."""

    def get(self, _key: str) -> None:
        """Know nothing."""

    def set(self, _key: str, _value: bytes, **_options: object) -> None:
        """Keep nothing."""


class Asked(msgspec.Struct, frozen=True):
    """What the middleware is asked about.

    Attributes:
        token: The caller's token.
        service_token: The token of a service that asks for the caller, or ``None``.
        method: The request's method; tokens can be restricted to some requests.
        path: The request's path.
    """

    token: bytes
    service_token: bytes | None
    method: str
    path: str


class Middleware:
    """Asks Keystone about tokens; each call blocks.

    Attributes:
        uri: Where callers get tokens.
        keeps: Seconds for which a verdict holds.

    Raises:
        SettingsError: A setting is missing or wrong; the text names it.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        overrides = prepare(conf)
        self.uri = overrides.www_authenticate_uri
        self.keeps = overrides.seconds
        if overrides.is_shared:
            self.keeps = min(self.keeps, BESIDE_MEMCACHED)
        options = {"oslo_config_config": conf, **overrides.options}
        try:
            self._app: Any = AuthProtocol(webob.Response(), options)
        except Exception as error:  # plug-ins raise what they like
            raise SettingsError(f"[{GROUP}]: {error}") from error
        self._extra = {CACHE: _Forgetful()}

    def ask(self, asked: Asked) -> tuple[int, Any, Any]:
        """Return the status, who has the token, and which service asks for it."""
        headers = {"X-Auth-Token": asked.token.decode("ascii")}
        if asked.service_token is not None:
            headers["X-Service-Token"] = asked.service_token.decode("ascii")
        request = webob.Request.blank(
            "/", environ=dict(self._extra), method=asked.method, headers=headers
        )
        request.path_info = asked.path
        status: int = request.get_response(self._app).status_int
        found = request.environ.get("keystone.token_auth")
        if status != 200 or found is None:
            return status, None, None
        return status, found.user, found.service


class KeystoneAuth:
    """Lets in whoever has a valid token for a project.

    Args:
        conf: The settings.
        clock: The time.

    Raises:
        SettingsError: A setting is missing or wrong; the text names it.
    """

    required = True

    def __init__(self, conf: cfg.ConfigOpts, clock: Clock | None = None) -> None:
        if not conf.debug:
            # It tells each refusal in five lines; ours has the request's id, too.
            logging.getLogger("keystonemiddleware").setLevel(logging.WARNING)
        self._middleware = Middleware(conf)
        self._challenge = f'Keystone uri="{self._middleware.uri}"'
        self._keeps = self._middleware.keeps
        self._clock = clock or Clock()
        self._good = Verdicts(MOST_VERDICTS)
        self._bad = Verdicts(MOST_VERDICTS)
        self._asking: SingleFlight[bytes, Verdict] = SingleFlight()
        self._silent_until = 0.0
        self._threads = Threads("keystone", THREADS)

    async def identify(self, headers: Headers, method: str, path: str, /) -> Identity:
        """Return the identity behind the token of a request.

        Raises:
            Unauthorized: There is none, or none that is valid for this request.
            Forbidden: It is for no project.
            IdentityUnavailable: Keystone does not answer.
        """
        token = headers.get(b"x-auth-token")
        if token is None:
            raise self._unauthorized(_MISSING)
        service_token = headers.get(b"x-service-token")
        key = _digest(token, service_token or b"")
        verdict = self._good.valid(key, self._clock.now())
        if verdict is None:
            asked = self._asked(token, service_token, method, path)
            verdict = await self._find_out(key, asked)
        if verdict.identity is None:
            raise verdict.error or self._unauthorized(_REFUSED)
        return verdict.identity

    def _unauthorized(self, description: str) -> Unauthorized:
        return Unauthorized(description, challenge=self._challenge)

    def _asked(
        self, token: bytes, service_token: bytes | None, method: str, path: str
    ) -> Asked:
        """Return what to ask, of tokens that can be any.

        Surrounding blanks do not count, as the middleware has it.
        """
        token = token.strip()
        service_token = service_token.strip() if service_token else None
        for one in (token, service_token):
            if one is not None and _TOKEN.fullmatch(one) is None:
                raise self._unauthorized(_REFUSED)
        return Asked(token, service_token, method, path)

    async def _find_out(self, key: bytes, asked: Asked) -> Verdict:
        """Return a verdict that is kept for this very request, or ask for one.

        Of several requests with one token only the first asks; the others take
        what it was told, unless that holds for the first one's path only.
        """
        exact = _digest(key, asked.method.encode(), asked.path.encode())
        while True:
            now = self._clock.now()
            for kept in (self._good, self._bad):
                verdict = kept.valid(exact, now)
                if verdict is not None:
                    return verdict
            if time.monotonic() < self._silent_until:
                raise IdentityUnavailable("Keystone did not answer a moment ago.")
            mine = key not in self._asking
            if mine and len(self._asking) >= MOST_WAITING:
                raise IdentityUnavailable("Too many tokens wait for Keystone.")
            # Begun before anything else runs: the next one must not take it for its
            # own, since the verdict may hold for this request only.
            flight = self._asking.begin(key, lambda: self._ask(key, exact, asked))
            verdict = await self._wait(flight)
            if mine or not verdict.exact:
                return verdict

    async def _wait(self, flight: asyncio.Task[Verdict]) -> Verdict:
        try:
            return await asyncio.wait_for(asyncio.shield(flight), PATIENCE)
        except TimeoutError:
            self._silent_until = time.monotonic() + PAUSE
            raise IdentityUnavailable("Keystone takes too long.") from None

    async def _ask(self, key: bytes, exact: bytes, asked: Asked) -> Verdict:
        verdict = await self._threads.run(lambda: self._judge(asked))
        self._keep(key, exact, verdict)
        return verdict

    def _keep(self, key: bytes, exact: bytes, verdict: Verdict) -> None:
        if isinstance(verdict.error, IdentityUnavailable):
            self._silent_until = time.monotonic() + PAUSE
        elif verdict.identity is None:
            self._bad[exact] = verdict
        else:
            self._good[exact if verdict.exact else key] = verdict

    # -- in a thread -----------------------------------------------------------

    def _judge(self, asked: Asked) -> Verdict:
        """Ask the middleware; every failure but a refusal is Keystone's."""
        if time.monotonic() < self._silent_until:
            return _unknown("Keystone did not answer the one before.")
        try:
            status, user, service = self._middleware.ask(asked)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody gets in
            LOG.warning("a token could not be checked: %s", type(error).__name__)
            return _unknown("Keystone cannot be asked.")
        now = self._clock.now()
        if status == 401:
            refusal = self._unauthorized(_REFUSED)
            until = now + min(REFUSED_SECONDS, self._keeps)
            return Verdict(None, refusal, until, exact=True)
        if status != 200:
            return _unknown("Keystone does not answer.")
        return self._welcome(asked, user, service, now)

    def _welcome(self, asked: Asked, user: Any, service: Any, now: float) -> Verdict:
        # Keystone names moments of the system's clock; from here on it is a time that
        # passes, whatever becomes of that clock.
        ahead = self._clock.ahead()
        expires = user.expires.timestamp() - ahead
        if expires <= now and service is not None:
            # An expired token that a service may still use, as long as its own lives.
            expires = service.expires.timestamp() - ahead
        until = min(now + self._keeps, expires)
        if not user.project_id:
            return Verdict(None, Forbidden(_NO_PROJECT), until, True)
        identity = Identity(
            user.project_id,
            tuple(role.lower() for role in user.role_names),
            user.user_id or "",
            asked.token.decode("ascii"),
            expires,
            until,
            user.application_credential_access_rules is not None,
        )
        return Verdict(identity, None, until, identity.restricted)


def _unknown(description: str) -> Verdict:
    return Verdict(None, IdentityUnavailable(description), 0.0)


def _digest(*parts: bytes) -> bytes:
    """Return a short key that does not show the secrets it is made of."""
    return hashlib.sha256(b"\0".join(parts)).digest()
