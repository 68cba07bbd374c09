"""rally-openstack and zaqar-bench: load from many workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from zaqarclient.queues import client as zaqar_client
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.functional.consumers.cloud import Cloud
from zaqarclient.transport import errors


def test_rally_posts_lists_and_deletes(cloud: Cloud) -> None:
    client = zaqar_client.Client(url=cloud.url, version=2, session=cloud.session)
    with client:
        queue = client.queue("s_rally_1", metadata={"made": "by rally"})
        messages = [{"body": {"n": n}, "ttl": 360} for n in range(200)]
        assert len(queue.post(messages)["resources"]) == 200
        assert len(list(queue.messages(echo=True))) == 10
        queue.delete()


def test_rally_cleans_up_what_the_pair_of_queues_holds(cloud: Cloud) -> None:
    client = zaqar_client.Client(url=cloud.url, version=2, session=cloud.session)
    with client:
        client.queue("s_rally_1", force_create=True)
        found, _ = client.queues()
        for queue in found:
            queue.delete()
        assert list(client.queues()[0]) == []


@pytest.fixture
def bench(bench_backend: str, cloud: Cloud) -> Iterator[Client]:
    """The client of zaqar-bench, in its two forms."""
    options: dict[str, Any] = {"os_project_id": cloud.project_id}
    if bench_backend == "keystone":
        options |= {
            "os_username": None,
            "os_password": None,
            "os_project_name": None,
            "os_auth_url": cloud.auth_url,
            "insecure": "False",
            "cacert": "",
            "auth_token": cloud.token,
        }
    conf = {"auth_opts": {"backend": bench_backend, "options": options}}
    client = zaqar_client.Client(cloud.url, 2, conf=conf)
    yield client
    client.close()


def test_zaqar_bench_produces_and_consumes(bench: Client) -> None:
    queue = bench.queue("bench-0")
    for number in range(3):
        queue.post({"body": {"n": number}, "ttl": 300})
    consumed = []
    claim = queue.claim(ttl=300, grace=200, limit=2)
    for message in claim:
        message.delete()
        consumed.append(message.body["n"])
    assert consumed == [0, 1]
    queue.delete()


def test_zaqar_bench_observes_page_by_page(bench: Client) -> None:
    """Acceptance 4: one page each, and the marker of its links."""
    queue = bench.queue("bench-0")
    queue.post([{"body": number, "ttl": 300} for number in range(3)])
    with zaqar_client.Client(bench.api_url, 2, conf=bench.conf) as observer:
        seen, marker = [], None
        for _ in range(2):
            cursor = observer.queue("bench-0").messages(
                limit=2, marker=marker, include_claimed=True
            )
            seen.append([message.body for message in list(cursor)])
            (link,) = [one for one in cursor._links if one["rel"] == "next"]
            marker = link["href"].partition("marker=")[2].partition("&")[0]
    assert seen == [[0, 1], [2]]


def test_zaqar_bench_shares_queues_among_workers(bench: Client) -> None:
    queue = bench.queue("bench-0")
    failures: list[Exception] = []

    def work() -> None:
        try:
            for number in range(10):
                queue.post({"body": number, "ttl": 300})
        except errors.TransportError as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert queue.stats["messages"]["total"] == 40


def test_zaqar_bench_catches_one_class_of_error(bench: Client) -> None:
    with pytest.raises(errors.TransportError):
        list(bench.queue("bench-0").messages(limit=100_000))
