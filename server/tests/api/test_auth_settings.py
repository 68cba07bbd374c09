"""The settings of authentication: read as they are, and checked at the start."""

import importlib.metadata
import subprocess
import sys

import pytest
from zaqarserver import config
from zaqarserver.errors import SettingsError
from zaqarserver.identity.auth import NoAuth
from zaqarserver.identity.keystone import KeystoneAuth
from zaqarserver.identity.keystone_settings import list_opts
from zaqarserver.process.app import check_exposure, load_authenticator

#: Every setting that a server with a service user needs.
COMPLETE = {
    "auth_type": "password",
    "auth_url": "http://127.0.0.1:1/v3",
    "username": "zaqar",
    "password": "secret",
    "user_domain_id": "default",
    "project_name": "service",
    "project_domain_id": "default",
}


@pytest.fixture
def load(tmp_path):
    """Make an authenticator with settings of ``[keystone_authtoken]``."""

    def make(more="", strategy="keystone", **changed):
        values = {**COMPLETE, **changed}
        given = {name: text for name, text in values.items() if text is not None}
        lines = [f"{name} = {text}" for name, text in given.items()]
        path = tmp_path / "zaqarserver.conf"
        path.write_text(
            f"[DEFAULT]\nauth_strategy = {strategy}\n{more}\n"
            "[keystone_authtoken]\n" + "\n".join(lines) + "\n"
        )
        conf = config.load(["--config-file", str(path)])
        return load_authenticator(conf), conf

    return make


def challenge(auth):
    return auth._challenge


def test_a_complete_set_of_settings_needs_no_keystone_to_start(load):
    auth, _ = load()
    assert isinstance(auth, KeystoneAuth)
    assert auth.required
    assert challenge(auth) == 'Keystone uri="http://127.0.0.1:1/v3"'


def test_callers_are_sent_where_the_operator_says(load):
    auth, _ = load(www_authenticate_uri="https://keystone.example/v3")
    assert challenge(auth) == 'Keystone uri="https://keystone.example/v3"'


def test_without_a_strategy_nothing_of_keystone_is_read(load):
    auth, _ = load(strategy="", auth_type="nonsense")
    assert isinstance(auth, NoAuth)
    assert not auth.required


def test_another_strategy_is_refused(load):
    with pytest.raises(SettingsError, match="auth_strategy"):
        load(strategy="believe")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"auth_type": None}, "[keystone_authtoken] auth_type"),
        ({"auth_type": "nonsense"}, "[keystone_authtoken] auth_type"),
        ({"auth_url": None}, "[keystone_authtoken] auth_url"),
        ({"username": None}, "[keystone_authtoken] username or user_id"),
        ({"password": None}, "[keystone_authtoken] password"),
        ({"project_name": None}, "[keystone_authtoken] project_name"),
        ({"auth_type": "v3applicationcredential"}, "application_credential_secret"),
        ({"token_cache_time": "soon"}, "[keystone_authtoken] token_cache_time"),
        ({"insecure": "perhaps"}, "[keystone_authtoken] insecure"),
        ({"cafile": "/nowhere/ca.pem"}, "[keystone_authtoken] cafile"),
        ({"certfile": "/nowhere/cert.pem"}, "[keystone_authtoken] certfile"),
        ({"memcache_security_strategy": "ROT13"}, "memcache_security_strategy"),
        (
            {"memcache_security_strategy": "ENCRYPT", "memcache_secret_key": None},
            "memcache_secret_key",
        ),
        ({"auth_section": "elsewhere"}, "[elsewhere] auth_type"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_is_named_at_the_start(load, changed, named):
    with pytest.raises(SettingsError) as refused:
        load(**changed)
    assert named in str(refused.value)


def test_the_log_in_may_stand_in_another_section(load):
    rest = dict.fromkeys(COMPLETE)
    lines = "\n".join(f"{name} = {text}" for name, text in COMPLETE.items())
    auth, _ = load(f"[service]\n{lines}", **rest, auth_section="service")
    assert challenge(auth) == 'Keystone uri="http://127.0.0.1:1/v3"'


def test_an_application_credential_is_enough(load):
    auth, _ = load(
        auth_type="v3applicationcredential",
        **dict.fromkeys(("username", "password", "user_domain_id")),
        **dict.fromkeys(("project_name", "project_domain_id")),
        application_credential_id="x",
        application_credential_secret="y",
    )
    assert isinstance(auth, KeystoneAuth)


def test_putting_the_decision_off_is_not_possible(load):
    auth, conf = load(delay_auth_decision="true")
    assert conf.keystone_authtoken.delay_auth_decision
    assert auth._middleware._app._delay_auth_decision is False


def test_waiting_for_keystone_has_a_bound_unless_another_is_set(load):
    assert load()[0]._middleware._app._session.timeout == 5
    assert load(http_connect_timeout=2)[0]._middleware._app._session.timeout == 2


def test_memcached_needs_its_library_and_shortens_what_is_kept_here(load, monkeypatch):
    def find(name, *_):
        return None if name == "memcache" else object()

    monkeypatch.setattr("importlib.util.find_spec", find)
    with pytest.raises(SettingsError, match=r"memcached_servers.*python-memcached"):
        load(memcached_servers="127.0.0.1:11211")
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: object())
    auth, _ = load(memcached_servers="127.0.0.1:11211")
    assert auth._keeps == 10
    assert load()[0]._keeps == 300


