"""Quotas hold alike on every transport, for queues and topics together."""

import asyncio
import json
import uuid

import pytest
from zaqarserver.storage.accounts import UsageGet

from .bench import Bench
from .over_frames import OverFrames
from .service import BAD_REQUEST, FORBIDDEN, OK, TOO_MANY

LIMITS = """
[DEFAULT]
admin_mode = true
[quota]
queues = 3
messages = 6
bytes = 40
subscriptions = 2
"""


@pytest.fixture(scope="module")
def make_bench(tmp_path_factory):
    """Make servers that the tests share; each acts in a project of its own."""
    made = {}

    def make(options):
        if options not in made:
            directory = tmp_path_factory.mktemp("quotas")
            made[options] = Bench(directory, "sqlite://:memory:", options)
        return made[options]

    yield make
    for bench in made.values():
        bench.close()


@pytest.fixture
def service_with(make_bench, transport):
    """Make a service on a shared server with these lines of configuration."""
    made = []

    def make(options):
        made.append(transport(make_bench(options), uuid.uuid4().hex))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def limited(service_with):
    """A server that limits what a project keeps."""
    return service_with(LIMITS)


def used(service):
    """Return what the project uses, without what it uses nothing of."""
    quotas = service.quota_show().result["quotas"]
    return {kind: one["used"] for kind, one in quotas.items() if one["used"]}


# -- what is kept ---------------------------------------------------------------


def test_nothing_is_limited_unless_told(service):
    for number in range(20):
        service.post(f"queue{number}", *range(5))
    shown = service.quota_show().result
    assert {one["limit"] for one in shown["quotas"].values()} == {-1}
    assert shown["quotas"]["messages"]["used"] == 100
    assert shown["rate"] == {"requests_per_second": -1, "burst": -1, "remaining": -1}


def test_a_queue_too_many_is_refused_and_not_made(limited):
    for name in "abc":
        assert limited.queue_create(name).status == OK
    assert limited.queue_create("d").status == FORBIDDEN
    assert limited.message_post("d", [{"body": 1}]).status == FORBIDDEN
    subscription = {"subscriber": "http://x.example/"}
    assert limited.subscription_create("d", subscription).status == FORBIDDEN
    assert [one["name"] for one in limited.queue_list().result] == ["a", "b", "c"]


def test_what_exists_is_used_on_though_the_quota_is_full(limited):
    for name in "abc":
        limited.queue_create(name)
    assert limited.queue_create("a").result is False
    assert limited.post("a", 1)
    assert limited.subscribe("b", "http://x.example/")
    patch = [{"op": "add", "path": "/metadata/team", "value": "x"}]
    assert limited.queue_update("c", patch).status == OK
    assert limited.claim_create("a").result is not None


def test_queues_and_topics_share_one_quota(limited):
    topics = limited.of_topics()
    assert limited.queue_create("a").status == OK
    assert topics.queue_create("a").status == OK
    assert topics.message_post("b", [{"body": 1}]).status == OK
    assert limited.queue_create("d").status == FORBIDDEN
    assert topics.queue_create("d").status == FORBIDDEN
    limited.post("a", 2, 3, 4, 5)
    assert topics.message_post("b", [{"body": 6}, {"body": 7}]).status == FORBIDDEN
    assert limited.message_post("a", [{"body": 6}, {"body": 7}]).status == FORBIDDEN
    assert topics.message_post("b", [{"body": 6}]).status == OK
    found = used(limited)
    assert (found["queues"], found["messages"]) == (3, 6)


def test_messages_too_many_are_refused_all_together(limited):
    limited.post("a", 1, 2, 3, 4)
    assert limited.message_post("a", [{"body": 5}] * 3).status == FORBIDDEN
    assert limited.bodies("a") == [1, 2, 3, 4]
    limited.post("a", 5, 6)
    assert limited.message_post("a", [{"body": 7}]).status == FORBIDDEN
    assert used(limited)["messages"] == 6


def test_bytes_are_counted_as_they_are_stored(limited):
    limited.post("a", "x" * 18)  # and two quotes
    assert used(limited)["bytes"] == 20
    assert limited.message_post("a", [{"body": "x" * 19}]).status == FORBIDDEN
    limited.post("a", "x" * 18)
    assert used(limited)["bytes"] == 40


