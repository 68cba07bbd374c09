"""Whoever one is, nothing of another project is read, changed, counted or guessed.

Every operation of the table is tried with the names and ids of what a project has,
in every way of being somebody else. Two things are checked: the owner sees afterwards
what it saw before, and the answers say nothing: either they refuse (401, 403, 404), or
they are the answers to names and ids that nobody has.

A request whose identity headers are malformed (missing, empty, twice) may also be
answered 400: that is said before anything is looked up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .callers import Answer, Frames, Headers, Rest
from .conftest import SECRET, Owner
from .requests_of_rows import Request, all_requests, nothing_like

REFUSED = {401, 403, 404}
MALFORMED = REFUSED | {400}


def check_same_as_nothing(owner: Owner, ask: Callable[[Request], Answer]) -> None:
    """Check that names of somebody's are answered as names of nobody's are."""
    nobody = nothing_like(owner.target)
    asked = zip(all_requests(owner.target), all_requests(nobody), strict=True)
    for real, made_up in asked:
        answer = ask(real)
        assert SECRET not in answer.text, real
        control = ask(made_up).without(nobody)
        assert answer.without(owner.target) == control, real
        assert answer.status < 500, (real, answer)
    assert owner.seen() == owner.before


def check_refused(
    owner: Owner, ask: Callable[[Request], Answer], statuses: set[int]
) -> None:
    """Check that everything is refused."""
    for request in all_requests(owner.target):
        answer = ask(request)
        unknown = answer.status == 400 and "is not a valid action" in answer.text
        assert unknown or answer.status in statuses, (request, answer)
        assert SECRET not in answer.text, request
    assert owner.seen() == owner.before


# -- without authentication ------------------------------------------------------------


def test_rest_as_another_project(
    owner_of_open_server: Owner, open_server: Any, rest: Callable[[str], Rest]
) -> None:
    caller = rest(open_server.url)
    check_same_as_nothing(
        owner_of_open_server,
        lambda request: caller.ask(request, [("X-Project-ID", "intruder")]),
    )


def test_frames_as_another_project(
    owner_of_open_server: Owner, open_server: Any, frames: Callable[[str], Frames]
) -> None:
    caller = frames(open_server.websocket_url)
    check_same_as_nothing(
        owner_of_open_server,
        lambda request: caller.ask(request, {"X-Project-ID": "intruder"}),
    )


# -- with tokens -----------------------------------------------------------------------


def own_token(intruder: str, owner: Owner) -> list[tuple[str, Headers]]:
    """Return headers that are believed as far as the token goes."""
    token = ("X-Auth-Token", intruder)
    alpha = owner.project
    return [
        ("alone", [token]),
        ("with another project", [token, ("X-Project-ID", alpha)]),
        ("with another tenant", [token, ("X-Tenant-Id", alpha), ("X-Tenant", alpha)]),
        ("with roles", [token, ("X-Roles", "admin,service"), ("X-Is-Admin", "1")]),
        (
            "as if the middleware had spoken",
            [
                token,
                ("X-Identity-Status", "Confirmed"),
                ("X-Project-ID", alpha),
                ("X-User-Id", "admin"),
                ("X-Service-Identity-Status", "Confirmed"),
                ("X-Service-Roles", "service"),
            ],
        ),
        ("in other letters", [("x-AUTH-token", intruder), ("X-PROJECT-ID", alpha)]),
        ("with a scheme", [token, ("EXTRA-SPEC", "messagecode:x")]),
    ]


@pytest.mark.parametrize("number", range(7))
def test_rest_with_the_token_of_another_project(
    owner: Owner,
    intruder: str,
    keystone_server: Any,
    rest: Callable[[str], Rest],
    number: int,
) -> None:
    _, headers = own_token(intruder, owner)[number]
    caller = rest(keystone_server.url)
    check_same_as_nothing(owner, lambda request: caller.ask(request, headers))


def no_token(owner: Owner, intruder: str) -> dict[str, Headers]:
    """Return headers that say who one is without proving it."""
    alpha = ("X-Project-ID", owner.project)
    roles = ("X-Roles", "admin")
    return {
        "nothing": [],
        "a project": [alpha, roles],
        "a status": [alpha, roles, ("X-Identity-Status", "Confirmed")],
        "an empty token": [alpha, ("X-Auth-Token", "")],
        "a made up token": [alpha, ("X-Auth-Token", "gAAAAA" + "x" * 170)],
        "half a token": [alpha, ("X-Auth-Token", intruder[: len(intruder) // 2])],
        "a scheme": [alpha, roles, ("EXTRA-SPEC", "messagecode")],
        "an empty scheme": [alpha, roles, ("EXTRA-SPEC", "")],
        "a service token": [alpha, roles, ("X-Service-Token", intruder)],
    }


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "a project",
        "a status",
        "an empty token",
        "a made up token",
        "half a token",
        "a scheme",
        "an empty scheme",
        "a service token",
    ],
)
def test_rest_without_a_token(
    owner: Owner,
    intruder: str,
    keystone_server: Any,
    rest: Callable[[str], Rest],
    name: str,
) -> None:
    headers = no_token(owner, intruder)[name]
    caller = rest(keystone_server.url)
    check_refused(owner, lambda request: caller.ask(request, headers), {401})


@pytest.mark.parametrize(
    "twice", ["X-Auth-Token", "X-Project-ID", "X-Roles", "URL-Signature"]
)
def test_rest_with_a_header_twice(
    owner: Owner,
    intruder: str,
    keystone_server: Any,
    rest: Callable[[str], Rest],
    twice: str,
) -> None:
    values = {
        "X-Auth-Token": ("x", "y"),
        "X-Project-ID": (owner.project, "b"),
        "X-Roles": ("admin", "member"),
        "URL-Signature": (owner.shared["signature"], "0" * 64),
    }
    headers = [(twice, value) for value in values[twice]]
    caller = rest(keystone_server.url)
    check_refused(owner, lambda request: caller.ask(request, headers), MALFORMED)


# -- with signatures -------------------------------------------------------------------


def signed(shared: dict[str, Any], **changes: str) -> Headers:
    """Return the headers of a pre-signed URL."""
    values = {
        "URL-Signature": shared["signature"],
        "URL-Expires": shared["expires"],
        "URL-Methods": ",".join(shared["methods"]),
        "URL-Paths": ",".join(shared["paths"]),
        "X-Project-ID": shared["project"],
    }
    return list((values | changes).items())


def signatures(owner: Owner, intruder: str) -> dict[str, Headers]:
    """Return signatures that do not open what the owner has."""
    name = owner.names["queue"]
    paths = ",".join(
        f"/v2/queues/{name}/{kind}" for kind in ("claims", "messages", "subscriptions")
    )
    token = ("X-Auth-Token", intruder)
    return {
        "of another queue": signed(owner.shared),
        "of another queue, for this one": signed(owner.shared, **{"URL-Paths": paths}),
        "empty": signed(owner.shared, **{"URL-Signature": ""}),
        "cut": signed(
            owner.shared, **{"URL-Signature": owner.shared["signature"][:32]}
        ),
        "for everything": signed(owner.shared, **{"URL-Paths": "/v2"}),
        "with a pattern": signed(owner.shared, **{"URL-Paths": ".*"}),
        "and a token": [token, *signed(owner.shared)],
        "empty, and a token": [token, ("URL-Signature", "")],
        "and roles": [*signed(owner.shared), ("X-Roles", "admin")],
    }


SIGNATURES = (
    "of another queue",
    "of another queue, for this one",
    "empty",
    "cut",
    "for everything",
    "with a pattern",
    "and a token",
    "empty, and a token",
    "and roles",
)


@pytest.mark.parametrize("name", SIGNATURES)
def test_rest_with_a_signature_for_something_else(
    owner: Owner,
    intruder: str,
    keystone_server: Any,
    rest: Callable[[str], Rest],
    name: str,
) -> None:
    headers = signatures(owner, intruder)[name]
    caller = rest(keystone_server.url)
    check_refused(owner, lambda request: caller.ask(request, headers), {404})


@pytest.mark.parametrize(
    "path",
    [
        "/v2/queues/{open}/messages/../../{name}/messages",
        "/v2/queues/{open}/messages/..%2F..%2F{name}%2Fmessages",
        "/v2/queues/{open}%2Fmessages%2F..%2F..%2F{name}/messages",
        "/v2/queues/{name}/messages?ids=x#/v2/queues/{open}/messages",
        "/v2/queues/{open}/messages;/../../{name}/messages",
        "//v2/queues/{name}/messages",
        "/v2//queues/{name}/messages",
    ],
)
def test_rest_with_a_path_that_only_begins_like_a_signed_one(
    owner: Owner, keystone_server: Any, rest: Callable[[str], Rest], path: str
) -> None:
    path = path.format(open=owner.open_queue, name=owner.names["queue"])
    request = Request("", "GET", path, None, "application/json", {})
    answer = rest(keystone_server.url).ask(request, signed(owner.shared))
    assert answer.status in {400, 404}
    assert SECRET not in answer.text


# -- over WebSocket --------------------------------------------------------------------


def test_frames_without_a_token(
    owner: Owner, keystone_server: Any, frames: Callable[[str], Frames]
) -> None:
    caller = frames(keystone_server.websocket_url)
    headers = {"X-Project-ID": owner.project, "X-Roles": "admin"}
    check_refused(owner, lambda request: caller.ask(request, headers), {403})


def authenticated(caller: Frames, keystone: Any, token: str) -> Frames:
    headers = {"X-Auth-Token": token, "X-Project-ID": keystone.ids["beta"]}
    assert caller.send("authenticate", headers, {}).status == 200
    return caller


def test_frames_with_the_token_of_another_project(
    owner: Owner,
    intruder: str,
    keystone: Any,
    keystone_server: Any,
    frames: Callable[[str], Frames],
) -> None:
    caller = authenticated(frames(keystone_server.websocket_url), keystone, intruder)
    headers = {"X-Project-ID": keystone.ids["beta"], "X-Roles": "admin"}
    check_same_as_nothing(owner, lambda request: caller.ask(request, headers))


@pytest.mark.parametrize("project", ["alpha", "", "nobody"])
def test_frames_that_name_another_project_than_the_token(
    owner: Owner,
    intruder: str,
    keystone: Any,
    keystone_server: Any,
    frames: Callable[[str], Frames],
    project: str,
) -> None:
    caller = authenticated(frames(keystone_server.websocket_url), keystone, intruder)
    headers = {"X-Project-ID": keystone.ids.get(project, project)}
    check_refused(owner, lambda request: caller.ask(request, headers), {403})


def test_a_token_opens_no_other_project(
    owner: Owner, intruder: str, keystone_server: Any, frames: Callable[[str], Frames]
) -> None:
    caller = frames(keystone_server.websocket_url)
    headers = {"X-Auth-Token": intruder, "X-Project-ID": owner.project}
    assert caller.send("authenticate", headers, {}).status in {401, 403}
    headers = {"X-Project-ID": owner.project}
    check_refused(owner, lambda request: caller.ask(request, headers), {403})


def test_frames_with_a_signature_for_something_else(
    owner: Owner, keystone_server: Any, frames: Callable[[str], Frames]
) -> None:
    caller = frames(keystone_server.websocket_url)
    shared = owner.shared
    headers = {
        "URL-Signature": shared["signature"],
        "URL-Expires": shared["expires"],
        "URL-Methods": shared["methods"],
        "URL-Paths": shared["paths"],
        "X-Project-ID": shared["project"],
    }
    check_refused(owner, lambda request: caller.ask(request, headers), {403})


# -- at random -------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "X-Auth-Token",
        "X-Project-ID",
        "X-Tenant-Id",
        "X-Roles",
        "X-User-Id",
        "X-Identity-Status",
        "X-Service-Token",
        "X-Subject-Token",
        "URL-Signature",
        "URL-Expires",
        "URL-Methods",
        "URL-Paths",
        "EXTRA-SPEC",
        "Authorization",
        "Cookie",
        "X-Forwarded-For",
    ]
)
ODD = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_headers_of_any_kind_open_nothing(
    owner: Owner, keystone_server: Any, rest: Callable[[str], Rest], data: st.DataObject
) -> None:
    """Without a token and without a whole signature there is nothing to be had."""
    shared = owner.shared
    known = st.sampled_from(
        [
            owner.project,
            "admin",
            "",
            "Confirmed",
            shared["expires"],
            ",".join(shared["methods"]),
            ",".join(shared["paths"]),
            "GET",
            "messagecode:x",
        ]
    )
    headers = data.draw(st.lists(st.tuples(NAMES, known | ODD), max_size=8))
    request = data.draw(st.sampled_from(all_requests(owner.target)))
    answer = rest(keystone_server.url).ask(request, headers)
    assert answer.status in MALFORMED, (request, headers, answer)
    assert SECRET not in answer.text
    assert owner.seen()[:2] == owner.before[:2]
