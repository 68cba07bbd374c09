"""What a server makes of tokens: asked about once, kept for a while, never guessed."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from keystone_service import Keystone
from zaqarserver import config
from zaqarserver.clock import Clock
from zaqarserver.errors import Forbidden, IdentityUnavailable, Unauthorized
from zaqarserver.identity.auth import Identity
from zaqarserver.identity.keystone import KeystoneAuth


class Asker:
    """An authenticator with a clock that tests move.

    Attributes:
        now: Its clock.
        wall_ahead: Seconds by which the system's clock is ahead of it.
        asked: How often Keystone was asked.
    """

    def __init__(self, options: str, directory: Path) -> None:
        path = directory / "zaqarserver.conf"
        path.write_text(f"[DEFAULT]\n{options}")
        self.now = time.time()
        self.wall_ahead = 0
        self.auth = KeystoneAuth(
            config.load(["--config-file", str(path)]),
            clock=Clock(lambda: self.now + self.wall_ahead, self._time),
        )
        self.asked = 0
        self._ask = self.auth._middleware.ask
        self.auth._middleware.ask = self._count  # type: ignore[method-assign]
        self._runner = asyncio.Runner()

    def _time(self) -> float:
        return self.now

    def _count(self, asked: Any) -> Any:
        self.asked += 1
        return self._ask(asked)

    def close(self) -> None:
        self._runner.close()

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    async def identify(
        self,
        token: str | None,
        request: tuple[str, str] = ("GET", "/v2/queues"),
        **headers: str,
    ) -> Identity:
        sent = {
            name.replace("_", "-").encode(): value.encode()
            for name, value in headers.items()
        }
        if token is not None:
            sent[b"x-auth-token"] = token.encode()
        return await self.auth.identify(sent, *request)

    def __call__(self, token: str | None, *request: Any, **headers: str) -> Identity:
        found: Identity = self.run(self.identify(token, *request, **headers))
        return found

    def refuses(self, token: str | None, *request: Any, **headers: str) -> bool:
        with pytest.raises(Unauthorized) as refused:
            self(token, *request, **headers)
        assert refused.value.challenge.startswith('Keystone uri="http://127.0.0.1:')
        return True


@pytest.fixture
def make(keystone: Keystone, tmp_path: Path) -> Iterator[Callable[..., Asker]]:
    made: list[Asker] = []

    def build(more: str = "", **replaced: str) -> Asker:
        options, head, trustee = keystone.server_options().partition("[trustee]\n")
        for old, new in replaced.items():
            options = options.replace(getattr(keystone, old), new)
        made.append(Asker(f"{options}{more}\n{head}{trustee}", tmp_path))
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def ask(make: Callable[..., Asker]) -> Asker:
    return make()


def test_a_token_says_who_and_where_and_with_which_roles(
    keystone: Keystone, ask: Asker
) -> None:
    token = keystone.token("alice")
    found = ask(token, x_project_id=keystone.ids["beta"], x_roles="admin")
    assert found.project == keystone.ids["alpha"]
    assert found.user_id == keystone.ids["alice"]
    assert {"member", "reader"} >= set(found.roles) >= {"member"}
    assert found.token == token
    assert found.expires is not None
    assert 3000 < found.expires - time.time() <= 3600


def test_keystone_is_asked_once_while_a_verdict_holds(
    keystone: Keystone, make: Callable[..., Asker]
) -> None:
    ask = make("token_cache_time = 300")
    token = keystone.token()
    for path in ("/v2/queues", "/v2/ping", "/v2/queues/a"):
        ask(token, ("GET", path))
    assert ask.asked == 1
    ask.now += 299
    ask(token)
    assert ask.asked == 1
    ask.now += 1
    ask(token)
    assert ask.asked == 2


def test_many_requests_with_a_new_token_ask_once(
    keystone: Keystone, ask: Asker
) -> None:
    token = keystone.token()

    async def crowd() -> list[Identity]:
        return await asyncio.gather(*(ask.identify(token) for _ in range(50)))

    assert {one.user_id for one in ask.run(crowd())} == {keystone.ids["alice"]}
    assert ask.asked == 1


def test_without_a_cache_each_request_asks(
    keystone: Keystone, make: Callable[..., Asker]
) -> None:
    ask = make("token_cache_time = -1")
    token = keystone.token()
    ask(token)
    ask(token)
    assert ask.asked == 2
    keystone.revoke(token)
    assert ask.refuses(token)


def test_a_revoked_token_is_missed_when_its_verdict_ends(
    keystone: Keystone, make: Callable[..., Asker]
) -> None:
    ask = make("token_cache_time = 60")
    token = keystone.token()
    found = ask(token)
    assert found.recheck == ask.now + 60
    keystone.revoke(token)
    ask(token)
    ask.now += 60
    assert ask.refuses(token)


@pytest.mark.parametrize("step", [86400, -86400])
def test_a_system_clock_that_is_set_neither_ends_a_verdict_nor_prolongs_it(
    keystone: Keystone, make: Callable[..., Asker], step: int
) -> None:
    ask = make("token_cache_time = 300")
    token = keystone.token()
    ask(token)
    ask.wall_ahead = step
    ask.now += 299
    ask(token)
    assert ask.asked == 1
    ask.wall_ahead = 0
    ask.now += 1
    ask(token)
    assert ask.asked == 2


def test_a_verdict_does_not_outlive_the_token(keystone: Keystone, ask: Asker) -> None:
    token = keystone.token(lifetime=30)
    found = ask(token)
    assert found.expires is not None
    assert found.recheck == found.expires < ask.now + 60
    ask.now = found.expires
    assert ask.asked == 1
    # Asked anew; Keystone's own clock was not moved, so it is for it to say.
    ask(token)
    assert ask.asked == 2


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        " ",
        "nope",
        "gAAAA" * 30,
        "x" * 20_000,
        "a b",
        "töken",
        "a\tb",
        "a\x00",
    ],
)
def test_what_is_no_token_is_refused(ask: Asker, token: str | None) -> None:
    assert ask.refuses(token)


def test_a_refusal_is_kept_for_a_moment_only(keystone: Keystone, ask: Asker) -> None:
    assert ask.refuses("gAAAA-nobody")
    assert ask.refuses("gAAAA-nobody")
    assert ask.asked == 1
    ask.now += 5
    assert ask.refuses("gAAAA-nobody")
    assert ask.asked == 2


def test_tokens_that_somebody_makes_up_push_out_no_verdict_on_a_real_one(
    keystone: Keystone, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask.auth._accepted._most = ask.auth._refused._most = 3
    token = keystone.token()
    ask(token)
    for number in range(5):
        assert ask.refuses(f"gAAAA-{number}")
    assert len(ask.auth._refused) == 3
    ask(token)
    assert ask.asked == 6


def test_the_number_of_verdicts_is_bounded(keystone: Keystone, ask: Asker) -> None:
    ask.auth._accepted._most = 2
    first, second, third = (keystone.token() for _ in range(3))
    for token in (first, second, first, third):
        ask(token)
    assert (len(ask.auth._accepted), ask.asked) == (2, 3)
    ask(first)
    assert ask.asked == 3
    ask(second)
    assert ask.asked == 4


@pytest.mark.parametrize("scope", [{}, {"system": {"all": True}}])
def test_a_token_for_no_project_is_refused_with_the_reason(
    keystone: Keystone, ask: Asker, scope: dict[str, Any]
) -> None:
    token = keystone.token("admin", scope=scope)
    for _ in range(2):
        with pytest.raises(Forbidden, match="for no project"):
            ask(token)
    assert ask.asked == 1


# -- service tokens --------------------------------------------------------------


def test_a_service_may_bring_a_token_that_has_expired(
    keystone: Keystone, ask: Asker
) -> None:
    token, service = keystone.token(lifetime=1), keystone.token("zaqar")
    until = time.monotonic() + 20
    while True:  # Keystone counts whole seconds of its own clock
        ask.now += 5
        try:
            ask(token)
        except Unauthorized:
            break
        assert time.monotonic() < until, "the token does not expire"
    found = ask(token, x_service_token=service)
    assert found.user_id == keystone.ids["alice"]
    assert found.expires is not None
    assert found.expires > time.time() + 3000
    assert ask.refuses(token, x_service_token=keystone.token("bob"))
    assert ask.refuses(token, x_service_token="nobody")


def test_a_service_token_that_is_none_spoils_a_good_token(
    keystone: Keystone, ask: Asker
) -> None:
    token = keystone.token()
    ask(token)
    assert ask.refuses(token, x_service_token="nobody")
    assert ask.refuses(token, x_service_token=keystone.token("bob"))
    assert ask(token, x_service_token=keystone.token("zaqar")).user_id
    assert ask(token).user_id


# -- restricted tokens -------------------------------------------------------------


def credential_for(keystone: Keystone, *rules: dict[str, str]) -> str:
    """Return a token of an application credential with access rules."""
    made = keystone.call(
        "POST",
        f"/users/{keystone.ids['alice']}/application_credentials",
        {
            "application_credential": {
                "name": f"rules-{time.time()}",
                "access_rules": list(rules),
            }
        },
        token=keystone.token("alice"),
    )["application_credential"]
    return keystone.application_credential_token(made["id"], made["secret"])


def test_a_restricted_token_is_good_for_its_requests_only(
    keystone: Keystone, make: Callable[..., Asker]
) -> None:
    ask = make("service_type = messaging")
    path = "/v2/queues/orders/messages"
    rule = {"service": "messaging", "method": "POST", "path": path}
    token = credential_for(keystone, rule)
    for _ in range(2):
        found = ask(token, ("POST", path))
        assert found.restricted
        for other in (("GET", path), ("POST", path + "/x"), ("POST", "/")):
            assert ask.refuses(token, other)
    assert ask.asked == 4

    async def together() -> list[Any]:
        asks = (ask.identify(token, (method, path)) for method in ("POST", "GET") * 5)
        return await asyncio.gather(*asks, return_exceptions=True)

    ask.now += 400
    outcomes = [type(one) for one in ask.run(together())]
    assert outcomes == [Identity, Unauthorized] * 5


def test_a_restricted_token_is_good_for_nothing_if_the_server_has_no_service_type(
    keystone: Keystone, ask: Asker
) -> None:
    rule = {"service": "messaging", "method": "GET", "path": "/v2/queues"}
    assert ask.refuses(credential_for(keystone, rule))


# -- Keystone away ---------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a service that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v3"


def test_a_service_that_says_nothing_holds_nobody_up_for_long(
    make: Callable[..., Asker], silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zaqarserver.identity.keystone.PATIENCE", 0.2)
    ask = make("http_connect_timeout = 1\nhttp_request_max_retries = 0", url=silent)

    async def crowd() -> list[Any]:
        asks = (ask.identify(f"gAAAA-{number}") for number in range(300))
        return await asyncio.gather(*asks, return_exceptions=True)

    started = time.monotonic()
    assert {type(one) for one in ask.run(crowd())} == {IdentityUnavailable}
    with pytest.raises(IdentityUnavailable):
        ask("gAAAA-another")
    assert time.monotonic() - started < 5
    assert ask.asked <= 8


def test_a_token_that_is_known_is_let_in_while_keystone_is_away(
    keystone: Keystone, make: Callable[..., Asker]
) -> None:
    ask = make("http_request_max_retries = 0\ntoken_cache_time = 60")
    token, new = keystone.token(), keystone.token("bob")
    ask(token)
    keystone.stop()
    try:
        ask(token)
        for one in (new, new, "nobody"):
            with pytest.raises(IdentityUnavailable):
                ask(one)
        assert ask.asked == 2
        ask.now += 60
        with pytest.raises(IdentityUnavailable):
            ask(token)
    finally:
        keystone.start()
    ask.auth._unavailable_until = 0.0
    assert ask(token).user_id == keystone.ids["alice"]
    assert ask(new).user_id == keystone.ids["bob"]


def test_a_server_with_a_wrong_password_lets_nobody_in(
    keystone: Keystone, make: Callable[..., Asker]
) -> None:
    ask = make("password = wrong")
    with pytest.raises(IdentityUnavailable):
        ask(keystone.token())