def test_subscriptions_too_many_are_refused(limited):
    limited.subscribe("a", "http://a.example/")
    limited.of_topics().subscribe("a", "http://b.example/")
    third = {"subscriber": "http://c.example/"}
    assert limited.subscription_create("a", third).status == FORBIDDEN
    assert len(limited.subscription_list("a").result) == 1


def test_what_was_removed_makes_room(limited):
    one, *_ = limited.post("a", *range(6))
    limited.queue_create("b")
    limited.queue_create("c")
    first = limited.subscribe("a", "http://a.example/")
    limited.subscribe("a", "http://b.example/")
    assert limited.message_delete("a", one).status == OK
    limited.post("a", 7)
    limited.queue_purge("a", resource_types=["messages"])
    limited.post("a", *range(6))
    limited.queue_delete("b")
    assert limited.queue_create("d").status == OK
    limited.subscription_delete("a", first)
    limited.subscribe("a", "http://c.example/")
    limited.queue_delete("a")
    limited.post("e", *range(6))
    assert used(limited) == {
        "queues": 3,
        "messages": 6,
        "bytes": 6,
        "subscriptions": 2,
        **({"sockets": 1} if limited.frames else {}),
    }


def test_what_has_expired_makes_room(limited):
    limited.post("a", *range(6), ttl=60)
    limited.wait(60)
    while limited.bench.run(limited.bench.storage.sweep(limited.bench.now)):
        pass
    limited.post("a", *range(6))


def test_one_projects_use_is_no_others(limited):
    limited.post("a", *range(6))
    other = limited.as_caller(project=uuid.uuid4().hex)
    other.post("a", *range(6))
    assert used(other)["messages"] == 6


def test_posts_at_once_never_exceed_a_quota_together(limited):
    bench, project = limited.bench, limited.project

    async def post(number):
        answer = await limited.bench.ask(
            "POST",
            "/v2/queues/a/messages",
            limited._headers,
            json.dumps({"messages": [{"body": number}] * 2}).encode(),
        )
        return answer.status

    async def all_at_once():
        return await asyncio.gather(*(post(number % 10) for number in range(20)))

    statuses = bench.run(all_at_once())
    assert statuses.count(201) == 3
    assert statuses.count(403) == 17
    usage = bench.run(bench.storage.do(UsageGet(project, bench.now)))
    assert (usage.queues, usage.messages) == (1, 6)


def test_what_failed_leaves_no_mark(limited):
    limited.post("a", *range(6))
    for _ in range(3):
        assert limited.message_post("a", [{"body": 1}]).status == FORBIDDEN
    limited.queue_purge("a")
    limited.post("a", *range(6))


def test_dead_letters_move_though_the_quota_is_full(service_with):
    service = service_with("[quota]\nqueues = 2\nmessages = 1\n")
    service.queue_create("a", {"_max_claim_count": 1, "_dead_letter_queue": "dead"})
    service.queue_create("b")
    service.post("a", 1)
    claim = service.claim_create("a").result
    service.claim_delete("a", claim.id)
    service.claim_create("a")
    assert service.bodies("dead") == [1]
    assert used(service)["queues"] == 3
    assert service.queue_create("c").status == FORBIDDEN


def test_naming_a_dead_letter_queue_that_is_not_there_needs_room_for_it(service_with):
    service = service_with("[quota]\nqueues = 2\n")
    dead = {"_dead_letter_queue": "dead", "_max_claim_count": 1}
    assert service.queue_create("a", dead).status == OK
    assert service.queue_create("b", dead).status == FORBIDDEN
    assert service.queue_create("b").status == OK
    # Nothing is made by saying again what is known.
    assert service.queue_create("a", dead).status == OK
    move = {"op": "replace", "path": "/metadata/_dead_letter_queue"}
    assert service.queue_update("a", [{**move, "value": "b"}]).status == OK
    assert service.queue_update("b", [{**move, "value": "a"}]).status == OK
    assert service.queue_update("a", [{**move, "value": "c"}]).status == FORBIDDEN
    assert service.queue_get("a").result["_dead_letter_queue"] == "b"


# -- the rate -------------------------------------------------------------------


