"""Every route and every action, with another project's ids, in every way to ask.

A project's things are known to the intruder by all their names and ids. It asks for
them without proof, with a token of its own project, with signatures of its own, and
with headers that claim to be somebody else. Nothing may change or come out.
"""

import json

import pytest
from zaqarserver.operations import OPERATIONS
from zaqarserver.signing import Signer

from .bench import Bench
from .door import OPTIONS, SECRET, Door, Line
from .service import CLIENT, OTHER_CLIENT

HIDDEN = "what-only-beta-knows"
REFUSED = {400, 401, 403, 404}
#: Whoever has a token of its own project may do there what it likes.
FINE = {200, 201, 204, *REFUSED, 409, 415}
CLAIMS = {
    "X-Project-ID": "beta",
    "X-Roles": "admin,service",
    "X-User-Id": "bob",
    "X-Identity-Status": "Confirmed",
    "X-Service-Roles": "service",
    "OpenStack-System-Scope": "all",
    "EXTRA-SPEC": "messagecode",
}


class Belongings:
    """What the project beta has, all of it known to the intruder by name and id."""

    def __init__(self, bench):
        self._bench = bench
        document = {"messages": [{"body": HIDDEN, "ttl": 600}] * 3}
        subscription = {"subscriber": "http://beta.example/", "options": {"a": HIDDEN}}
        self.ids = {"project_id": "beta", "pool_name": "x", "flavor_name": "x"}
        for kind in ("queues", "topics"):
            self.ask("PUT", f"/v2/{kind}/orders", {"note": HIDDEN})
            self.ids[f"{kind[:-1]}_name"] = "orders"
            path = f"/v2/{kind}/orders"
            posted = self.ask("POST", f"{path}/messages", document)
            self.ids["message_id"] = posted["resources"][0].rsplit("/", 1)[1]
            made = self.ask("POST", f"{path}/subscriptions", subscription)
            self.ids["subscription_id"] = made["subscription_id"]
        claimed = self.ask("POST", "/v2/queues/orders/claims?limit=1", {})
        (message,) = claimed["messages"]
        self.ids["claim_id"] = message["href"].partition("claim_id=")[2]
        granted = self.ask("POST", "/v2/queues/orders/share", {"methods": ["GET"]})
        assert granted["project"] == "beta"
        (grant,) = self.ask("GET", "/v2/queues/orders/signed_urls")["signed_urls"]
        self.ids["signed_url_id"] = grant["id"]

    def ask(self, method, target, body=None):
        """Ask as bob, of the project beta."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Client-ID": CLIENT, "X-Auth-Token": "bob"}
        answer = self._bench.http(method, target, headers, data)
        assert answer.status < 300, answer.content
        return json.loads(answer.content or b"null")

    def seen(self):
        """Return all that beta has, as its own caller sees it."""
        everything = "echo=true&include_claimed=true&include_delayed=true"
        queue, topic = "/v2/queues/orders", "/v2/topics/orders"
        paths = [
            *("/v2/queues?detailed=true", "/v2/topics?detailed=true", "/v2/quotas"),
            *(f"{queue}/messages?{everything}", f"{topic}/messages?{everything}"),
            *(f"{queue}/stats", f"{queue}/subscriptions", f"{topic}/subscriptions"),
            *(f"{queue}/signed_urls", f"{queue}/claims/{self.ids['claim_id']}"),
        ]
        return [self.ask("GET", path) for path in paths]

    def body_of(self, row):
        """Return what a request of an operation may carry, over either transport."""
        ids = self.ids
        return (
            ids
            | {
                "messages": [{"body": "intruder", "ttl": 60}],
                "message_ids": [ids["message_id"]],
                "resource_types": ["messages", "subscriptions"],
                "subscriber": "http://intruder.example/",
                "confirmed": True,
                "ttl": 60,
                "grace": 60,
                "pop": 1,
            }
            | {"row": row.name}
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("b"), "sqlite://:memory:", OPTIONS, Door())
    yield made
    made.close()


@pytest.fixture(scope="module")
def beta(bench):
    return Belongings(bench)


def signed(project, presented, **changed):
    """A genuine signature of a project for everything that can be signed."""
    paths = [
        f"/v2/queues/orders/{kind}" for kind in ("messages", "claims", "subscriptions")
    ]
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    grant = Signer(SECRET).sign(paths, methods, project, 4_000_000_000.0)
    return {
        "URL-Signature": grant.signature,
        "URL-Expires": grant.expires,
        "URL-Methods": grant.methods,
        "URL-Paths": grant.paths,
        "X-Project-ID": presented,
        **changed,
    }


def joined(headers):
    """The same for REST."""
    return {
        name: ",".join(value) if isinstance(value, list) else value
        for name, value in headers.items()
    }


NO_PROOF = {
    "nothing": {},
    "claims": CLAIMS,
    "unknown token": CLAIMS | {"X-Auth-Token": "nobody"},
    "empty token": CLAIMS | {"X-Auth-Token": ""},
    "service token": CLAIMS | {"X-Service-Token": "bob"},
    "signature for another": signed("alpha", "beta"),
    "empty signature": signed("beta", "beta", **{"URL-Signature": ""}),
    "empty signature, own token": signed("beta", "beta", **{"URL-Signature": ""})
    | {"X-Auth-Token": "alice"},
    "old signature": signed("beta", "beta", **{"URL-Expires": "2001-01-01T00:00:00"}),
    "more paths": signed("beta", "beta", **{"URL-Paths": ["/v2/queues", "/v2"]}),
    "empty signature, claims": CLAIMS | {"URL-Signature": ""},
}
OWN_PROOF = {
    "own token": {"X-Auth-Token": "alice"},
    "own token, claims": CLAIMS | {"X-Auth-Token": "alice"},
    "own token, tenant": {"X-Auth-Token": "alice", "X-Tenant-Id": "beta"},
    "administrator": CLAIMS | {"X-Auth-Token": "admin"},
    "own signature": signed("alpha", "alpha"),
    "own signature, claims": CLAIMS | signed("alpha", "alpha"),
}


@pytest.mark.parametrize("mode", [*NO_PROOF, *OWN_PROOF])
def test_rest_gives_an_intruder_nothing(bench, beta, mode):
    before = beta.seen()
    headers = joined(NO_PROOF.get(mode) or OWN_PROOF.get(mode) or {})
    allowed = FINE if mode in OWN_PROOF else REFUSED
    for row in OPERATIONS:
        query = "?" + row.when + "=" + beta.ids["message_id"] if row.when else ""
        answer = bench.http(
            row.method,
            row.path.format_map(beta.ids) + query,
            {"Client-ID": OTHER_CLIENT, **headers},
            json.dumps(beta.body_of(row)).encode(),
        )
        assert answer.status in allowed, (row.name, answer)
        assert HIDDEN.encode() not in answer.content, row.name
        assert b"beta.example" not in answer.content, row.name
    assert beta.seen() == before


@pytest.mark.parametrize("token", [None, "alice", "admin"])
@pytest.mark.parametrize("mode", [*NO_PROOF, *OWN_PROOF])
def test_frames_give_an_intruder_nothing(bench, beta, mode, token):
    before = beta.seen()
    headers = NO_PROOF.get(mode) or OWN_PROOF.get(mode) or {}
    line = Line(bench)
    if token is not None:
        assert line.authenticate(token)[0] == 200
    for row in OPERATIONS:
        for project in ("beta", "alpha", ""):
            sent = {"X-Project-ID": project, **headers}
            answer = line.exchange(
                row.name, {"Client-ID": OTHER_CLIENT, **sent}, beta.body_of(row)
            )
            told = json.dumps(answer["body"])
            assert HIDDEN not in told, row.name
            assert "beta.example" not in told, row.name
            status = answer["headers"]["status"]
            mine = sent["X-Project-ID"] == "alpha"
            entitled = mine and (token is not None or mode in OWN_PROOF)
            assert status in (FINE if entitled else REFUSED), (row.name, answer)
    line.dialog.close()
    assert beta.seen() == before
