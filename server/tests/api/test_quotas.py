"""Quotas: what they answer over REST, and how they count."""

from dataclasses import fields

import pytest
from zaqarserver.common.exposition import page_of
from zaqarserver.common.metrics import Metrics
from zaqarserver.config import load
from zaqarserver.errors import QuotaExceeded, SettingsError, TooManyRequests
from zaqarserver.operations import limits
from zaqarserver.operations.limits import (
    MOST_BUCKETS,
    Limits,
    Override,
    ProjectLimits,
    Quotas,
    quotas_of,
)

MESSAGES = "/v2/queues/orders/messages"


def admitted(counted, project, now, tries=100):
    """Return how many of many requests at once are let in."""
    count = 0
    for _ in range(tries):
        try:
            counted.admit(project, now)
        except TooManyRequests:
            return count
        count += 1
    return count


# -- answers ----------------------------------------------------------------------


def test_a_full_quota_is_answered_403_with_the_limit_and_the_use(make_api):
    api = make_api("[quota]\nmessages = 3\n")
    api.post_bodies("orders", 1, 2)
    answer = api.post(MESSAGES, {"messages": [{"body": 3}, {"body": 4}]})
    assert answer.status == 403
    assert answer.json == {
        "title": "Quota exceeded",
        "description": "The quota of messages is 3: the project has 2, and this would "
        "add 2.",
    }


def test_a_request_too_many_is_answered_429_with_when_to_come_again(make_api):
    api = make_api("[quota]\nrequests_per_second = 0.25\n")
    assert api.get("/v2/queues").status == 200
    api.now += 1
    answer = api.get("/v2/queues")
    assert answer.status == 429
    assert answer.headers["retry-after"] == "3"
    assert answer.json == {
        "title": "Too many requests",
        "description": "The project may send 0.25 requests a second, 1 at once: try "
        "again in 3 s.",
    }


def test_the_rate_is_asked_before_the_body_is_read(make_api):
    api = make_api("[quota]\nrequests_per_second = 1\n")
    api.get("/v2/queues")
    assert api.post(MESSAGES, raw=b"no json").status == 429


def test_a_refused_signature_is_no_request_of_its_project(make_api):
    api = make_api("[quota]\nrequests_per_second = 1\n[signed_url]\nsecret_key = x\n")
    forged = {
        "URL-Signature": "0" * 64,
        "URL-Expires": "2100-01-01T00:00:00",
        "URL-Methods": "GET",
        "URL-Paths": MESSAGES,
    }
    for _ in range(5):
        assert api.get(MESSAGES, headers=forged).status == 404
    assert api.get(MESSAGES).status == 200


def test_any_project_is_shown_on_administrators_servers_only(make_api):
    assert make_api().get("/v2/quotas/x", headers={"X-Roles": "admin"}).status == 404
    api = make_api(admin_mode=True)
    assert api.get("/v2/quotas/x", headers={"X-Roles": "admin"}).status == 200
    for name in ("%00", "x%00topics", "x" * 257, "%0a"):
        answer = api.get(f"/v2/quotas/{name}", headers={"X-Roles": "admin"})
        assert answer.status == 400, name
        assert "project_id" in answer.json["description"]


# -- the rate ---------------------------------------------------------------------


def test_a_bucket_fills_as_time_passes_up_to_its_size():
    counted = Quotas(Limits(requests_per_second=10, burst=20))
    assert admitted(counted, "p", 0) == 20
    assert admitted(counted, "p", 0.05) == 0
    assert admitted(counted, "p", 0.15) == 1
    assert admitted(counted, "p", 1.15) == 10
    assert admitted(counted, "p", 1000) == 20


@pytest.mark.parametrize(
    ("rate", "burst", "size"), [(10, 0, 10), (0.5, 0, 1), (1.5, 0, 2), (10, 3, 3)]
)
def test_a_burst_is_a_second_of_requests_unless_told(rate, burst, size):
    counted = Quotas(Limits(requests_per_second=rate, burst=burst))
    assert admitted(counted, "p", 0) == size


def test_a_clock_that_goes_back_neither_gives_nor_takes():
    counted = Quotas(Limits(requests_per_second=1, burst=2))
    assert admitted(counted, "p", 1000) == 2
    assert admitted(counted, "p", 10) == 0
    assert admitted(counted, "p", 11) == 1


def test_over_time_a_project_gets_its_rate_and_its_burst():
    counted = Quotas(Limits(requests_per_second=7, burst=5))
    total = sum(admitted(counted, "p", step / 10) for step in range(1001))
    assert total == 5 + 7 * 100


@pytest.mark.parametrize("rate", [0.07, 0.3, 1 / 3, 0.7, 1, 3, 1e9])
def test_who_waits_as_long_as_told_is_let_in(rate):
    counted = Quotas(Limits(requests_per_second=rate, burst=2))
    now = 0.0
    for _ in range(50):
        try:
            counted.admit("p", now)
        except TooManyRequests as error:
            now += error.retry_after
            counted.admit("p", now)


