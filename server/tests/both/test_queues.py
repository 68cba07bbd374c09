"""Queues, their metadata and their statistics (``rest-v2`` 2.3-2.6, 3, 5.1)."""

import pytest
from zaqarserver.spaces import space_of
from zaqarserver.storage.commands import QueueCreate

from .service import BAD_REQUEST, CONFLICT, NO_STATS, NOT_FOUND, OK, Stats, StatsMessage

PATH = "/metadata/"


def add(key, value):
    return {"op": "add", "path": PATH + key, "value": value}


def replace(key, value):
    return {"op": "replace", "path": PATH + key, "value": value}


def remove(key):
    return {"op": "remove", "path": PATH + key}


def names(answer):
    return [queue["name"] for queue in answer.result]


# -- lazy queues -----------------------------------------------------------------


def test_a_queue_is_made_once_and_left_alone_the_second_time(service):
    assert service.queue_create("orders", {"team": "billing"}).result is True
    assert service.queue_create("orders", {"team": "other"}).result is False
    assert service.queue_get("orders").result == {"team": "billing"}


def test_metadata_of_a_queue_that_exists_is_checked_all_the_same(service):
    service.queue_create("orders")
    refused = service.queue_create("orders", {"_default_message_ttl": 0})
    assert refused.status == BAD_REQUEST


def test_reading_a_queue_that_is_not_there_finds_nothing_and_makes_nothing(service):
    assert service.queue_get("none").result == {}
    assert service.queue_get_stats("none").result == NO_STATS
    assert service.message_list("none").result == []
    assert service.message_get("none", "x").status == NOT_FOUND
    assert service.message_get_many("none", ["x"]).result == []
    assert service.message_delete_many("none", pop=1).result == []
    assert service.claim_create("none").result is None
    assert service.claim_get("none", "x").status == NOT_FOUND
    assert service.claim_update("none", "x").status == NOT_FOUND
    assert service.subscription_list("none").result == []
    assert service.subscription_get("none", "x").status == NOT_FOUND
    assert service.queue_update("none", []).status == NOT_FOUND
    assert service.queue_update("none", [add("a", 1)]).status == NOT_FOUND
    assert service.queue_purge("none").status == OK
    assert service.queue_list().result == []


def test_posting_and_subscribing_make_the_queue(service):
    service.post("posted", 1)
    service.subscribe("subscribed", "http://x.example/")
    assert names(service.queue_list()) == ["posted", "subscribed"]


def test_a_refused_post_or_subscription_makes_no_queue(service):
    assert service.message_post("a", [{"body": 1}, {}]).status == BAD_REQUEST
    refused = service.subscription_create("b", {"subscriber": "fake:x"})
    assert refused.status == BAD_REQUEST
    assert service.queue_list().result == []


def test_deleting_what_is_not_there_succeeds_every_time(service):
    for queue in ("none", "orders"):
        for _ in range(2):
            assert service.queue_delete(queue).status == OK
            assert service.message_delete(queue, "x").status == OK
            assert service.message_delete_many(queue, message_ids=["x"]).status == OK
            assert service.claim_delete(queue, "x").status == OK
            assert service.subscription_delete(queue, "x").status == OK
        service.queue_create("orders")


def test_a_deleted_queue_takes_everything_along_but_its_subscriptions(service):
    service.queue_create("orders", {"team": "billing"})
    (id_,) = service.post("orders", 1)
    claim = service.claim_create("orders").result
    subscription = service.subscribe("orders", "http://x.example/")
    service.queue_delete("orders")
    assert service.queue_get("orders").result == {}
    assert service.every_body("orders") == []
    assert service.message_get("orders", id_).status == NOT_FOUND
    assert service.claim_get("orders", claim.id).status == NOT_FOUND
    assert service.claim_update("orders", claim.id).status == NOT_FOUND
    assert service.queue_list().result == []
    assert service.subscription_get("orders", subscription).status == OK
    service.queue_create("orders")
    assert service.every_body("orders") == []


