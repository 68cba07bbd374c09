"""Topics are queues in a name space of their own that nobody claims from (``2.11``).

Cases of queues that do not claim run once more, on topics.
"""

import pytest
from zaqarserver.storage.commands import MessageGet

from . import test_messages as messages
from . import test_queues as queues
from . import test_subscriptions as subscriptions
from .over_frames import OverFrames
from .over_rest import OverRest
from .service import BAD_REQUEST, CONFLICT, NO_STATS, NOT_FOUND, OK

HOOK = "http://x.example/"
SECRET = {"card": "4111-1111"}
NUL_TOPICS = "\0topics"

CASES = [
    messages.test_a_post_stores_messages_in_order_and_gives_their_ids,
    messages.test_a_page_has_ten_messages_unless_told,
    messages.test_a_set_comes_in_the_order_asked_for_without_what_is_unknown,
    messages.test_messages_of_another_queue_do_not_exist,
    messages.test_a_queues_own_size_limit_is_the_smaller_one,
    subscriptions.test_a_subscription_is_made_and_shown,
    subscriptions.test_a_duplicate_that_is_confirmed_conflicts,
    subscriptions.test_a_subscription_ends_to_the_second_and_may_be_made_again,
    subscriptions.test_a_change_replaces_what_is_named_and_starts_the_ttl_again,
    subscriptions.test_the_owner_may_confirm_repeat_it_and_take_it_back,
    subscriptions.test_a_subscription_is_seen_under_its_own_queue_only,
    subscriptions.test_deleting_can_be_repeated_and_is_final,
    queues.test_a_queue_is_made_once_and_left_alone_the_second_time,
    queues.test_posting_and_subscribing_make_the_queue,
    queues.test_a_refused_post_or_subscription_makes_no_queue,
    queues.test_queues_are_found_by_what_is_stored_about_them_page_by_page,
    queues.test_queues_are_found_by_a_part_of_their_name_taken_literally,
    queues.test_a_patch_is_applied_in_order,
    queues.test_what_expired_or_was_deleted_is_not_counted,
    queues.test_a_purge_of_nothing_named_takes_both_and_of_an_empty_list_nothing,
]


@pytest.fixture(
    params=[OverRest, lambda *who: OverFrames(*who, binary=False)],
    ids=["rest", "json"],
)
def transport(request):
    """What makes a service over one transport; MessagePack is tested with queues."""
    return request.param


@pytest.fixture
def topics(service):
    """The caller, acting on topics with the methods of queues."""
    return service.of_topics()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_topics_do_what_queues_do(topics, case):
    case(topics)


def test_a_topic_and_a_queue_of_one_name_have_nothing_in_common(service, topics):
    for one, word in ((service, "queue"), (topics, "topic")):
        one.queue_create("news", {"kind": word})
        one.post("news", word)
        one.subscribe("news", HOOK, options={"kind": word})
    for one, word in ((service, "queue"), (topics, "topic")):
        assert one.queue_get("news").result == {"kind": word}
        assert one.bodies("news") == [word]
        assert one.queue_get_stats("news").result.total == 1
        (shown,) = one.subscription_list("news").result
        assert shown["options"] == {"kind": word}
        assert shown["source"] == "news"
    topics.queue_purge("news")
    topics.queue_delete("news")
    assert topics.queue_list().result == []
    assert service.bodies("news") == ["queue"]
    assert len(service.subscription_list("news").result) == 1
    assert [queue["name"] for queue in service.queue_list().result] == ["news"]


def test_ids_of_a_queue_open_nothing_of_a_topic_nor_the_other_way(service, topics):
    for one, other in ((service, topics), (topics, service)):
        (message,) = one.post("news", "mine")
        mine = one.subscribe("news", HOOK)
        assert other.message_get("news", message).status == NOT_FOUND
        other.message_delete("news", message)
        assert other.subscription_get("news", mine).status == NOT_FOUND
        changed = other.subscription_update("news", mine, {"ttl": 60})
        assert changed.status == NOT_FOUND
        agreed = other.subscription_confirm("news", mine, confirmed=True)
        assert agreed.status == NOT_FOUND
        other.subscription_delete("news", mine)
        assert one.message_get("news", message).result.body == "mine"
        assert one.subscription_get("news", mine).result["confirmed"] is False


def test_what_only_claims_need_is_not_there_to_replace_or_remove(topics):
    topics.queue_create("news")
    change = {"op": "replace", "path": "/metadata/_max_claim_count", "value": 3}
    assert topics.queue_update("news", [change]).status == CONFLICT
    change = {"op": "remove", "path": "/metadata/_default_message_ttl"}
    assert topics.queue_update("news", [change]).result == {}
    change = {"op": "add", "path": "/metadata/_max_claim_count", "value": 0}
    assert topics.queue_update("news", [change]).status == BAD_REQUEST


def test_the_oldest_messages_can_be_popped_and_others_deleted(topics):
    first, second, third = topics.post("news", 1, 2, 3)
    popped = topics.message_delete_many("news", pop=1).result
    assert [message.id for message in popped] == [first]
    assert topics.message_delete("news", second).status == OK
    assert topics.message_delete_many("news", message_ids=[third]).status == OK
    assert topics.bodies("news") == []


def test_a_server_that_insists_on_claims_does_not_for_topics(make_service):
    strict = "[transport]\nmessage_delete_with_claim_id = true\n"
    topics = make_service(strict).of_topics()
    first, second = topics.post("news", 1, 2)
    assert topics.message_delete("news", first).status == OK
    assert topics.message_delete_many("news", message_ids=[second]).status == OK
    assert topics.queue_get_stats("news").result == NO_STATS


def test_a_topic_is_encrypted_if_it_says_so(topics):
    topics.queue_create("news", {"_enable_encrypt_messages": True})
    (id_,) = topics.post("news", SECRET)
    bench = topics.bench
    (kept,) = bench.run(
        bench.storage.do(
            MessageGet(topics.project + NUL_TOPICS, "news", [id_], bench.now)
        )
    )
    assert b"4111" not in kept.body
    assert topics.bodies("news") == [SECRET]


@pytest.mark.parametrize("project", [NUL_TOPICS, "a\0b", "\0"])
def test_no_project_is_taken_for_the_topics_of_another(topics, project):
    topics.post("news", "secret")
    caller = topics.as_caller(project=topics.project + project)
    for one in (caller, caller.of_topics()):
        assert one.message_list("news").status == BAD_REQUEST
        assert one.queue_list().status == BAD_REQUEST
