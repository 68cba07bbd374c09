"""A stand-in for the identity service, API v3: tokens and a catalog."""

from __future__ import annotations

import datetime as dt
from typing import Any

from zaqarclient.tests.http_stub import Answer, HttpStub, Seen

PROJECT = "4f2a"


class IdentityStub:
    """Gives tokens ``token-1``, ``token-2``, ... to whoever knows the password.

    Args:
        stub: The server that it answers on.
        endpoint: The messaging endpoint of its catalog.
        seconds: How long its tokens live.
    """

    def __init__(self, stub: HttpStub, endpoint: str, seconds: int = 3600) -> None:
        self.stub = stub
        self.url = f"{stub.url}/v3"
        self.given = 0
        self._endpoint = endpoint
        self._seconds = seconds
        stub.default = self._answer

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The bodies of all requests for a token."""
        return [seen.body["auth"] for seen in self.stub.seen]

    def _answer(self, seen: Seen) -> Answer:
        if (seen.method, seen.path) != ("POST", "/v3/auth/tokens"):
            return Answer(404, {"error": {"code": 404, "title": "Not Found"}})
        identity = seen.body["auth"]["identity"]
        password = identity.get("password", {}).get("user", {}).get("password")
        secret = identity.get("application_credential", {}).get("secret")
        if (
            "secret" not in {password, secret}
            and identity.get("token", {}).get("id") != "old"
        ):
            return Answer(
                401, {"error": {"code": 401, "title": "Unauthorized", "message": "no"}}
            )
        self.given += 1
        headers = {"X-Subject-Token": f"token-{self.given}"}
        return Answer(201, {"token": self._token()}, headers)

    def _token(self) -> dict[str, Any]:
        now = dt.datetime.now(dt.UTC)
        ends = now + dt.timedelta(seconds=self._seconds)
        endpoints = [
            {
                "id": f"e-{region}-{interface}",
                "interface": interface,
                "region": region,
                "region_id": region,
                "url": f"{self._endpoint}{suffix}",
            }
            for region, interface, suffix in (
                ("one", "public", ""),
                ("two", "public", "/two/v2"),
                ("one", "internal", "/internal"),
            )
        ]
        return {
            "methods": ["password"],
            "user": {"id": "u1", "name": "alice", "domain": {"id": "default"}},
            "project": {"id": PROJECT, "name": "sales", "domain": {"id": "default"}},
            "roles": [{"id": "r1", "name": "member"}],
            "issued_at": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "catalog": [
                {
                    "id": "c1",
                    "type": "messaging",
                    "name": "zaqar",
                    "endpoints": endpoints,
                }
            ],
        }