def test_a_server_that_authenticates_may_listen_anywhere(load):
    _, conf = load()
    conf.set_override("host", "192.0.2.1", group="server")
    check_exposure(conf)
    conf.set_override("auth_strategy", "")
    with pytest.raises(SettingsError, match=r"\[server\] host"):
        check_exposure(conf)


def test_webhooks_reach_loopback_only_where_all_callers_are_on_this_machine(load):
    _, conf = load()
    assert "127.0.0.0/8" not in config.notify_settings_of(conf).allowed_networks
    _, conf = load(strategy="")
    assert "127.0.0.0/8" in config.notify_settings_of(conf).allowed_networks


def test_without_the_extra_the_server_says_what_to_install(load, monkeypatch):
    monkeypatch.delitem(sys.modules, "zaqarserver.identity.keystone")
    monkeypatch.setitem(sys.modules, "keystonemiddleware.auth_token", None)
    with pytest.raises(SettingsError) as refused:
        load()
    assert "pip install 'zaqarserver[keystone]'" in str(refused.value)


def test_a_server_without_authentication_does_not_load_the_middleware(tmp_path):
    (tmp_path / "zaqarserver.conf").write_text("")
    program = (
        "import sys\n"
        "from zaqarserver import config\n"
        "from zaqarserver.process import app\n"
        "app.load_authenticator(config.load(sys.argv[1:]))\n"
        "heavy = {'keystonemiddleware', 'keystoneauth1', 'webob'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    path = tmp_path / "zaqarserver.conf"
    done = subprocess.run(
        [sys.executable, "-c", program, "--config-file", path],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "[]\n", done.stderr


def test_the_sample_configuration_has_the_options_of_both():
    found = {
        entry.name: entry.load()()
        for entry in importlib.metadata.entry_points(group="oslo.config.opts")
        if entry.name.startswith("zaqarserver")
    }
    default = dict(found["zaqarserver"])["DEFAULT"]
    assert "auth_strategy" in {option.name for option in default}
    ((group, options),) = found["zaqarserver.keystone"]
    names = {option.dest for option in options}
    assert group == "keystone_authtoken"
    assert {"www_authenticate_uri", "token_cache_time", *COMPLETE} <= names
    assert len(names) == len(options)
    assert [name for name, _ in list_opts()] == ["keystone_authtoken"]
    assert all(option.help for option in options)
