"""The options of ``[notification]`` and what the notifier reads of them."""

from __future__ import annotations

import dataclasses

import pytest
from oslo_config import cfg
from zaqarserver.common.options import options, values
from zaqarserver.notify.dispatch import load_deliverers
from zaqarserver.notify.email import MailDeliverer
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.webhook import WebhookDeliverer

NOTIFICATION_OPTS = options(NotifySettings)


@pytest.fixture
def conf():
    made = cfg.ConfigOpts()
    made.register_opts(NOTIFICATION_OPTS, group="notification")
    made([], default_config_files=[])
    return made


def test_each_setting_is_an_option_with_the_same_default(conf):
    names = {field.name for field in dataclasses.fields(NotifySettings)}
    names.remove("trusts")  # a part of the server, that only it can give
    assert {option.dest for option in NOTIFICATION_OPTS} == names
    given = values(NotifySettings, conf.notification)
    assert NotifySettings(**given) == NotifySettings()


def test_each_option_says_what_it_is_for():
    assert all(option.help.endswith(".") for option in NOTIFICATION_OPTS)


def test_secrets_are_marked_as_such():
    secret = {option.dest for option in NOTIFICATION_OPTS if option.secret}
    assert secret == {"smtp_user_password", "webhook_signing_key"}
    assert "swordfish" not in repr(NotifySettings(smtp_user_password="swordfish"))


def test_the_installed_deliverers_are_found_by_scheme():
    found = load_deliverers(NotifySettings())
    assert isinstance(found["mailto"], MailDeliverer)
    assert isinstance(found["http"], WebhookDeliverer)
    assert found["http"] is found["https"]
