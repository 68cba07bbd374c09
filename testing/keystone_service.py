"""A real Keystone for tests: tokens, sessions, trusts, its catalog."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import requests
from keystone_process import ROOT, KeystoneProcess
from keystoneauth1 import session as ksa_session
from keystoneauth1.identity import v3

__all__ = ["PROJECTS", "REGION", "ROOT", "SERVICES", "USERS", "Keystone", "password"]

REGION = "RegionOne"
#: User -> the projects that it is a member of. ``carol`` works in both.
USERS: Final = {
    "alice": ("alpha",),
    "bob": ("beta",),
    "carol": ("alpha", "beta"),
    "trustee": (),
}
PROJECTS: Final = ("alpha", "beta")
SERVICES: Final = {"messaging": "zaqar", "messaging-websocket": "zaqar-websocket"}


def password(user: str) -> str:
    """Return the password of a user."""
    return f"{user}-secret"


class Keystone(KeystoneProcess):
    """A Keystone with two projects, their users, and a catalog.

    Users have the passwords of :func:`password`; ``admin`` is the administrator, in
    the project ``admin``; ``zaqar`` is the service user, in the project ``service``;
    ``trustee`` is the user that trusts are made for.

    Attributes:
        ids: The ids of projects and users, by name.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._tokens: dict[tuple[str, str], str] = {}
        self._ids_file = directory / "ids.json"
        self.ids: dict[str, str] = {}
        if self._ids_file.is_file():
            self.ids = json.loads(self._ids_file.read_text())

    def keep_ids(self, ids: dict[str, str]) -> None:
        """Write the ids of the created resources next to the database."""
        self._ids_file.write_text(json.dumps(ids))

    # -- what a caller needs to log in ------------------------------------------

    def session(
        self, user: str = "alice", project: str | None = None
    ) -> ksa_session.Session:
        """Return a keystoneauth session of a user in a project."""
        return ksa_session.Session(auth=self.plugin(user, project))

    def plugin(self, user: str = "alice", project: str | None = None) -> v3.Password:
        """Return the keystoneauth plugin of a user in a project."""
        return v3.Password(
            auth_url=self.url,
            username=user,
            password=password(user),
            user_domain_id="default",
            project_name=self._home(user, project),
            project_domain_id="default",
        )

    def environment(
        self, user: str = "alice", project: str | None = None
    ) -> dict[str, str]:
        """Return the ``OS_*`` variables of a user in a project."""
        return {
            "OS_AUTH_TYPE": "password",
            "OS_AUTH_URL": self.url,
            "OS_USERNAME": user,
            "OS_PASSWORD": password(user),
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_NAME": self._home(user, project),
            "OS_PROJECT_DOMAIN_ID": "default",
            "OS_REGION_NAME": REGION,
            "OS_IDENTITY_API_VERSION": "3",
        }

    def clouds_yaml(self) -> str:
        """Return a ``clouds.yaml`` with a cloud for each user: its first project."""
        clouds = {
            user: {
                "region_name": REGION,
                "identity_api_version": "3",
                "auth": {
                    "auth_url": self.url,
                    "username": user,
                    "password": password(user),
                    "user_domain_id": "default",
                    "project_name": projects[0],
                    "project_domain_id": "default",
                },
            }
            for user, projects in USERS.items()
            if projects
        }
        # JSON is YAML.
        return json.dumps({"clouds": clouds}, indent=2)

    @staticmethod
    def _home(user: str, project: str | None) -> str:
        if project is not None:
            return project
        home = {"admin": "admin", "zaqar": "service"}
        return home.get(user) or USERS[user][0]

    # -- tokens ------------------------------------------------------------------

    def token(
        self,
        user: str = "alice",
        project: str | None = None,
        *,
        lifetime: int | None = None,
        scope: dict[str, Any] | None = None,
    ) -> str:
        """Return a new token.

        Args:
            user: Whose.
            project: In which project; by default the user's first.
            lifetime: How many seconds it lives, by default an hour.
            scope: Another scope than a project's; ``{}`` asks for none.
        """
        if scope is None:
            name = self._home(user, project)
            scope = {"project": {"name": name, "domain": {"id": "default"}}}
        who = {"name": user, "domain": {"id": "default"}, "password": password(user)}
        identity = {"methods": ["password"], "password": {"user": who}}
        return self._issue(
            {"identity": identity, "scope": scope or "unscoped"}, lifetime
        )

    def kept_token(self, user: str = "alice", project: str | None = None) -> str:
        """Return a token that others have got, too: it is not to be revoked."""
        key = user, self._home(user, project)
        if key not in self._tokens:
            self._tokens[key] = self.token(*key)
        return self._tokens[key]

    def application_credential_token(self, id_: str, secret: str) -> str:
        """Return a token of an application credential."""
        key = {"id": id_, "secret": secret}
        identity = {
            "methods": ["application_credential"],
            "application_credential": key,
        }
        return self._issue({"identity": identity})

    def trust_token(self, trust: str) -> str:
        """Return the token that the trustee has by a trust."""
        who = {
            "name": "trustee",
            "domain": {"id": "default"},
            "password": password("trustee"),
        }
        identity = {"methods": ["password"], "password": {"user": who}}
        scope = {"OS-TRUST:trust": {"id": trust}}
        return self._issue({"identity": identity, "scope": scope})

    def _issue(self, auth: dict[str, Any], lifetime: int | None = None) -> str:
        url, headers = self.url, {}
        if lifetime is not None:
            url = self.short_url
            headers = {"Lifetime": str(lifetime)}
        answer = requests.post(
            f"{url}/auth/tokens", json={"auth": auth}, headers=headers, timeout=30
        )
        answer.raise_for_status()
        return answer.headers["X-Subject-Token"]

    def revoke(self, token: str) -> None:
        """Make a token invalid."""
        self.call("DELETE", "/auth/tokens", headers={"X-Subject-Token": token})

    # -- the administrator's view --------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a request, by default as the administrator; return the JSON answer.

        Raises:
            requests.HTTPError: The answer is an error.
        """
        token = token or self.kept_token("admin")
        answer = requests.request(
            method,
            f"{self.url}{path}",
            json=body,
            headers={"X-Auth-Token": token, **(headers or {})},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def trusts(self) -> dict[str, dict[str, Any]]:
        """Return the live trusts, by id."""
        found = self.call("GET", "/OS-TRUST/trusts")["trusts"]
        return {trust["id"]: trust for trust in found}

    def application_credential(
        self, user: str = "alice", *, unrestricted: bool = False
    ) -> tuple[str, str]:
        """Give a user an application credential in its first project.

        Returns:
            Its id and its secret.
        """
        made = self.call(
            "POST",
            f"/users/{self.ids[user]}/application_credentials",
            {
                "application_credential": {
                    "name": os.urandom(8).hex(),
                    "unrestricted": unrestricted,
                }
            },
            token=self.kept_token(user),
        )["application_credential"]
        return made["id"], made["secret"]

    # -- what is in it ---------------------------------------------------------------

    def publish(self, **urls: str) -> None:
        """Change endpoints in the catalog.

        Args:
            urls: What they become, by type of service: ``messaging``,
                ``messaging_websocket``.
        """
        token = self.kept_token("admin")
        kinds = {
            service["id"]: service["type"].replace("-", "_")
            for service in self.call("GET", "/services", token=token)["services"]
        }
        for endpoint in self.call("GET", "/endpoints", token=token)["endpoints"]:
            url = urls.get(kinds[endpoint["service_id"]])
            if url is not None:
                self.call(
                    "PATCH",
                    f"/endpoints/{endpoint['id']}",
                    {"endpoint": {"url": url}},
                    token=token,
                )

    # -- for a server ----------------------------------------------------------------

    def server_options(self, options: str = "") -> str:
        """Return the configuration of a zaqarserver that asks this service.

        Args:
            options: More options of the group ``[DEFAULT]``, then other groups.
        """
        return (
            "auth_strategy = keystone\n"
            f"{options}\n"
            "[keystone_authtoken]\n"
            f"www_authenticate_uri = {self.url}\n"
            f"auth_url = {self.url}\n"
            "auth_type = password\n"
            "username = zaqar\n"
            f"password = {password('zaqar')}\n"
            "user_domain_id = default\n"
            "project_name = service\n"
            "project_domain_id = default\n"
            "[trustee]\n"
            f"auth_url = {self.url}\n"
            "auth_type = password\n"
            "username = trustee\n"
            f"password = {password('trustee')}\n"
            "user_domain_id = default\n"
        )