# -- names -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["1234", "x" * 64, "a.b-c_D", "...", "-"])
def test_queue_names_may_be(service, name):
    assert service.queue_create(name).result is True
    assert names(service.queue_list()) == [name]


@pytest.mark.parametrize("name", ["x" * 65, "a b", "a@b", "é", "a\n", "%41"])
def test_queue_names_may_not_be_whatever_is_asked(service, name):
    assert service.queue_create(name).status == BAD_REQUEST
    assert service.queue_get(name).status == BAD_REQUEST
    assert service.queue_get_stats(name).status == BAD_REQUEST
    assert service.message_post(name, [{"body": 1}]).status == BAD_REQUEST
    assert service.message_list(name).status == BAD_REQUEST
    assert service.claim_create(name).status == BAD_REQUEST
    assert service.subscription_list(name).status == BAD_REQUEST
    assert service.queue_list().result == []


# -- lists -------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3, 7, 20])
def test_queues_come_page_by_page_in_the_order_of_their_names(service, limit):
    made = [f"q{number:02}" for number in range(7)]
    for name in reversed(made):
        service.queue_create(name, {"name": name})
    pages = list(service.pages(service.queue_list(limit=limit, detailed=True)))
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    found = [queue for page in pages for queue in page]
    assert found == [{"name": name, "metadata": {"name": name}} for name in made]


def test_a_page_has_ten_queues_unless_told_and_a_marker_need_not_exist(service):
    for number in range(12):
        service.queue_create(f"q{number:02}")
    assert len(service.queue_list().result) == 10
    assert names(service.queue_list(marker="q09x")) == ["q10", "q11"]
    assert service.queue_list(marker="zzz").result == []


def test_queues_are_found_by_a_part_of_their_name_taken_literally(service):
    for name in ("a.b", "axb", "c"):
        service.queue_create(name)
    assert names(service.queue_list(name=".")) == ["a.b"]
    for part in ("%", "_", "("):
        assert names(service.queue_list(name=part)) == []


def test_queues_are_found_by_what_is_stored_about_them_page_by_page(service):
    for number in range(9):
        metadata = {"team": "a" if number % 2 else "b", "size": number % 3}
        service.queue_create(f"q{number}", metadata)
    both = {"team": ["a"], "size": ["1", "2"]}
    pages = service.pages(service.queue_list(filters=both, limit=1))
    found = [queue["name"] for page in pages for queue in page]
    assert found == ["q1", "q5", "q7"]
    assert service.queue_list(filters={"nothing": ["a"]}).result == []
    defaults = {"_default_message_ttl": ["3600"]}
    assert service.queue_list(filters=defaults).result == []


@pytest.mark.parametrize("limit", [-1, 0, 21, 10**12])
def test_pages_have_one_to_twenty_items(service, limit):
    service.post("orders", 1)
    assert service.queue_list(limit=limit).status == BAD_REQUEST
    assert service.message_list("orders", limit=limit).status == BAD_REQUEST
    assert service.subscription_list("orders", limit=limit).status == BAD_REQUEST
    assert service.claim_create("orders", limit=limit).status == BAD_REQUEST
    assert service.message_delete_many("orders", pop=limit).status == BAD_REQUEST
    assert service.bodies("orders") == [1]


# -- metadata ----------------------------------------------------------------------

