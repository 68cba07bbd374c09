"""The SDK against a real server, over HTTP and over WebSocket."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from tcp_proxy import CountingProxy

from zaqarclient.queues.client import Client
from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.queues.v2.queues import Queue
from zaqarclient.transport import errors

MakeClient = Callable[..., v2_client.Client]


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return uuid.uuid4().hex


@pytest.fixture(params=["http", "ws"])
def wire(request: pytest.FixtureRequest) -> str:
    """The scheme of the transport under test."""
    name: str = request.param
    return name


@pytest.fixture
def connect(server: Any, project: str, wire: str) -> Iterator[MakeClient]:
    """Make clients of the server; they are closed after the test."""
    made: list[v2_client.Client] = []
    known = {"http": server.url, "ws": server.websocket_url}[wire]

    def connect(url: str = "", **conf: Any) -> v2_client.Client:
        auth_opts = {"backend": "noauth", "options": {"os_project_id": project}}
        made.append(Client(url or known, 2, {"auth_opts": auth_opts, **conf}))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def client(connect: MakeClient) -> v2_client.Client:
    return connect()


@pytest.fixture
def queue(client: v2_client.Client) -> Queue:
    return client.queue("orders")


def test_a_message_is_posted_claimed_and_deleted(
    client: v2_client.Client, queue: Queue
) -> None:
    posted = queue.post([{"body": {"sku": number}, "ttl": 600} for number in range(3)])
    assert len(posted["resources"]) == 3
    assert queue.stats["messages"]["total"] == 3
    claim = queue.claim(ttl=300, grace=60, limit=2)
    assert [message.body for message in claim] == [{"sku": 0}, {"sku": 1}]
    assert queue.stats["messages"]["claimed"] == 2
    assert claim.ttl == 300
    assert claim.age in {0, 1}
    for message in claim.messages:
        message.delete()
    assert [m.body for m in queue.messages(echo=True)] == [{"sku": 2}]
    assert client.ping()


def test_a_claimed_message_is_deleted_only_with_its_claim(queue: Queue) -> None:
    queue.post({"body": "x"})
    claim = queue.claim()
    (message,) = claim
    with pytest.raises(errors.ForbiddenError) as caught:
        queue.delete_message(message.id)
    assert caught.value.title
    assert caught.value.request_id is not None
    queue.delete_message(message.id, claim.id)
    with pytest.raises(errors.ResourceNotFound):
        queue.message(message.id)


def test_a_claim_is_renewed_read_and_released(queue: Queue) -> None:
    queue.post([{"body": 1}, {"body": 2}])
    claim = queue.claim(ttl=60, grace=60)
    claim.update(ttl=120, grace=90)
    again = queue.claim(id=claim.id)
    assert (again.ttl, len(again.messages)) == (120, 2)
    claim.delete()
    assert len(queue.claim().messages) == 2
    with pytest.raises(errors.ResourceNotFound):
        list(queue.claim(id=claim.id))
    assert queue.claim().id is None


def test_popped_messages_are_gone_and_deleting_them_is_harmless(queue: Queue) -> None:
    """Acceptance 5."""
    queue.post([{"body": number} for number in range(3)])
    message = next(queue.pop())
    message.delete()
    assert (message.body, message.claim_id) == (0, None)
    assert [m.body for m in queue.pop(5)] == [1, 2]
    assert list(queue.pop()) == []


def test_messages_are_read_by_id_one_and_many(queue: Queue) -> None:
    resources = queue.post([{"body": 1}, {"body": 2}, {"body": 3}])["resources"]
    ids = [href.rpartition("/")[2] for href in resources]
    assert queue.message(ids[1]).body == 2
    assert [m.body for m in queue.messages(*ids)] == [1, 2, 3]
    assert [m.body for m in queue.messages(ids[:2])] == [1, 2]
    queue.delete_messages(*ids[:2])
    with pytest.raises(errors.ResourceNotFound):
        queue.messages(*ids[:2])
    assert [m.id for m in queue.messages(echo=True)] == ids[2:]


def test_a_list_is_one_page_and_a_stream_is_all_of_it(queue: Queue) -> None:
    queue.post([{"body": number} for number in range(45)])
    page = queue.messages(limit=20, echo=True)
    assert [m.body for m in page] == list(range(20))
    (link,) = page._links
    assert link["rel"] == "next"
    walk = queue.iter_messages(limit=20, echo=True)
    assert [m.body for m in walk] == list(range(45))
    assert list(queue.messages()) == []


def test_another_client_sees_messages_without_echo(
    queue: Queue, connect: MakeClient
) -> None:
    queue.post({"body": "hello"})
    assert [m.body for m in connect().queue("orders").messages()] == ["hello"]


def test_all_queues_are_listed_counted_and_filtered(
    client: v2_client.Client, wire: str
) -> None:
    names = [f"q{number:02}" for number in range(25)]
    for name in names:
        client.queue(name, force_create=True)
    assert [queue.name for queue in client.iter_queues()] == names
    page, count = client.queues(limit=5, marker="q09", with_count=True, detailed=True)
    listed = list(page)
    assert ([queue.name for queue in listed], count) == (names[10:15], 25)
    assert listed[0].href == "/v2/queues/q10"
    if wire == "http":
        # Frames have the metadata as they are stored, without defaults.
        assert listed[0].metadata()["_default_message_ttl"] == 3600
    assert [queue.name for queue in client.iter_queues(name="q2")] == names[20:]


def test_a_queue_is_created_or_not(queue: Queue) -> None:
    assert queue.exists()
    assert not queue.is_created()
    queue.ensure_exists(force_create=True)
    assert queue.is_created()
    queue.delete()
    queue.delete()
    assert not queue.is_created()


@pytest.mark.parametrize("kind", ["queue", "topic"])
def test_metadata_within_the_limit_are_stored_though_their_patch_is_longer(
    connect: MakeClient, kind: str
) -> None:
    source = getattr(connect(), kind)("large", force_create=True)
    for wanted in ({f"key{i}": i for i in range(1500)}, {"key": "x" * 65_000}):
        source.metadata(new_meta=wanted)
        stored = source.metadata(force_reload=True)
        assert {key for key in stored if not key.startswith("_")} == set(wanted)
        assert wanted.items() <= stored.items()


def test_metadata_of_a_fresh_queue_and_its_dead_letters_can_be_set(
    queue: Queue,
) -> None:
    """Acceptance 5."""
    wanted = {
        "team": "billing",
        "a~b": 1,
        "_dead_letter_queue": "lost",
        "_dead_letter_queue_messages_ttl": 600,
        "_max_claim_count": 2,
    }
    stored = queue.metadata(new_meta=wanted)
    assert wanted.items() <= stored.items()
    assert wanted.items() <= queue.metadata(force_reload=True).items()
    changed = queue.metadata(new_meta={"team": "sales", "_max_claim_count": 3})
    assert changed["team"] == "sales"
    assert (changed["_max_claim_count"], changed["_dead_letter_queue"]) == (3, None)
    assert "a~b" not in changed
    cleared = queue.metadata(new_meta={})
    assert "team" not in cleared
    assert cleared["_max_claim_count"] is None


def test_purging_empties_a_queue_and_keeps_it(queue: Queue) -> None:
    queue.post([{"body": 1}, {"body": 2}])
    queue.purge(resource_types=["messages"])
    assert queue.stats["messages"] == {"free": 0, "claimed": 0, "total": 0}
    assert queue.is_created()


def test_a_refused_message_is_an_error_with_its_reason(queue: Queue) -> None:
    with pytest.raises(errors.MalformedRequest) as caught:
        queue.post({"body": 1, "ttl": 5})
    assert caught.value.status == 400
    assert "60" in (caught.value.description or "")
    with pytest.raises(errors.MalformedRequest):
        queue.delete_messages()


def test_the_service_describes_itself(client: v2_client.Client) -> None:
    assert "rel/queues" in client.homedoc()["resources"]


def test_a_thousand_posts_travel_over_one_connection(
    connect: MakeClient, client: v2_client.Client, wire: str
) -> None:
    """Acceptance 6; one token as well: ``tests/keystone``."""
    port = urlsplit(client.api_url or "").port or 0
    with CountingProxy(port).running() as proxy:
        client = connect(proxy.url.replace("http", wire))
        queue = client.queue("orders")
        for number in range(1000):
            queue.post({"body": number})
        total = queue.stats["messages"]["total"]
        client.close()
    assert total == 1000
    assert proxy.connections == 1
