"""Requests to Keystone about trusts; each call blocks.

A *trust* lets one user, the trustee, act for another, the trustor, in a project until
it expires. The trustee is the user of ``[trustee]``; the trustor is the user that
subscribes, with its own token (``notifications`` section 9).
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any, Final

import msgspec
from keystoneauth1 import exceptions, loading
from oslo_config import cfg

from zaqarserver.common.options import check_files, missing
from zaqarserver.errors import (
    Forbidden,
    IdentityUnavailable,
    SettingsError,
    TrustGone,
)
from zaqarserver.identity.keystone_settings import (
    DOCUMENTED_PLUGIN,
    WITH_PASSWORD,
    register_plugin,
)

LOG = logging.getLogger(__name__)

GROUP: Final = "trustee"
#: Time limit of one request to Keystone, in seconds, unless ``timeout`` is set.
REQUEST_SECONDS: Final = 5.0
_SCOPES: Final = (
    "project_id",
    "project_name",
    "project_domain_id",
    "project_domain_name",
    "domain_id",
    "domain_name",
    "system_scope",
)
_NOT_ALLOWED: Final = (
    "Keystone does not let this token create or see the trust. A token of the user's "
    "password is required: application credentials and trusts cannot create one."
)


class TrustToken(msgspec.Struct, frozen=True):
    """A token of a trust.

    Attributes:
        text: The token; a secret.
        expires: When it expires, seconds since the epoch.
    """

    text: str
    expires: float


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return the options of ``[trustee]``, with those of the plug-in ``password``."""
    return [
        (
            GROUP,
            [
                *loading.get_auth_common_conf_options(),
                *loading.get_auth_plugin_conf_options(DOCUMENTED_PLUGIN),
                *loading.get_session_conf_options(),
            ],
        )
    ]


def load_trustee(conf: cfg.ConfigOpts) -> Trustee | None:
    """Return the trustee of the settings, or ``None`` if it is not configured.

    Raises:
        SettingsError: A setting is invalid; the text names it.
    """
    loading.register_auth_conf_options(conf, GROUP)
    loading.register_session_conf_options(conf, GROUP)
    section = str(conf[GROUP].auth_section or GROUP)
    loading.register_auth_conf_options(conf, section)
    kind = conf[section].auth_type
    if not kind and section == GROUP:
        return None
    try:
        _check(conf, section, kind)
        return Trustee(conf, section)
    except (exceptions.ClientException, cfg.Error, ValueError) as error:
        raise SettingsError(f"[{section}]: {error}") from error


def _check(conf: cfg.ConfigOpts, section: str, kind: str | None) -> None:
    """Refuse invalid settings; the text names the option."""
    options = register_plugin(conf, section, kind or "")
    if "trust_id" not in {option.dest for option in options}:
        raise SettingsError(f"[{section}] auth_type: {kind} cannot use trusts.")
    needed = ["auth_url"]
    if kind in WITH_PASSWORD:
        needed += ["username or user_id", "password"]
    if lacking := missing(needed, conf[section]):
        raise SettingsError(f"[{section}] {lacking} is required by auth_type.")
    check_files(GROUP, conf[GROUP])


