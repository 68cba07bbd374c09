"""Subscriptions (``notifications`` 1-3, ``rest-v2`` 2.10, ``websocket-v2`` 6.4)."""

import pytest

from .service import BAD_REQUEST, CONFLICT, NOT_FOUND, OK

HOOK = "http://trigger.example/in"


def test_a_subscription_is_made_and_shown(service):
    id_ = service.subscribe("orders", HOOK, ttl=600, options={"a": [1, None]})
    service.wait(12)
    shown = {
        "id": id_,
        "source": "orders",
        "subscriber": HOOK,
        "ttl": 600,
        "age": 12,
        "options": {"a": [1, None]},
        "confirmed": False,
    }
    assert service.subscription_get("orders", id_).result == shown
    assert service.subscription_list("orders").result == [shown]


def test_ttl_and_options_have_defaults(service):
    shown = service.subscription_get("orders", service.subscribe("orders", HOOK))
    assert (shown.result["ttl"], shown.result["options"]) == (3600, {})


BAD = [
    {"subscriber": "fake"},
    {"subscriber": "email://fake"},
    {"subscriber": 7},
    {"subscriber": ["http://x.example/"]},
    {"subscriber": "http:"},
    {"subscriber": "http://"},
    {"subscriber": "http://a b/"},
    {"subscriber": "http://a:99999/"},
    {"subscriber": "mailto:nobody"},
    {"subscriber": HOOK, "ttl": 59},
    {"subscriber": HOOK, "ttl": 0},
    {"subscriber": HOOK, "ttl": "60"},
    {"subscriber": HOOK, "ttl": 60.5},
    {"subscriber": HOOK, "ttl": None},
    {"subscriber": HOOK, "ttl": True},
    {"subscriber": HOOK, "ttl": 10**12},
    {"subscriber": HOOK, "options": 1},
    {"subscriber": HOOK, "options": "123"},
    {"subscriber": HOOK, "options": []},
    {"subscriber": HOOK, "options": None},
    {"subscriber": HOOK, "options": {"post_data": 7}},
    {"subscriber": HOOK, "options": {"post_headers": {"a": 1}}},
    {"subscriber": HOOK, "options": {"subject": "a\r\nBcc: b"}},
    {"subscriber": HOOK, "options": {"_retry_policy": 7}},
    {"subscriber": HOOK, "options": {"_retry_policy": {"minimum_delay": "5"}}},
]


@pytest.mark.parametrize("document", BAD, ids=str)
def test_what_makes_no_sense_is_refused_and_makes_nothing(service, document):
    assert service.subscription_create("orders", document).status == BAD_REQUEST
    assert service.queue_list().result == []
    id_ = service.subscribe("orders", "http://other.example/")
    before = service.subscription_get("orders", id_).result
    changes = {key: value for key, value in document.items() if value is not None}
    if changes != {"subscriber": HOOK}:
        refused = service.subscription_update("orders", id_, changes)
        assert refused.status == BAD_REQUEST
    assert service.subscription_list("orders").result == [before]


NOWHERE = [
    "mailto://a@x.example",
    "mailto:///a@x.example",
    "mailto:a@@b.example",
    "mailto:a@b.example,",
    "mailto:" + ",".join(["a@b.example"] * 21),
    "mailto:a@b.example?subject=x%0D%0Ay",
    "mailto:a@b.example?subject=" + "x" * 5000,
    "http://a..b/",
    "http://h%00/",
    "http://h\\x/",
    "http://%/",
    "http://h:0/",
    "http://h:x/",
    "http://[::1/",
    "http://[::g]/",
    "http://-h.example/",
    f"http://{'a' * 64}.example/",
    f"http://{'a.' * 130}example/",
    "http://1.2.3.4.5/",
    "http://300.1.1.1/",
    "http://bücher..example/",
    "http://u%3Av@h.example/",
    "https://ū@h.example/",
    "http:///path",
]


