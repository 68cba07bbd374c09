"""Subscribers that get a token of the user that subscribed (``notifications`` 9)."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
import websocket
from keystone_service import ROOT, Keystone
from receivers import good, status

from .conftest import Caller, until

HOOK = "trust+http://127.0.0.1:9/hook"


def expiry(trust: dict[str, Any]) -> float:
    return dt.datetime.fromisoformat(trust["expires_at"]).timestamp()


def now() -> float:
    return dt.datetime.now(dt.UTC).timestamp()


def gone(keystone: Keystone, trust: str) -> None:
    until(lambda: trust not in keystone.trusts(), f"trust {trust} is removed")


def trust_of(caller: Caller, queue: str, id_: str) -> str:
    return caller.subscription(queue, id_)["options"]["trust_id"]


@pytest.fixture
def foreign_trust(keystone: Keystone) -> str:
    """A trust that Bob gave the trustee, in his own project."""
    return make_trust(keystone, "bob", "beta")


def make_trust(keystone: Keystone, user: str, project: str) -> str:
    wish = {
        "trustor_user_id": keystone.ids[user],
        "trustee_user_id": keystone.ids["trustee"],
        "project_id": keystone.ids[project],
        "impersonation": True,
        "roles": [{"name": "member"}],
    }
    made = keystone.call(
        "POST",
        "/OS-TRUST/trusts",
        {"trust": wish},
        token=keystone.token(user, project),
    )
    return made["trust"]["id"]


# -- made and removed ----------------------------------------------------------


def test_a_trust_is_the_subscribers_for_its_project_until_the_subscription_ends(
    keystone: Keystone, alice: Caller, queue: str
) -> None:
    before = now()

    id_ = alice.subscribe(queue, HOOK, ttl=1200, options={"post_data": "x"})

    options = alice.subscription(queue, id_)["options"]
    assert options.keys() == {"post_data", "trust_id"}
    trust = keystone.trusts()[options["trust_id"]]
    assert trust["trustor_user_id"] == keystone.ids["alice"]
    assert trust["trustee_user_id"] == keystone.ids["trustee"]
    assert trust["project_id"] == keystone.ids["alpha"]
    assert trust["impersonation"] is True
    assert before + 1199 <= expiry(trust) <= now() + 1201


def test_a_deleted_subscription_takes_its_trust_along(
    keystone: Keystone, alice: Caller, queue: str
) -> None:
    id_ = alice.subscribe(queue, HOOK)
    trust = trust_of(alice, queue, id_)
    assert trust in keystone.trusts()

    answer = alice("DELETE", f"/queues/{queue}/subscriptions/{id_}")

    assert answer.status_code == 204
    gone(keystone, trust)


def test_another_member_of_the_project_can_delete_subscription_and_trust(
    keystone: Keystone, alice: Caller, caller: Callable[..., Caller], queue: str
) -> None:
    id_ = alice.subscribe(queue, HOOK)
    trust = trust_of(alice, queue, id_)

    caller("carol", "alpha")("DELETE", f"/queues/{queue}/subscriptions/{id_}")

    assert alice.subscriptions(queue) == []
    gone(keystone, trust)


def test_a_purge_removes_all_trusts(
    keystone: Keystone, alice: Caller, queue: str
) -> None:
    trusts = [
        trust_of(alice, queue, alice.subscribe(queue, f"{HOOK}/{number}"))
        for number in range(3)
    ]
    assert keystone.trusts().keys() >= set(trusts)

    alice("POST", f"/queues/{queue}/purge", {"resource_types": ["subscriptions"]})

    for trust in trusts:
        gone(keystone, trust)


def test_subscribing_twice_leaves_one_trust(
    keystone: Keystone, alice: Caller, queue: str
) -> None:
    id_ = alice.subscribe(queue, HOOK)
    trust = trust_of(alice, queue, id_)
    before = keystone.trusts().keys()

    assert alice.subscribe(queue, HOOK) == id_

    assert trust_of(alice, queue, id_) == trust
    until(
        lambda: keystone.trusts().keys() <= before | {trust},
        "the second trust is removed",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"ttl": 5},
        {"options": {"post_data": 7}},
        {"subscriber": "trust+http:"},
        {"options": {"trust_id": "../users"}},
        {"options": {"trust_id": 7}},
        {"options": {"trust_id": uuid4().hex}},
    ],
)
def test_what_is_refused_leaves_no_trust(
    keystone: Keystone, alice: Caller, queue: str, wrong: dict[str, Any]
) -> None:
    before = keystone.trusts().keys()

    answer = alice(
        "POST", f"/queues/{queue}/subscriptions", {"subscriber": HOOK, **wrong}
    )

    assert answer.status_code == 400, answer.text
    assert keystone.trusts().keys() <= before


# -- whose it may be ---------------------------------------------------------------


def test_a_trust_of_ones_own_may_be_given_and_is_not_removed(
    keystone: Keystone, alice: Caller, queue: str
) -> None:
    trust = make_trust(keystone, "alice", "alpha")
    id_ = alice.subscribe(queue, HOOK, options={"trust_id": trust})
    shown = alice.subscription(queue, id_)["options"]
    assert shown == {"trust_id": trust, "trust_given": True}

    # Its options written back, and a longer life: still the same trust.
    path = f"/queues/{queue}/subscriptions/{id_}"
    assert alice("PATCH", path, {"options": shown, "ttl": 900}).status_code == 204
    assert alice.subscription(queue, id_)["options"] == shown
    alice("DELETE", path)

    made = trust_of(alice, queue, alice.subscribe(queue, HOOK))
    alice("POST", f"/queues/{queue}/purge", {"resource_types": ["subscriptions"]})
    gone(keystone, made)  # removals go in order: by now the first had had its turn
    assert trust in keystone.trusts()


def test_anothers_trust_is_refused(
    keystone: Keystone, alice: Caller, queue: str, foreign_trust: str
) -> None:
    body = {"subscriber": HOOK, "options": {"trust_id": foreign_trust}}

    answer = alice("POST", f"/queues/{queue}/subscriptions", body)
    assert answer.status_code == 400
    assert "trust_id" in answer.json()["description"]

    id_ = alice.subscribe(queue, HOOK)
    path = f"/queues/{queue}/subscriptions/{id_}"
    answer = alice("PATCH", path, {"options": {"trust_id": foreign_trust}})
    assert answer.status_code == 400
    assert trust_of(alice, queue, id_) != foreign_trust


def test_ones_own_trust_for_another_project_is_refused(
    keystone: Keystone, caller: Callable[..., Caller], queue: str
) -> None:
    trust = make_trust(keystone, "carol", "beta")
    body = {"subscriber": HOOK, "options": {"trust_id": trust}}

    answer = caller("carol", "alpha")("POST", f"/queues/{queue}/subscriptions", body)

    assert answer.status_code == 400


def test_a_webhook_keeps_no_trust_that_a_change_could_bring_to_life(
    alice: Caller, queue: str, foreign_trust: str
) -> None:
    plain = HOOK.removeprefix("trust+")
    id_ = alice.subscribe(queue, plain, options={"trust_id": foreign_trust, "a": 1})
    assert alice.subscription(queue, id_)["options"] == {"a": 1}

    path = f"/queues/{queue}/subscriptions/{id_}"
    assert alice("PATCH", path, {"subscriber": HOOK}).status_code == 204

    assert trust_of(alice, queue, id_) != foreign_trust


@pytest.mark.parametrize("unrestricted", [False, True])
def test_an_application_credential_can_give_no_trust(
    keystone: Keystone,
    caller: Callable[..., Caller],
    alice: Caller,
    queue: str,
    unrestricted: bool,
) -> None:
    given = keystone.application_credential("alice", unrestricted=unrestricted)
    limited = caller(token=keystone.application_credential_token(*given))

    answer = limited("POST", f"/queues/{queue}/subscriptions", {"subscriber": HOOK})

    assert answer.status_code == 403
    assert "application credentials" in answer.json()["description"]
    assert alice.subscriptions(queue) == []


def test_whoever_acts_by_a_trust_can_give_none(
    keystone: Keystone, caller: Callable[..., Caller], alice: Caller, queue: str
) -> None:
    trust = make_trust(keystone, "alice", "alpha")
    acting = caller(token=keystone.trust_token(trust))
    before = keystone.trusts().keys()

    answer = acting("POST", f"/queues/{queue}/subscriptions", {"subscriber": HOOK})

    assert answer.status_code == 403
    assert alice.subscriptions(queue) == []
    assert keystone.trusts().keys() <= before


# -- changes -------------------------------------------------------------------------


def test_new_options_keep_the_trust(
    keystone: Keystone, alice: Caller, queue: str
) -> None:
    id_ = alice.subscribe(queue, HOOK)
    trust = trust_of(alice, queue, id_)

    path = f"/queues/{queue}/subscriptions/{id_}"
    assert alice("PATCH", path, {"options": {"post_data": "y"}}).status_code == 204

    options = alice.subscription(queue, id_)["options"]
    assert options == {"post_data": "y", "trust_id": trust}


def test_a_new_ttl_renews_the_trust(
    keystone: Keystone, alice: Caller, queue: str
) -> None:
    id_ = alice.subscribe(queue, HOOK, ttl=60)
    old = trust_of(alice, queue, id_)

    path = f"/queues/{queue}/subscriptions/{id_}"
    assert alice("PATCH", path, {"ttl": 7200}).status_code == 204

    new = trust_of(alice, queue, id_)
    assert new != old
    assert expiry(keystone.trusts()[new]) >= now() + 7100
    gone(keystone, old)


def test_a_webhook_becomes_a_trust_subscriber_and_one_again(
    keystone: Keystone, alice: Caller, queue: str
) -> None:
    plain = HOOK.removeprefix("trust+")
    id_ = alice.subscribe(queue, plain, options={"a": 1})
    path = f"/queues/{queue}/subscriptions/{id_}"

    assert alice("PATCH", path, {"subscriber": HOOK}).status_code == 204
    trust = trust_of(alice, queue, id_)
    assert alice.subscription(queue, id_)["options"] == {"a": 1, "trust_id": trust}
    assert trust in keystone.trusts()

    assert alice("PATCH", path, {"subscriber": plain}).status_code == 204
    assert alice.subscription(queue, id_)["options"] == {"a": 1}
    gone(keystone, trust)


def test_only_its_user_says_what_is_done_with_a_trust(
    keystone: Keystone, alice: Caller, caller: Callable[..., Caller], queue: str
) -> None:
    id_ = alice.subscribe(queue, HOOK)
    old = trust_of(alice, queue, id_)
    carol = caller("carol", "alpha")
    path = f"/queues/{queue}/subscriptions/{id_}"

    for change in ({"ttl": 900}, {"options": {"post_data": "z"}}):
        answer = carol("PATCH", path, change)
        assert answer.status_code == 403
        assert "another user's" in answer.json()["description"]
    assert alice.subscription(queue, id_)["options"] == {"trust_id": old}

    # To send its token elsewhere she has to give one of her own.
    assert carol("PATCH", path, {"subscriber": f"{HOOK}/2"}).status_code == 204
    new = keystone.trusts()[trust_of(alice, queue, id_)]
    assert new["trustor_user_id"] == keystone.ids["carol"]
    gone(keystone, old)


# -- deliveries ------------------------------------------------------------------------


def test_the_receiver_gets_a_token_of_the_subscriber(
    keystone: Keystone, alice: Caller, queue: str, receivers: Any
) -> None:
    port = receivers.open()
    alice.subscribe(
        queue,
        f"trust+http://127.0.0.1:{port}/hook",
        options={"post_headers": {"X-More": "yes"}},
    )

    alice.post(queue, "one", "two")

    until(lambda: len(receivers.received(port)) == 2, "both messages arrive")
    tokens = set()
    for request in receivers.requests[port]:
        assert request.headers["X-More"] == "yes"
        tokens.add(request.headers["X-Auth-Token"])
    (token,) = tokens  # one for both: it was kept
    shown = keystone.call("GET", "/auth/tokens", headers={"X-Subject-Token": token})
    assert shown["token"]["user"]["id"] == keystone.ids["alice"]
    assert shown["token"]["project"]["id"] == keystone.ids["alpha"]


def test_one_queue_forwards_to_another_of_the_same_server(
    alice: Caller, keystone_server: Any, queue: str
) -> None:
    other = f"{queue}-forwarded"
    forward = {"messages": [{"body": "$zaqar_message$", "ttl": 300}]}
    alice.subscribe(
        queue,
        f"trust+{keystone_server.url}/v2/queues/{other}/messages",
        options={
            "post_data": json.dumps(forward),
            "post_headers": {"Client-ID": str(uuid4()), "X-Project-ID": "ignored"},
        },
    )

    alice.post(queue, {"event": "backup"})

    (body,) = until(lambda: alice.bodies(other), "the message arrives")
    assert body["body"] == {"event": "backup"}
    assert body["Message_Type"] == "Notification"
    assert body["queue_name"] == queue


def test_a_removed_trust_ends_deliveries_and_is_counted(
    keystone: Keystone,
    alice: Caller,
    queue: str,
    receivers: Any,
    keystone_server: Any,
) -> None:
    def failed() -> float:
        page = requests.get(f"{keystone_server.url}/metrics", timeout=30).text
        name = 'zaqar_notifications_total{event="failed",kind="trust+http"} '
        return sum(
            float(line.removeprefix(name))
            for line in page.splitlines()
            if line.startswith(name)
        )

    port = receivers.open()
    id_ = alice.subscribe(queue, f"trust+http://127.0.0.1:{port}/hook")
    trust = trust_of(alice, queue, id_)
    before = failed()
    keystone.call("DELETE", f"/OS-TRUST/trusts/{trust}", token=keystone.token("alice"))

    alice.post(queue, "lost")

    until(lambda: failed() == before + 1, "it is given up")
    assert "its trust is gone" in keystone_server.log.read_text()
    assert receivers.received(port) == []


def test_a_refused_token_is_replaced(
    keystone: Keystone, alice: Caller, queue: str, receivers: Any
) -> None:
    port = receivers.open(status(401), good)
    alice.subscribe(queue, f"trust+http://127.0.0.1:{port}/hook")

    alice.post(queue, "again")

    until(lambda: len(receivers.requests[port]) == 2, "it is tried again")
    first, second = (one.headers["X-Auth-Token"] for one in receivers.requests[port])
    assert first != second


# -- over other ways in -----------------------------------------------------------


def test_over_websocket_the_trust_is_the_connections(
    keystone: Keystone, keystone_server: Any, alice: Caller, queue: str
) -> None:
    headers = {"Client-ID": str(uuid4()), "X-Project-ID": keystone.ids["alpha"]}
    peer = websocket.create_connection(keystone_server.websocket_url, timeout=30)

    def ask(action: str, **more: Any) -> tuple[int, Any]:
        frame = {"action": action, "headers": headers, "body": {}, **more}
        peer.send(json.dumps(frame))
        answer = json.loads(peer.recv())
        return answer["headers"]["status"], answer["body"]

    try:
        token = {**headers, "X-Auth-Token": keystone.token("alice")}
        assert ask("authenticate", headers=token)[0] == 200
        body = {"queue_name": queue, "subscriber": HOOK, "ttl": 600}
        status, made = ask("subscription_create", body=body)
        assert status == 201, made

        trust = trust_of(alice, queue, made["subscription_id"])
        found = keystone.trusts()[trust]
        assert found["trustor_user_id"] == keystone.ids["alice"]
        assert found["project_id"] == keystone.ids["alpha"]

        body = {"queue_name": queue, "subscription_id": made["subscription_id"]}
        assert ask("subscription_delete", body=body)[0] == 204
        gone(keystone, trust)
    finally:
        peer.close()


def test_presigned_access_can_give_no_trust(
    keystone: Keystone, alice: Caller, queue: str
) -> None:
    shared = {"paths": ["subscriptions"], "methods": ["POST"]}
    signed = alice("POST", f"/queues/{queue}/share", shared).json()

    answer = requests.post(
        f"{alice.url}/v2/queues/{queue}/subscriptions",
        json={"subscriber": HOOK},
        headers={
            "Client-ID": str(uuid4()),
            "X-Project-ID": keystone.ids["alpha"],
            "URL-Signature": signed["signature"],
            "URL-Methods": ",".join(signed["methods"]),
            "URL-Paths": ",".join(signed["paths"]),
            "URL-Expires": signed["expires"],
        },
        timeout=30,
    )

    assert answer.status_code == 400
    assert "pre-signed" in answer.json()["description"]
    assert alice.subscriptions(queue) == []


def test_the_commands_of_the_guide_forward_a_message(
    keystone: Keystone, keystone_server: Any, alice: Caller, queue: str, tmp_path: Path
) -> None:
    (tmp_path / "clouds.yaml").write_text(
        keystone.clouds_yaml().replace('"alice"', '"mycloud"', 1)
    )
    environment = {
        **{name: value for name, value in os.environ.items() if name[:3] != "OS_"},
        "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml"),
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for command in commands_of_the_guide():
        line = (
            command.replace("https://zaqar.example:8888", keystone_server.url)
            .replace("orders", queue)
            .replace("copies", f"{queue}-copies")
        )
        if "message list" in line:
            until(lambda: alice.bodies(f"{queue}-copies"), "the message arrives")
        done = subprocess.run(
            ["bash", "-c", line],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert "hello" in done.stdout


def commands_of_the_guide() -> list[str]:
    """Return the commands of the first example that uses the product."""
    text = (ROOT / "doc/source/admin/trusts.rst").read_text()
    example = text.split("See that it works", 1)[1].split("::", 1)[1]
    lines = [
        line.strip() for line in example.split("The receiver's", 1)[0].splitlines()
    ]
    whole = "\n".join(lines).replace("\\\n", "")
    return [
        line.removeprefix("$ ") for line in whole.splitlines() if line.startswith("$ ")
    ]
