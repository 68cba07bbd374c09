"""A real Keystone for tests: two projects, their users, and a catalog.

The service lives in ``.venv-keystone`` (see ``.ci/venv.py``), beside a template: a
database and keys in which everything that every session needs is there already.
A session copies the template and starts the service on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import grp
import hashlib
import inspect
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import requests
from keystoneauth1 import session as ksa_session
from keystoneauth1.identity import v3

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-keystone"
TEMPLATE = VENV / "template"

START_SECONDS = 60.0
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

_CONFIG = """\
[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{directory}/keystone.db
[fernet_tokens]
key_repository = {directory}/tokens
[fernet_receipts]
key_repository = {directory}/receipts
[credential]
key_repository = {directory}/credentials
[identity]
password_hash_rounds = 4
# In its own memory: a tenth of the time for each request.
[cache]
enabled = true
backend = oslo_cache.dict
"""


class NoKeystone(Exception):
    """Its environment could not be built; says why."""


def password(user: str) -> str:
    """Return the password of a user."""
    return f"{user}-secret"


def prepare() -> None:
    """See that the environment and the template are there.

    Raises:
        NoKeystone: The environment cannot be built, most likely because the package
            registry cannot be reached.
    """
    done = subprocess.run(
        [sys.executable, ROOT / ".ci/venv.py", "keystone"],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise NoKeystone(f"{VENV.name} could not be built:\n{done.stdout[-2000:]}")
    with (ROOT / f"{VENV.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made_for = TEMPLATE / "made-for"
        wanted = _recipe()
        if not made_for.is_file() or made_for.read_text() != wanted:
            _make_template()
            made_for.write_text(wanted)


def _recipe() -> str:
    """Return a digest of what decides about the template's content."""
    digest = hashlib.sha256((VENV / "fits").read_bytes())
    makers = (_make_template, Keystone.populate, password)
    sources = [inspect.getsource(maker) for maker in makers]
    digest.update(repr([*sources, _CONFIG, USERS, PROJECTS, SERVICES]).encode())
    return digest.hexdigest()


def _make_template() -> None:
    shutil.rmtree(TEMPLATE, ignore_errors=True)
    TEMPLATE.mkdir()
    config = TEMPLATE / "keystone.conf"
    config.write_text(_CONFIG.format(directory=TEMPLATE))
    owner = (
        *("--keystone-user", getpass.getuser()),
        *("--keystone-group", grp.getgrgid(os.getgid()).gr_name),
    )
    for command in (
        ("db_sync",),
        ("fernet_setup", *owner),
        ("credential_setup", *owner),
        (
            *("bootstrap", "--bootstrap-password", password("admin")),
            *("--bootstrap-region-id", REGION),
            *("--bootstrap-public-url", "http://127.0.0.1/v3"),
            *("--bootstrap-internal-url", "http://127.0.0.1/v3"),
            *("--bootstrap-admin-url", "http://127.0.0.1/v3"),
        ),
    ):
        with (TEMPLATE / "made.log").open("a") as log:
            subprocess.run(
                [VENV / "bin/keystone-manage", "--config-file", config, *command],
                check=True,
                stdout=log,
                stderr=log,
            )
    keystone = Keystone(TEMPLATE)
    keystone.start()
    try:
        keystone.populate()
    finally:
        keystone.stop()


def from_template(directory: Path) -> Keystone:
    """Return a service on a copy of the template, not started."""
    shutil.copytree(TEMPLATE, directory, dirs_exist_ok=True)
    return Keystone(directory)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Keystone:
    """An identity service on loopback.

    Users have the passwords of :func:`password`; ``admin`` is the administrator, in
    the project ``admin``; ``zaqar`` is the service user, in the project ``service``;
    ``trustee`` is whom trusts are made for.

    Attributes:
        url: Its endpoint, with ``/v3``; the same after a stop and a start.
        ids: The ids of projects and users, by name.
        log: The file that its log goes to.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = _free_port()
        self._short_port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}/v3"
        self.log = directory / "keystone.log"
        self._config = directory / "keystone.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self._tokens: dict[tuple[str, str], str] = {}
        self._ids_file = directory / "ids.json"
        self.ids: dict[str, str] = {}
        if self._ids_file.is_file():
            self.ids = json.loads(self._ids_file.read_text())

    # -- the process ---------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process id, while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the service and wait until it answers."""
        self._config.write_text(_CONFIG.format(directory=self._directory))
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OS_", "PYTHON"))
        }
        environment["OS_KEYSTONE_CONFIG_FILES"] = str(self._config)
        app = Path(__file__).with_name("keystone_app.py")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    VENV / "bin/python",
                    *("-W", "ignore"),
                    *(app, str(self._port), str(self._short_port)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        for port in (self._port, self._short_port):
            self._wait_for(port)

    def _wait_for(self, port: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"Keystone ended:\n{self.log.read_text()[-4000:]}")
            with (
                contextlib.suppress(requests.ConnectionError),
                requests.get(f"http://127.0.0.1:{port}/v3", timeout=30) as answer,
            ):
                if answer.ok:
                    return
            # Polling a process that starts, not waiting for a guess to pass.
            time.sleep(0.05)
        raise RuntimeError(f"Keystone did not start:\n{self.log.read_text()[-4000:]}")

    def stop(self) -> None:
        """End the service at once: connections to it are refused from now on."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

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
            url = f"http://127.0.0.1:{self._short_port}/v3"
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
            requests.HTTPError: The answer is no success.
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

    def populate(self) -> None:
        """Make projects, users and services in a new database."""
        token = self.kept_token("admin")

        def make(path: str, kind: str, **fields: Any) -> str:
            made = self.call("POST", path, {kind: fields}, token=token)
            return str(made[kind]["id"])

        def grant(user: str, project: str, role: str) -> None:
            path = f"/projects/{ids[project]}/users/{ids[user]}/roles/{roles[role]}"
            self.call("PUT", path, token=token)

        roles = {
            role["name"]: role["id"]
            for role in self.call("GET", "/roles", token=token)["roles"]
        }
        ids = {
            name: make("/projects", "project", name=name)
            for name in (*PROJECTS, "service")
        }
        for user in (*USERS, "zaqar"):
            ids[user] = make("/users", "user", name=user, password=password(user))
            for project in USERS.get(user, ()):
                grant(user, project, "member")
        grant("zaqar", "service", "service")
        for kind, name in SERVICES.items():
            service = make("/services", "service", type=kind, name=name)
            for interface in ("public", "internal", "admin"):
                make(
                    "/endpoints",
                    "endpoint",
                    service_id=service,
                    interface=interface,
                    region_id=REGION,
                    url="http://127.0.0.1/",
                )
        self._ids_file.write_text(json.dumps(ids))

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