GOOD = [
    {"_max_messages_post_size": 1},
    {"_max_messages_post_size": 262143},
    {"_default_message_ttl": 60},
    {"_default_message_ttl": 1209600},
    {"_default_message_delay": 900},
    {"_dead_letter_queue": "dead"},
    {"_dead_letter_queue_messages_ttl": 60},
    {"_dead_letter_queue_messages_ttl": 1209600},
    {"_max_claim_count": 1},
    {"_enable_encrypt_messages": True},
    {"_flavor": "fast"},
    {"_retry_policy": {"minimum_delay": 20, "maximum_delay": 30}},
    {"name": "é", "deep": {"a": [1, None, 2.5]}, "zero": 0, "none": None, "": ""},
]
BAD = [
    {"_max_messages_post_size": 0},
    {"_max_messages_post_size": 262145},
    {"_max_messages_post_size": "1"},
    {"_max_messages_post_size": ""},
    {"_default_message_ttl": 59},
    {"_default_message_ttl": 0},
    {"_default_message_ttl": 1209601},
    {"_default_message_ttl": 60.5},
    {"_default_message_ttl": True},
    {"_default_message_ttl": []},
    {"_default_message_ttl": "60"},
    {"_default_message_ttl": ""},
    {"_default_message_delay": -1},
    {"_default_message_delay": 901},
    {"_default_message_delay": False},
    {"_default_message_delay": ""},
    {"_dead_letter_queue": "a b"},
    {"_dead_letter_queue": ""},
    {"_dead_letter_queue": 7},
    {"_dead_letter_queue": "orders"},
    {"_dead_letter_queue_messages_ttl": 0},
    {"_dead_letter_queue_messages_ttl": 59},
    {"_dead_letter_queue_messages_ttl": 1209601},
    {"_max_claim_count": 0},
    {"_max_claim_count": "2"},
    {"_max_claim_count": True},
    {"_enable_encrypt_messages": 1},
    {"_enable_encrypt_messages": "true"},
    {"_flavor": 7},
    {"_retry_policy": []},
    {"_retry_policy": {"minimum_delay": 21, "maximum_delay": 30}},
    {"_retry_policy": {"minimum_delay": "5"}},
    {"_retry_policy": {"minimum_delay": 25}},
    {"_retry_policy": {"maximum_delay": 10}},
    {"_retry_policy": {"retry_backoff_function": "quick"}},
    {"_retry_policy": {"retry_backoff_function": ["linear"]}},
    {"_retry_policy": {"ignore_subscription_override": 1}},
]


@pytest.mark.parametrize("metadata", GOOD, ids=str)
def test_attributes_within_bounds_are_kept_however_they_come(service, metadata):
    assert service.queue_create("orders", metadata).status == OK
    assert service.queue_get("orders").result == metadata
    service.queue_create("others")
    changes = [add(key, value) for key, value in metadata.items() if key]
    wanted = {key: value for key, value in metadata.items() if key}
    assert service.queue_update("others", changes).result == wanted
    assert service.queue_get("others").result == wanted


@pytest.mark.parametrize("metadata", BAD, ids=str)
def test_attributes_out_of_bounds_are_refused_and_change_nothing(service, metadata):
    assert service.queue_create("orders", metadata).status == BAD_REQUEST
    assert service.queue_list().result == []
    service.queue_create("orders", {"a": 1})
    changes = [replace("a", 2), *(add(key, metadata[key]) for key in metadata)]
    assert service.queue_update("orders", changes).status == BAD_REQUEST
    assert service.queue_get("orders").result == {"a": 1}


@pytest.mark.parametrize("metadata", [[], [1], "x", 7, True])
def test_metadata_is_an_object(service, metadata):
    assert service.queue_create("orders", metadata).status == BAD_REQUEST
    assert service.queue_list().result == []


def test_metadata_has_a_largest_size(service):
    assert service.queue_create("big", {"a": "x" * 65537}).status == BAD_REQUEST
    assert service.queue_create("fits", {"a": "x" * 65000}).result is True
    more = [add("a", "x" * 65537)]
    assert service.queue_update("fits", more).status == BAD_REQUEST


# -- patch ---------------------------------------------------------------------------


def test_a_patch_is_applied_in_order(service):
    service.queue_create("orders", {"a": 1, "b": 2})
    changes = [add("c", 3), replace("c", [4]), remove("a"), add("b", None)]
    assert service.queue_update("orders", changes).result == {"b": None, "c": [4]}
    assert service.queue_get("orders").result == {"b": None, "c": [4]}


