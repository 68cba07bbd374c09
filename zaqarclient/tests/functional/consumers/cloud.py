"""A messaging service as its users see it."""

from __future__ import annotations

from typing import Any, NamedTuple


class Cloud(NamedTuple):
    """Where a service is, and the credentials of one project.

    Attributes:
        url: The service.
        websocket_url: Its WebSocket.
        auth_url: The identity service; nobody listens there if there is none.
        token: A token of the project.
        project_id: The project.
        session: A keystoneauth1 session of the project.
    """

    url: str
    websocket_url: str
    auth_url: str
    token: str
    project_id: str
    session: Any

    @property
    def options(self) -> dict[str, Any]:
        """The options that most programs take from their caller's context."""
        return {
            "os_auth_token": self.token,
            "os_auth_url": self.auth_url,
            "os_project_id": self.project_id,
        }

    def conf(self, **more: Any) -> dict[str, Any]:
        """A configuration with a token, and more options."""
        options = {**self.options, **more}
        return {"auth_opts": {"backend": "keystone", "options": options}}


def signed_conf(document: dict[str, Any]) -> dict[str, Any]:
    """A configuration with what `Queue.signed_url` gave, as Heat makes it."""
    parts = dict(document)
    parts["os_project_id"] = parts.pop("project")
    return {"auth_opts": {"backend": "signed-url", "options": parts}}
