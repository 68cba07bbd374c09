"""The environment of Keystone, and a database that sessions copy.

The service lives in ``.venv-keystone`` (see ``.ci/venv.py``), beside a template: a
database and keys in which everything that every session needs is there already.
"""

from __future__ import annotations

import fcntl
import getpass
import grp
import hashlib
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from keystone_process import CONFIG, ROOT, VENV
from keystone_service import (
    PROJECTS,
    REGION,
    SERVICES,
    USERS,
    Keystone,
    password,
)

TEMPLATE = VENV / "template"


class NoKeystone(Exception):
    """Its environment could not be built; says why."""


def from_template(directory: Path) -> Keystone:
    """Return a service on a copy of the template, not started.

    The first time on a machine the environment is built, and the template.

    Args:
        directory: Where the copy lies; it is made.

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
    # Another session may be making the template anew.
    with (ROOT / f"{VENV.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made_for = TEMPLATE / "made-for"
        wanted = _recipe()
        if not made_for.is_file() or made_for.read_text() != wanted:
            _make_template()
            made_for.write_text(wanted)
        shutil.copytree(TEMPLATE, directory, dirs_exist_ok=True)
    return Keystone(directory)


def _recipe() -> str:
    """Return a digest of what decides about the template's content."""
    digest = hashlib.sha256((VENV / "fits").read_bytes())
    makers = (_make_template, _populate, password)
    sources = [inspect.getsource(maker) for maker in makers]
    digest.update(repr([*sources, CONFIG, USERS, PROJECTS, SERVICES]).encode())
    return digest.hexdigest()


def _make_template() -> None:
    shutil.rmtree(TEMPLATE, ignore_errors=True)
    TEMPLATE.mkdir()
    config = TEMPLATE / "keystone.conf"
    config.write_text(CONFIG.format(directory=TEMPLATE))
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
        _populate(keystone)
    finally:
        keystone.stop()


def _populate(keystone: Keystone) -> None:
    """Make projects, users and services in a new database."""
    token = keystone.kept_token("admin")

    def make(path: str, kind: str, **fields: Any) -> str:
        made = keystone.call("POST", path, {kind: fields}, token=token)
        return str(made[kind]["id"])

    def grant(user: str, project: str, role: str) -> None:
        path = f"/projects/{ids[project]}/users/{ids[user]}/roles/{roles[role]}"
        keystone.call("PUT", path, token=token)

    roles = {
        role["name"]: role["id"]
        for role in keystone.call("GET", "/roles", token=token)["roles"]
    }
    ids = {
        name: make("/projects", "project", name=name) for name in (*PROJECTS, "service")
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
    keystone.keep_ids(ids)
