"""The settings of ``[trustee]``: what is wrong is told at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from zaqarserver import config
from zaqarserver.errors import SettingsError
from zaqarserver.identity.trustee import load_trustee


def load(directory: Path, text: str) -> Any:
    path = directory / "zaqarserver.conf"
    path.write_text(f"[trustee]\n{text}")
    return load_trustee(config.load(["--config-file", str(path)]))


PASSWORD = (
    "auth_type = password\nauth_url = http://127.0.0.1:9\n"
    "username = trustee\npassword = secret\n"
)


def test_without_the_section_there_is_no_trustee(tmp_path: Path) -> None:
    assert load(tmp_path, "") is None


def test_a_scope_in_the_settings_does_not_count(tmp_path: Path) -> None:
    found = load(tmp_path, f"{PASSWORD}project_name = service\nproject_domain_id = d\n")
    login = found._plugin("a-trust")
    assert (login._trust_id, login._project_name) == ("a-trust", None)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("auth_type = pasword\n", "pasword"),
        ("auth_type = password\n", "auth_url"),
        ("auth_type = password\nauth_url = http://127.0.0.1:9\n", "username"),
        (PASSWORD.replace("password = secret", ""), "password"),
        ("auth_type = none\n", "auth_type"),
        ("auth_type = v3applicationcredential\n", "auth_type"),
        (f"{PASSWORD}timeout = soon\n", "timeout"),
        (f"{PASSWORD}certfile = x\n", "certfile"),
        (f"{PASSWORD}keyfile = x\n", "keyfile"),
        ("auth_section = elsewhere\n", "auth_type"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, names: str) -> None:
    with pytest.raises(SettingsError, match=rf"\[(trustee|elsewhere)\].*\b{names}\b"):
        load(tmp_path, text)