def test_a_patch_of_what_is_not_there_conflicts_and_changes_nothing(service):
    service.queue_create("orders", {"a": 1})
    for change in (*map(remove, ("b", "_flavor", "_retry_policy")), replace("b", 1)):
        answer = service.queue_update("orders", [replace("a", 2), change])
        assert answer.status == CONFLICT
    assert service.queue_get("orders").result == {"a": 1}


def test_attributes_that_always_show_can_be_replaced_and_removed_unset(service):
    service.queue_create("orders")
    assert service.queue_update("orders", [remove("_max_claim_count")]).result == {}
    changed = service.queue_update("orders", [replace("_max_claim_count", 3)])
    assert changed.result == {"_max_claim_count": 3}
    assert service.queue_update("orders", [remove("_max_claim_count")]).result == {}


@pytest.mark.parametrize(
    "change",
    [
        7,
        [],
        {},
        {"op": "add"},
        {"op": "add", "path": "/metadata/a"},
        {"op": "test", "path": "/metadata/a", "value": 1},
        {"op": "move", "path": "/metadata/a", "from": "/metadata/b"},
        {"op": "copy", "path": "/metadata/a", "from": "/metadata/b"},
        {"op": ["add"], "path": "/metadata/a", "value": 1},
        {"op": "add", "path": 7, "value": 1},
        {"op": "add", "path": "metadata/a", "value": 1},
        {"op": "add", "path": "/metadata", "value": 1},
        {"op": "add", "path": "/metadata/", "value": 1},
        {"op": "add", "path": "/metadata/a/b", "value": 1},
        {"op": "add", "path": "/metadata//a", "value": 1},
        {"op": "add", "path": "/metadata/a/", "value": 1},
        {"op": "add", "path": "//a", "value": 1},
        {"op": "add", "path": "/other/a", "value": 1},
        {"op": "add", "path": "/metadata/~2", "value": 1},
        {"op": "add", "path": "/metadata/a~", "value": 1},
        {"op": "remove", "path": "/other/a"},
    ],
    ids=str,
)
def test_a_malformed_patch_is_refused_before_the_queue_is_looked_up(service, change):
    assert service.queue_update("none", [change]).status == BAD_REQUEST
    service.queue_create("orders", {"a": 1})
    answer = service.queue_update("orders", [replace("a", 2), change])
    assert answer.status == BAD_REQUEST
    assert service.queue_get("orders").result == {"a": 1}


def test_a_path_may_name_keys_with_slashes_and_tildes(service):
    service.queue_create("orders")
    changed = service.queue_update("orders", [add("a~1b~0c", 1)])
    assert changed.result == {"a/b~c": 1}
    spelt = {"op": "add", "path": "/Metadata/ a~1b~0c ", "value": 2}
    assert service.queue_update("orders", [spelt]).result == {"a/b~c": 2}


def test_an_empty_patch_changes_nothing(service):
    service.queue_create("orders", {"a": 1})
    assert service.queue_update("orders", []).result == {"a": 1}


# -- statistics and purge ---------------------------------------------------------


def test_statistics_count_and_name_the_oldest_and_the_newest(service):
    first, _ = service.post("orders", 1, 2)
    service.wait(10)
    (last,) = service.post("orders", 3)
    service.claim_create("orders", limit=1)
    service.wait(5)
    stats = service.queue_get_stats("orders").result
    created = (stats.oldest.created, stats.newest.created)
    assert created == tuple(sorted(created))
    assert created[0] != created[1]
    assert stats == Stats(
        claimed=1,
        free=2,
        total=3,
        oldest=StatsMessage(first, 15, created[0]),
        newest=StatsMessage(last, 5, created[1]),
    )


def test_what_expired_or_was_deleted_is_not_counted(service):
    service.post("orders", 1, ttl=60)
    (kept,) = service.post("orders", 2, ttl=600)
    service.wait(60)
    stats = service.queue_get_stats("orders").result
    assert (stats.free, stats.oldest.id, stats.newest.id) == (1, kept, kept)
    service.message_delete("orders", kept)
    assert service.queue_get_stats("orders").result == NO_STATS