@pytest.fixture
def slow(service_with):
    """A server that lets each project send a request in two seconds."""
    return service_with("[quota]\nrequests_per_second = 0.5\nburst = 3\n")


def test_one_request_too_many_is_told_when_to_come_again(slow):
    for _ in range(3):
        assert slow.queue_list().status == OK
    answer = slow.message_post("orders", [{"body": 1}])
    assert (answer.status, answer.value) == (TOO_MANY, 2)
    slow.wait(1)
    assert slow.queue_list().value == 1
    slow.wait(1)
    assert slow.queue_list().result == [], "what was refused did nothing"
    assert slow.queue_list().status == TOO_MANY


def test_what_is_refused_costs_nothing(slow):
    for _ in range(3):
        slow.queue_list()
    for _ in range(50):
        assert slow.queue_list().status == TOO_MANY
    slow.wait(2)
    assert slow.queue_list().status == OK


def test_a_pause_brings_no_more_than_a_burst(slow):
    slow.queue_list()
    slow.wait(10_000)
    found = [slow.queue_list().status for _ in range(5)]
    assert found == [OK, OK, OK, TOO_MANY, TOO_MANY]


def test_each_project_has_a_rate_of_its_own(slow):
    for _ in range(4):
        slow.queue_list()
    assert slow.queue_list().status == TOO_MANY
    assert slow.as_caller(project=uuid.uuid4().hex).queue_list().status == OK


def test_topics_are_requests_too(slow):
    topics = slow.of_topics()
    for _ in range(3):
        topics.queue_list()
    assert slow.queue_list().status == TOO_MANY
    assert topics.queue_list().status == TOO_MANY


def test_the_rate_is_shown(slow):
    slow.queue_list()
    assert slow.quota_show().result["rate"] == {
        "requests_per_second": 0.5,
        "burst": 3,
        "remaining": 1,
    }


# -- what is shown ----------------------------------------------------------------


def test_limits_and_use_are_shown(limited):
    limited.post("a", "x", 2)
    limited.subscribe("a", "http://a.example/")
    assert limited.quota_show().result["quotas"] == {
        "queues": {"limit": 3, "used": 1},
        "messages": {"limit": 6, "used": 2},
        "bytes": {"limit": 40, "used": 4},
        "subscriptions": {"limit": 2, "used": 1},
        "sockets": {"limit": -1, "used": 1 if limited.frames else 0},
        "waiters": {"limit": -1, "used": 0},
    }


def test_administrators_are_shown_any_project(limited):
    limited.post("a", 1, 2)
    admin = limited.as_caller(project="other", roles="admin")
    shown = admin.quota_show_project(limited.project).result
    assert shown["quotas"]["messages"] == {"limit": 6, "used": 2}
    assert admin.quota_show_project("nobody").result["quotas"]["queues"]["used"] == 0


def test_nobody_else_is_shown_any_project(limited):
    other = limited.as_caller(project="other", roles="member")
    for project in (limited.project, "other"):
        assert other.quota_show_project(project).status == FORBIDDEN


# -- overrides ----------------------------------------------------------------------


def test_a_project_may_have_other_quotas_and_changes_are_followed(
    make_service, tmp_path
):
    path = tmp_path / "quotas.toml"
    path.write_text("[big]\nqueues = 2\n")
    service = make_service(f"[quota]\nqueues = 1\noverrides_file = {path}\n")
    big = service.as_caller(project="big")
    for caller in (service, big):
        assert caller.queue_create("a").status == OK
    assert service.queue_create("b").status == FORBIDDEN
    assert big.queue_create("b").status == OK
    assert big.queue_create("c").status == FORBIDDEN
    path.write_text("[big]\nqueues = -1\n")
    service.wait(1)
    assert big.queue_create("c").status == OK
    path.write_text("[big]\nqueues = none\n")
    service.wait(1)
    assert big.queue_create("d").status == OK, "what was known holds on"
    path.unlink()
    service.wait(1)
    assert big.queue_create("e").status == OK
    path.write_text("")
    service.wait(1)
    assert big.queue_create("f").status == FORBIDDEN


# -- sockets --------------------------------------------------------------------------


