"""Random steps over each transport, and over all in turn, against one model."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from .conftest import TRANSPORTS
from .model import Model
from .service import CLIENT, OTHER_CLIENT

SETTINGS = settings(
    max_examples=settings.default.max_examples // 8,
    stateful_step_count=25,
    deadline=None,  # a shared machine is slow at times
    suppress_health_check=list(HealthCheck),
)
#: What the queues are made with: a plain one, a delayed one, one with dead letters.
METADATA = {
    "orders": {},
    "slow": {"_default_message_delay": 60},
    "work": {"_max_claim_count": 2, "_dead_letter_queue": "dead"},
}
EVERY = (*METADATA, "dead")

# Most steps work in one queue, or the machine would spend its time on empty ones.
queues = st.sampled_from(["orders", "orders", "slow", "work", "work", *EVERY])
clients = st.sampled_from([CLIENT, OTHER_CLIENT])
limits = st.integers(1, 4)
claim_times = st.fixed_dictionaries(
    {"ttl": st.sampled_from([60, 61, 90, 300]), "grace": st.sampled_from([60, 90])}
)
posted = st.lists(
    st.fixed_dictionaries(
        {"body": st.integers(0, 9) | st.text(max_size=3) | st.none()},
        optional={
            "ttl": st.sampled_from([60, 90, 300]),
            "delay": st.sampled_from([0, 30, 120]),
        },
    ),
    min_size=1,
    max_size=4,
)
listing = st.fixed_dictionaries(
    {},
    optional={
        "limit": limits,
        "echo": st.booleans(),
        "include_claimed": st.booleans(),
        "include_delayed": st.booleans(),
    },
)


class Machine(RuleBasedStateMachine):
    """The steps; each compares the answer, and after each all is compared."""

    messages = Bundle("messages")
    claims = Bundle("claims")

    def __init__(self, bench, transports):
        super().__init__()
        project = uuid.uuid4().hex
        self._services = [make(bench, project) for make in transports]
        self._turn = 0
        self._bench = bench
        self.model = Model(lambda: bench.now)

    def teardown(self):
        for service in self._services:
            service.close()

    @property
    def service(self):
        """The transport whose turn it is."""
        self._turn += 1
        return self._services[self._turn % len(self._services)]

    @initialize()
    def there_are_queues(self):
        for queue, metadata in METADATA.items():
            self.queue_is_created(queue, metadata)

    # -- queues -----------------------------------------------------------------

    def queue_is_created(self, queue, metadata):
        made = self.service.queue_create(queue, metadata)
        assert made == self.model.queue_create(queue, metadata)

    @rule(queue=st.sampled_from(sorted(METADATA)))
    def a_queue_is_created_again(self, queue):
        self.queue_is_created(queue, METADATA[queue])

    @rule(queue=st.sampled_from(["orders", "slow", "dead"]), sure=st.integers(0, 3))
    def a_queue_is_deleted(self, queue, sure):
        if sure == 0:
            deleted = self.service.queue_delete(queue)
            assert deleted == self.model.queue_delete(queue)

    @rule(queue=queues, sure=st.integers(0, 3))
    def a_queue_is_purged(self, queue, sure):
        if sure == 0:
            purged = self.service.queue_purge(queue, resource_types=["messages"])
            assert purged == self.model.queue_purge(queue)

    @rule(queue=st.sampled_from(["orders", "slow"]), delay=st.sampled_from([0, 30]))
    def the_delay_is_changed(self, queue, delay):
        path = "/metadata/_default_message_delay"
        patch = [{"op": "replace", "path": path, "value": delay}]
        changed = self.service.queue_update(queue, patch)
        assert changed == self.model.set_delay(queue, delay)

    # -- messages ---------------------------------------------------------------

    @rule(target=messages, queue=queues, client=clients, sent=posted)
    def messages_are_posted(self, queue, client, sent):
        caller = self.service.as_caller(client=client)
        ids = caller.message_post(queue, sent).result
        self.model.message_post(queue, client, sent, ids)
        return multiple(*((queue, id_) for id_ in ids))

    @rule(queue=queues, client=clients, options=listing)
    def a_page_is_listed(self, queue, client, options):
        caller = self.service.as_caller(client=client)
        found = caller.message_list(queue, **options)
        assert found == self.model.message_list(queue, client, **options)

    @rule(message=messages, client=clients, options=listing)
    def a_page_after_a_marker_is_listed(self, message, client, options):
        queue, marker = message
        caller = self.service.as_caller(client=client)
        found = caller.message_list(queue, marker=marker, **options)
        expected = self.model.message_list(queue, client, marker=marker, **options)
        assert found == expected

    @rule(message=messages)
    def a_message_is_shown(self, message):
        assert self.service.message_get(*message) == self.model.message_get(*message)

    @rule(queue=queues, some=st.lists(messages, min_size=1, max_size=4, unique=True))
    def several_messages_are_shown(self, queue, some):
        ids = [id_ for _, id_ in some]
        found = self.service.message_get_many(queue, ids)
        assert found == self.model.message_get_many(queue, ids)

    @rule(message=messages, claim=st.none() | claims)
    def a_message_is_deleted(self, message, claim):
        claim_id = None if claim is None else claim[1]
        deleted = self.service.message_delete(*message, claim_id)
        assert deleted == self.model.message_delete(*message, claim_id)

    @rule(claim=claims)
    def a_worker_deletes_what_its_claim_holds(self, claim):
        queue, claim_id = claim
        shown = self.service.claim_get(queue, claim_id)
        assert shown == self.model.claim_get(queue, claim_id)
        for message in shown.value.messages[:1] if shown.value else ():
            deleted = self.service.message_delete(queue, message.id, claim_id)
            assert deleted == self.model.message_delete(queue, message.id, claim_id)

    @rule(queue=queues, some=st.lists(messages, min_size=1, max_size=3, unique=True))
    def several_messages_are_deleted(self, queue, some):
        ids = [id_ for _, id_ in some]
        deleted = self.service.message_delete_many(queue, message_ids=ids)
        assert deleted == self.model.message_delete_many(queue, ids)

    @rule(queue=queues, count=limits)
    def messages_are_popped(self, queue, count):
        popped = self.service.message_delete_many(queue, pop=count)
        assert popped == self.model.message_pop(queue, count)

    # -- claims -----------------------------------------------------------------

    @rule(target=claims, queue=queues, times=claim_times, limit=limits)
    def messages_are_claimed(self, queue, times, limit):
        made = self.service.claim_create(queue, limit=limit, **times)
        claim_id = made.result.id if made.result else "none"
        expected = self.model.claim_create(queue, claim_id, limit=limit, **times)
        assert made == expected
        return (queue, claim_id) if made.result else multiple()

    @rule(claim=claims, times=claim_times)
    def a_claim_is_renewed(self, claim, times):
        renewed = self.service.claim_update(*claim, **times)
        assert renewed == self.model.claim_update(*claim, **times)

    @rule(claim=consumes(claims))
    def a_claim_is_released(self, claim):
        assert self.service.claim_delete(*claim) == self.model.claim_delete(*claim)
        assert self.service.claim_get(*claim) == self.model.claim_get(*claim)

    # -- time and the whole -------------------------------------------------------

    @rule(seconds=st.sampled_from([0.25, 0.75, 1.0, 29.5, 30.0, 59.75, 60.0, 240.0]))
    def time_passes(self, seconds):
        self._bench.now += seconds

    @invariant()
    def both_hold_the_same(self):
        service, model = self.service, self.model
        names = [queue["name"] for queue in service.queue_list(limit=20).result]
        assert names == model.queue_names()
        everything = {"echo": True, "include_claimed": True, "include_delayed": True}
        for queue in EVERY:
            assert service.queue_get(queue) == model.queue_get(queue)
            assert service.queue_get_stats(queue) == model.queue_get_stats(queue)
            pages = service.pages(service.message_list(queue, limit=20, **everything))
            found = [message for page in pages for message in page]
            listed = model.message_list(queue, CLIENT, limit=10**6, **everything)
            assert found == listed.result


@pytest.mark.parametrize(
    "chosen",
    [
        "all in turn",
        *(pytest.param(one, marks=pytest.mark.thorough) for one in TRANSPORTS),
    ],
)
def test_whatever_is_done_the_service_does_what_the_model_says(bench, chosen):
    transports = (
        list(TRANSPORTS.values()) if chosen == "all in turn" else [TRANSPORTS[chosen]]
    )
    run_state_machine_as_test(lambda: Machine(bench, transports), settings=SETTINGS)