def test_a_purge_takes_claimed_and_delayed_messages_and_keeps_the_queue(service):
    service.queue_create("slow", {"_default_message_delay": 60, "a": 1})
    service.message_post("slow", [{"body": 1, "delay": 0}, {"body": 2}])
    service.claim_create("slow")
    for number in range(12):
        service.subscribe("slow", f"http://h{number}.example/")
    assert service.queue_purge("slow", resource_types=["messages"]).status == OK
    assert service.every_body("slow") == []
    assert len(service.subscription_list("slow", limit=20).result) == 12
    assert service.queue_purge("slow", resource_types=["subscriptions"]).status == OK
    assert service.subscription_list("slow").result == []
    assert service.queue_get("slow").result == {"_default_message_delay": 60, "a": 1}


def test_a_purge_of_nothing_named_takes_both_and_of_an_empty_list_nothing(service):
    service.post("orders", 1)
    service.subscribe("orders", "http://x.example/")
    assert service.queue_purge("orders", resource_types=[]).status == OK
    assert service.every_body("orders") == [1]
    assert service.queue_purge("orders").status == OK
    assert service.every_body("orders") == []
    assert service.subscription_list("orders").result == []


@pytest.mark.parametrize("types", [["colours"], ["messages", "x"], "messages", [7], {}])
def test_a_purge_of_anything_else_takes_nothing(service, types):
    service.post("orders", 1)
    answer = service.queue_purge("orders", resource_types=types)
    assert answer.status == BAD_REQUEST
    assert service.every_body("orders") == [1]


def test_a_ping_is_answered(service):
    assert service.ping().status == OK


# -- how much is kept ---------------------------------------------------------------


@pytest.mark.parametrize("topics", [False, True], ids=["queue", "topic"])
def test_metadata_grow_to_their_limit_and_no_further(service, topics):
    service = service.of_topics() if topics else service
    service.queue_create("orders")
    value = "x" * 30_000
    for number in range(2):
        assert service.queue_update("orders", [add(f"k{number}", value)]).status == OK
    before = service.queue_get("orders").result
    for _ in range(2):
        assert service.queue_update("orders", [add("k2", value)]).status == BAD_REQUEST
    assert service.queue_get("orders").result == before
    changes = [remove("k0"), add("k2", value)]
    assert service.queue_update("orders", changes).status == OK
    too_much = {f"k{number}": value for number in range(3)}
    assert service.queue_create("other", too_much).status == BAD_REQUEST
    assert names(service.queue_list()) == ["orders"]


@pytest.mark.parametrize(
    "metadata",
    [{f"key{number}": number for number in range(1500)}, {"key": "x" * 65_500}],
    ids=["many", "long"],
)
def test_a_patch_may_be_longer_than_what_it_leads_to(service, metadata):
    service.queue_create("orders", {"old": 1})
    changes = [remove("old"), *(add(key, value) for key, value in metadata.items())]
    stored = service.queue_update("orders", changes).result
    assert {key: stored[key] for key in metadata} == metadata
    assert "old" not in stored


def test_metadata_beyond_the_limit_can_be_made_smaller(service_with_store):
    service, storage = service_with_store
    queue = {f"k{number}": "x" * 30_000 for number in range(4)}
    storage(queue)
    assert service.queue_update("orders", [remove("k0")]).status == OK
    assert service.queue_update("orders", [add("k9", 1)]).status == BAD_REQUEST
    assert service.queue_update("orders", [remove("k1"), remove("k2")]).status == OK
    assert service.queue_update("orders", [add("k9", 1)]).status == OK


@pytest.fixture
def service_with_store(service):
    """A service, and what puts metadata into its store as an earlier release did."""
    bench = service.bench

    def keep(metadata):
        space = space_of(service.project, topics=False)
        bench.run(bench.storage.do(QueueCreate(space, "orders", metadata)))

    return service, keep