@pytest.fixture
def two_sockets(make_bench):
    """Make WebSockets to a server where a project has two of them at most."""
    bench = make_bench("[quota]\nsockets = 2\n")
    made = []

    def make(project="crowd"):
        made.append(OverFrames(bench, project, binary=False))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_socket_too_many_is_told_why_and_closed(two_sockets):
    first, second, third = (two_sockets() for _ in range(3))
    assert first.ping().status == OK
    assert second.ping().status == OK
    status, body = third._exchange("ping", {})
    assert status == 403
    assert body["error"] == (
        "The quota of sockets is 2: the project has 2, and this would add 1."
    )
    assert third._dialog.dropped == 1008
    assert first.ping().status == OK
    assert first.quota_show().result["quotas"]["sockets"] == {"limit": 2, "used": 2}


def test_a_socket_that_ends_makes_room(two_sockets):
    first, second = two_sockets(), two_sockets()
    assert [first.ping().status, second.ping().status] == [OK, OK]
    first.close()
    assert two_sockets().ping().status == OK
    assert two_sockets()._exchange("ping", {})[0] == 403


def test_silent_sockets_and_those_of_others_do_not_count(two_sockets):
    for _ in range(3):
        two_sockets()
    for number in range(3):
        assert two_sockets(f"other{number}").ping().status == OK
    assert two_sockets().ping().status == OK


def test_a_socket_counts_once_whatever_projects_its_frames_name(two_sockets):
    first = two_sockets()
    assert first.ping().status == OK
    for number in range(3):
        assert first.as_caller(project=f"other{number}").ping().status == OK
        assert two_sockets(f"other{number}").ping().status == OK
    used_by_crowd = first.quota_show().result["quotas"]["sockets"]["used"]
    assert used_by_crowd == 1


# -- what one queue and one post may have ------------------------------------------

FAN_OUT = """
[quota]
subscriptions_per_queue = 3
notifications_per_post = 6
"""


@pytest.mark.parametrize("topics", [False, True], ids=["queue", "topic"])
def test_a_queue_has_so_many_subscriptions_at_most(service_with, topics):
    service = service_with(FAN_OUT)
    service = service.of_topics() if topics else service
    made = [service.subscribe("a", f"http://h{number}.example/") for number in range(3)]
    fourth = {"subscriber": "http://fourth.example/"}
    assert service.subscription_create("a", fourth).status == FORBIDDEN
    assert service.subscription_create("b", fourth).status == OK
    service.subscription_delete("a", made[0])
    assert service.subscription_create("a", fourth).status == OK
    assert len(service.subscription_list("a").result) == 3


@pytest.mark.parametrize("topics", [False, True], ids=["queue", "topic"])
def test_a_post_makes_so_many_notifications_at_most(service_with, topics):
    service = service_with(FAN_OUT)
    service = service.of_topics() if topics else service
    service.post("a", *range(7))
    for number in range(3):
        service.subscribe("a", f"http://h{number}.example/")
    assert service.message_post("a", [{"body": 1}] * 3).status == FORBIDDEN
    assert len(service.every_body("a")) == 7
    assert len(service.post("a", 1, 2)) == 2
    assert service.message_post("b", [{"body": 1}] * 7).status == OK


def test_ordinary_use_is_far_below_what_is_limited_by_default(service):
    for number in range(50):
        service.subscribe("a", f"http://h{number}.example/")
    assert len(service.post("a", *range(1000))) == 1000


def test_a_post_has_so_many_messages_at_most(service_with):
    service = service_with("[transport]\nmax_messages_per_post = 3\n")
    assert len(service.post("a", {"a": {"b": {}}}, "{{{{", [{}, {}, {}])) == 3
    assert service.message_post("a", [{"body": 1}] * 4).status == BAD_REQUEST
    assert (
        service.of_topics().message_post("a", [{"body": 1}] * 4).status == BAD_REQUEST
    )
    assert len(service.every_body("a")) == 3


def test_a_replay_counts_against_no_quota(limited):
    first = limited.with_key("k").message_post("a", [{"body": 1}] * 6)
    again = limited.with_key("k").message_post("a", [{"body": 1}] * 6)
    assert again.result == first.result
    assert again.is_replay
    other = limited.with_key("other").message_post("a", [{"body": 1}])
    assert other.status == FORBIDDEN