def test_only_so_many_buckets_are_remembered_those_used_last(monkeypatch):
    monkeypatch.setattr(limits, "MOST_BUCKETS", 3)
    counted = Quotas(Limits(requests_per_second=1, burst=1))
    for project in "abca":
        admitted(counted, project, 0)
    admitted(counted, "d", 0)
    assert [counted.remaining(project, 0) for project in "acd"] == [0, 0, 0]
    assert counted.remaining("b", 0) == 1
    assert len(counted._buckets) == 3
    assert MOST_BUCKETS >= 1000


def test_without_a_rate_nothing_is_remembered():
    counted = Quotas(Limits(queues=1))
    for number in range(100):
        counted.admit(f"p{number}", 0)
    assert not counted._buckets


# -- sockets ----------------------------------------------------------------------


def test_sockets_are_counted_and_forgotten():
    counted = Quotas(Limits(sockets=1))
    counted.open_socket("p", 0)
    with pytest.raises(QuotaExceeded):
        counted.open_socket("p", 0)
    counted.close_socket("p")
    counted.open_socket("p", 0)
    counted.close_socket("p")
    assert counted.sockets("p") == 0
    assert not counted._sockets


# -- settings -----------------------------------------------------------------------


def configured(tmp_path, *lines):
    path = tmp_path / "zaqarserver.conf"
    path.write_text("\n".join(("[quota]", *lines)))
    return quotas_of(load(["--config-file", str(path)]))


def test_nothing_is_limited_by_default(tmp_path):
    counted = configured(tmp_path)
    assert counted.limits("p", 0) == Limits()
    assert not counted.limits("p", 0).limit_stock
    assert admitted(counted, "p", 0) == 100


def test_settings_become_limits(tmp_path):
    counted = configured(tmp_path, "queues = 0", "bytes = 7", "requests_per_second=1.5")
    assert counted.limits("p", 0) == Limits(queues=0, bytes=7, requests_per_second=1.5)


@pytest.mark.parametrize(
    "line",
    [
        "queues = -2",
        "messages = many",
        "burst = -1",
        "requests_per_second = 0",
        "requests_per_second = -3",
        "requests_per_second = nan",
        "requests_per_second = inf",
        "overrides_file = /nowhere/quotas.toml",
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_at_the_start(tmp_path, line):
    with pytest.raises(SettingsError, match=line.split()[0]):
        configured(tmp_path, line)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[p]\nqueus = 1", "queus"),
        ("[p]\nqueues = 'x'", "queues"),
        ("[p]\nqueues = -2", "queues"),
        ("[p]\nburst = -1", "burst"),
        ("[p]\nrequests_per_second = 0", "requests_per_second"),
        ("[p]\nrequests_per_second = inf", "requests_per_second"),
        ("[p\n", "quotas.toml"),
        ("p = 1", "quotas.toml"),
    ],
)
def test_overrides_that_make_no_sense_are_refused_at_the_start(tmp_path, text, named):
    path = tmp_path / "quotas.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=named):
        configured(tmp_path, f"overrides_file = {path}")


def test_an_override_leaves_alone_what_it_does_not_name(tmp_path):
    path = tmp_path / "quotas.toml"
    path.write_text('["4f2a"]\nmessages = 9\nrequests_per_second = 5\n')
    counted = configured(
        tmp_path, "queues = 1", "messages = 2", f"overrides_file = {path}"
    )
    assert counted.limits("other", 0) == Limits(queues=1, messages=2)
    expected = Limits(queues=1, messages=9, requests_per_second=5)
    assert counted.limits("4f2a", 0) == expected


def test_a_broken_file_is_logged_once_and_changes_nothing(tmp_path, caplog):
    path = tmp_path / "quotas.toml"
    path.write_text("[p]\nqueues = 1\n")
    overrides = ProjectLimits(path, Limits())
    path.write_text("[p]\nqueues = wrong\n")
    for now in range(10, 15):
        assert overrides.find("p", now).queues == 1
    assert caplog.text.count("quotas stay as they were") == 1


def test_every_limit_can_be_overridden():
    assert set(Override.__struct_fields__) == {field.name for field in fields(Limits)}


# -- metrics ------------------------------------------------------------------------


def test_what_was_refused_is_counted_by_quota():
    counted = Quotas(Limits(sockets=0, requests_per_second=1))
    metrics = Metrics()
    name = "zaqar_quota_refusals"
    metrics.watch(name, "Refused.", ("quota",), lambda: counted.refused)
    admitted(counted, "p", 0)
    with pytest.raises(QuotaExceeded):
        counted.open_socket("p", 0)
    page = page_of(metrics).decode()
    assert 'zaqar_quota_refusals_total{quota="requests"} 1.0' in page
    assert 'zaqar_quota_refusals_total{quota="sockets"} 1.0' in page