class Trustee:
    """The user that trusts are made for.

    Args:
        conf: The settings, checked.
        section: The section with the trustee's credentials.
    """

    def __init__(self, conf: cfg.ConfigOpts, section: str) -> None:
        self._conf = conf
        more = {} if conf[GROUP].timeout else {"timeout": REQUEST_SECONDS}
        self._session = loading.load_session_from_conf_options(conf, GROUP, **more)
        loader: Any = loading.get_plugin_loader(conf[section].auth_type)
        known = {option.dest for option in loader.get_options()}
        self._no_scope = {one: None for one in _SCOPES if one in known}
        self._login = self._plugin(None)
        place = conf[section].auth_url.rstrip("/")
        self._url = place if place.endswith("/v3") else f"{place}/v3"

    def _plugin(self, trust: str | None) -> Any:
        """Return the authentication plug-in: with a trust, or unscoped."""
        return loading.load_auth_from_conf_options(
            self._conf, GROUP, **self._no_scope, trust_id=trust
        )

    # -- with the caller's token --------------------------------------------------

    def create(self, token: str, user: str, project: str, expires: float) -> str:
        """Create a trust of the caller, with the roles of its token; return its id.

        Args:
            token: The caller's token.
            user: The caller.
            project: The project of the token, and of the trust.
            expires: When it expires, seconds since the epoch.

        Raises:
            Forbidden: Keystone refuses it to this token.
            IdentityUnavailable: Keystone does not answer, or with an error.
        """
        shown = self._call(token, "GET", "/auth/tokens", subject=token)["token"]
        own = shown["user"]["id"], shown.get("project", {}).get("id")
        if own != (user, project) or "OS-TRUST:trust" in shown:
            raise Forbidden(_NOT_ALLOWED)
        until = dt.datetime.fromtimestamp(expires, dt.UTC)
        wish = {
            "trustor_user_id": user,
            "trustee_user_id": self._user_id(),
            "project_id": project,
            "roles": [{"id": role["id"]} for role in shown["roles"]],
            "impersonation": True,
            "expires_at": until.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        made = self._call(token, "POST", "/OS-TRUST/trusts", {"trust": wish})
        return str(made["trust"]["id"])

    def is_of(self, token: str, user: str, project: str, trust: str) -> bool:
        """Return True if a trust is the caller's, for the project and this trustee.

        Raises:
            Forbidden: The caller's token is not valid any more.
            IdentityUnavailable: Keystone does not answer, or with an error.
        """
        path = f"/OS-TRUST/trusts/{trust}"
        found = self._call(token, "GET", path, missing=(403, 404))
        if found is None:
            return False
        shown = found["trust"]
        return bool(
            shown["trustor_user_id"] == user
            and shown["project_id"] == project
            and shown["trustee_user_id"] == self._user_id()
        )

    def delete(self, trust: str, token: str) -> None:
        """Delete a trust, if it exists.

        Args:
            trust: The trust.
            token: The token of the caller, or empty. If it is not the trustor's, a
                token of the trust itself is used.

        Raises:
            IdentityUnavailable: Keystone does not answer, or with an error.
        """
        if token and self._delete_with(token, trust):
            return
        try:
            own = self.token(trust)
        except TrustGone:
            return
        if not self._delete_with(own.text, trust):
            raise IdentityUnavailable("Keystone does not let the trustee remove it.")

    def _delete_with(self, token: str, trust: str) -> bool:
        path = f"/OS-TRUST/trusts/{trust}"
        answer = self._send(token, "DELETE", path)
        if answer.status_code in (401, 403):
            return False
        if answer.status_code in (204, 404):
            return True
        raise IdentityUnavailable(f"Keystone answers {answer.status_code}.")

    def _call(
        self,
        token: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        subject: str = "",
        missing: tuple[int, ...] = (),
    ) -> Any:
        """Return Keystone's answer, ``None`` for the statuses in ``missing``."""
        answer = self._send(token, method, path, body, subject)
        if answer.status_code in missing:
            return None
        if 200 <= answer.status_code < 300:
            return answer.json()
        if answer.status_code == 401:
            raise Forbidden("The token is not valid any more: get a new one.")
        if answer.status_code in (400, 403, 404):
            raise Forbidden(_NOT_ALLOWED)
        raise IdentityUnavailable(f"Keystone answers {answer.status_code}.")

    def _send(
        self, token: str, method: str, path: str, body: Any = None, subject: str = ""
    ) -> Any:
        headers = {"X-Auth-Token": token, "Accept": "application/json"}
        if subject:
            headers["X-Subject-Token"] = subject
        try:
            return self._session.request(
                f"{self._url}{path}",
                method,
                headers=headers,
                json=body,
                authenticated=False,
                raise_exc=False,
                log=False,
            )
        except exceptions.ClientException as error:
            raise _unavailable(error) from error

    # -- with the trustee's own authentication ----------------------------------------

    def token(self, trust: str) -> TrustToken:
        """Return a new token of a trust.

        Raises:
            TrustGone: The trust has expired, was deleted, or is not usable any more.
            IdentityUnavailable: Keystone does not answer, or refuses the trustee.
        """
        try:
            access = self._plugin(trust).get_access(self._session)
        except exceptions.Unauthorized as error:
            # A wrong password of the trustee has the same status: check it.
            self._log_in()
            raise TrustGone("The trust does not exist any more.") from error
        except (exceptions.Forbidden, exceptions.NotFound) as error:
            raise TrustGone("The trust gives no token any more.") from error
        except exceptions.ClientException as error:
            raise _unavailable(error) from error
        return TrustToken(access.auth_token, access.expires.timestamp())

    def _user_id(self) -> str:
        try:
            return str(self._login.get_user_id(self._session))
        except exceptions.ClientException as error:
            raise self._locked_out(error) from error

    def _log_in(self) -> None:
        try:
            self._plugin(None).get_access(self._session)
        except exceptions.ClientException as error:
            raise self._locked_out(error) from error

    @staticmethod
    def _locked_out(error: exceptions.ClientException) -> IdentityUnavailable:
        if isinstance(error, exceptions.Unauthorized):
            LOG.error("Keystone refuses the user of [%s]: check its password", GROUP)
        return _unavailable(error)


def _unavailable(error: exceptions.ClientException) -> IdentityUnavailable:
    """Return the error for the log, without its text, which may quote secrets."""
    return IdentityUnavailable(f"Keystone cannot be reached: {type(error).__name__}.")