@pytest.mark.parametrize("uri", NOWHERE, ids=lambda uri: uri[:40])
@pytest.mark.parametrize("topics", [False, True], ids=["queue", "topic"])
def test_a_subscriber_that_nothing_can_be_sent_to_is_refused(service, uri, topics):
    service = service.of_topics() if topics else service
    id_ = service.subscribe("orders", HOOK)
    before = service.subscription_list("orders").result
    refused = service.subscription_create("orders", {"subscriber": uri})
    assert refused.status == BAD_REQUEST
    refused = service.subscription_update("orders", id_, {"subscriber": uri})
    assert refused.status == BAD_REQUEST
    assert service.subscription_list("orders").result == before


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "host",
        "Content_Length",
        "Transfer_Encoding",
        "webhook_id",
        "WEBHOOK_Signature",
        "webhook.timestamp",
        "Zaqar_Delivery_Attempt",
        "Proxy",
        "HTTP2-Settings",
    ],
)
def test_a_header_that_passes_for_one_of_the_servers_is_refused(service, name):
    options = {"post_headers": {name: "1"}}
    id_ = service.subscribe("orders", HOOK)
    document = {"subscriber": "http://other.example/", "options": options}
    assert service.subscription_create("orders", document).status == BAD_REQUEST
    changes = {"options": options}
    assert service.subscription_update("orders", id_, changes).status == BAD_REQUEST


@pytest.mark.parametrize(
    "uri",
    [
        "HTTP://x.example",
        "http://127.0.0.1:8080",
        "http://127.1/",
        "http://[::1]:80/?",
        "http://[fe80::1%25eth0]/",
        "http://my_service.internal.:8080/a/./b/../c?x=%2F#y",
        "http://bücher.example/ä",
        "http://joe:p%40ss@x.example/",
        "https://x.example:1/a?b=c",
        "mailto:a@b.example?subject=hi",
    ],
)
def test_known_kinds_of_subscriber_are_kept_as_typed(service, uri):
    id_ = service.subscribe("orders", uri)
    assert service.subscription_get("orders", id_).result["subscriber"] == uri


def test_a_duplicate_gives_the_id_there_is_or_over_frames_conflicts(service):
    id_ = service.subscribe("orders", HOOK, ttl=600)
    again = service.subscription_create(
        "orders", {"subscriber": HOOK, "ttl": 60, "options": {"x": 1}}
    )
    assert (again.status, again.value) == (
        (CONFLICT, None) if service.frames else (OK, id_)
    )
    shown = service.subscription_get("orders", id_).result
    assert (shown["ttl"], shown["options"]) == (600, {})
    assert len(service.subscription_list("orders").result) == 1


def test_a_duplicate_that_is_confirmed_conflicts(service):
    id_ = service.subscribe("orders", HOOK)
    assert service.subscription_confirm("orders", id_, confirmed=True).status == OK
    again = service.subscription_create("orders", {"subscriber": HOOK})
    assert again.status == CONFLICT


def test_the_same_uri_may_subscribe_to_several_queues(service):
    first = service.subscribe("orders", HOOK)
    assert service.subscribe("others", HOOK) != first


@pytest.mark.parametrize("limit", [1, 5, 20])
def test_subscriptions_come_page_by_page_to_the_end(service, limit):
    ids = [service.subscribe("orders", f"http://h{n}.example/") for n in range(12)]
    assert len(service.subscription_list("orders").result) == 10
    pages = list(service.pages(service.subscription_list("orders", limit=limit)))
    assert [item["id"] for page in pages for item in page] == ids
    assert {len(page) for page in pages[:-1]} <= {limit}


def test_a_subscription_ends_to_the_second_and_may_be_made_again(service):
    id_ = service.subscribe("orders", HOOK, ttl=60)
    service.wait(59.75)
    assert service.subscription_get("orders", id_).result["age"] == 59
    service.wait(0.25)
    assert service.subscription_get("orders", id_).status == NOT_FOUND
    assert service.subscription_list("orders").result == []
    update = service.subscription_update("orders", id_, {"ttl": 60})
    assert update.status == NOT_FOUND
    confirm = service.subscription_confirm("orders", id_, confirmed=True)
    assert confirm.status == NOT_FOUND
    assert service.subscribe("orders", HOOK) != id_


def test_a_change_replaces_what_is_named_and_starts_the_ttl_again(service):
    id_ = service.subscribe("orders", HOOK, ttl=60, options={"a": 1})
    service.wait(50)
    assert service.subscription_update("orders", id_, {"ttl": 100}).status == OK
    service.wait(99.75)
    assert service.subscription_get("orders", id_).result["options"] == {"a": 1}
    new = {"subscriber": "http://new.example/", "options": {"b": 2}}
    assert service.subscription_update("orders", id_, new).status == OK
    shown = service.subscription_get("orders", id_).result
    assert {key: shown[key] for key in new} == new
    service.wait(0.25)
    assert service.subscription_get("orders", id_).status == NOT_FOUND


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"confirmed": True},
        {"subscriber": None, "ttl": None, "options": None},
        {"ttl": 60, "queue": "x"},
        {"ttl": 60, "project": "x"},
    ],
    ids=str,
)
def test_a_change_of_nothing_or_of_what_is_fixed_is_refused(service, changes):
    assert service.subscription_update("orders", "none", changes).status == BAD_REQUEST
    id_ = service.subscribe("orders", HOOK)
    before = service.subscription_get("orders", id_).result
    assert service.subscription_update("orders", id_, changes).status == BAD_REQUEST
    assert service.subscription_get("orders", id_).result == before


def test_a_change_to_a_subscriber_there_is_conflicts(service):
    service.subscribe("orders", "http://a.example/")
    id_ = service.subscribe("orders", "http://b.example/")
    same, other = (
        {"subscriber": "http://b.example/"},
        {"subscriber": "http://a.example/"},
    )
    assert service.subscription_update("orders", id_, other).status == CONFLICT
    assert service.subscription_update("orders", id_, same).status == OK


def test_the_owner_may_confirm_repeat_it_and_take_it_back(service):
    id_ = service.subscribe("orders", HOOK)
    for confirmed in (True, True, False, False):
        answer = service.subscription_confirm("orders", id_, confirmed)
        assert answer.status == OK
        shown = service.subscription_get("orders", id_).result
        assert shown["confirmed"] is confirmed


@pytest.mark.parametrize("confirmed", [1, "true", None, [True], {}], ids=str)
def test_a_confirmation_is_a_boolean(service, confirmed):
    id_ = service.subscribe("orders", HOOK)
    answer = service.subscription_confirm("orders", id_, confirmed)
    assert answer.status == BAD_REQUEST
    assert service.subscription_get("orders", id_).result["confirmed"] is False


def test_a_new_subscriber_has_agreed_to_nothing(service):
    id_ = service.subscribe("orders", HOOK)
    service.subscription_confirm("orders", id_, confirmed=True)
    service.subscription_update("orders", id_, {"subscriber": "http://new.example/"})
    assert service.subscription_get("orders", id_).result["confirmed"] is False


def test_a_subscription_is_seen_under_its_own_queue_only(service):
    id_ = service.subscribe("orders", HOOK)
    service.queue_create("others")
    assert service.subscription_get("others", id_).status == NOT_FOUND
    update = service.subscription_update("others", id_, {"ttl": 60})
    assert update.status == NOT_FOUND
    confirm = service.subscription_confirm("others", id_, confirmed=True)
    assert confirm.status == NOT_FOUND
    assert service.subscription_delete("others", id_).status == OK
    assert service.subscription_get("orders", id_).result["confirmed"] is False


def test_deleting_can_be_repeated_and_is_final(service):
    id_ = service.subscribe("orders", HOOK)
    for _ in range(2):
        assert service.subscription_delete("orders", id_).status == OK
    assert service.subscription_get("orders", id_).status == NOT_FOUND
    assert service.subscription_list("orders").result == []


@pytest.mark.parametrize("topics", [False, True], ids=["queue", "topic"])
def test_subscriber_and_options_have_a_limit_together(service, topics):
    service = service.of_topics() if topics else service
    long = f"http://x.example/{'p' * 30_000}"
    many = {"note": "x" * 40_000}
    large = {"note": "x" * 70_000}
    created = service.subscription_create
    assert created("a", {"subscriber": HOOK, "options": large}).status == BAD_REQUEST
    assert created("a", {"subscriber": long, "options": many}).status == BAD_REQUEST
    id_ = service.subscribe("a", HOOK, options=many)
    before = service.subscription_get("a", id_).result
    for changes in ({"subscriber": long}, {"options": large}):
        assert service.subscription_update("a", id_, changes).status == BAD_REQUEST
    assert service.subscription_get("a", id_).result == before
    changes = {"subscriber": long, "options": {}}
    assert service.subscription_update("a", id_, changes).status == OK
