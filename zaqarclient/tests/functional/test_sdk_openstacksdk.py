"""openstacksdk's message proxy against a real server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import openstack
import pytest
from keystoneauth1 import noauth
from keystoneauth1 import session as ks_session
from openstack.message.v2.claim import Claim

# openstacksdk warns of its own use of what it is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:openstack")


class NoAuthOfProject(noauth.NoAuth):
    """No authentication, but a project: openstacksdk sends it as a header."""

    def __init__(self, endpoint: str, project: str) -> None:
        super().__init__(endpoint=endpoint)
        self._project = project

    def get_project_id(self, session: Any, **_: Any) -> str:
        return self._project


@pytest.fixture
def message(server: Any) -> Iterator[Any]:
    """The message proxy of a connection without authentication."""
    plugin = NoAuthOfProject(server.url, uuid.uuid4().hex)
    session = ks_session.Session(auth=plugin)
    connection = openstack.connection.Connection(
        session=session, message_endpoint_override=server.url
    )
    yield connection.message
    connection.close()
    session.session.close()


def test_queues_are_created_paged_shown_and_deleted(message: Any) -> None:
    names = [f"q{number:02}" for number in range(25)]
    for name in names:
        message.create_queue(name=name, description="made by a test")
    assert [queue.name for queue in message.queues()] == names
    assert [queue.name for queue in message.queues(limit=7)] == names
    assert message.get_queue("q03").description == "made by a test"
    message.delete_queue("q03")
    message.delete_queue("q03")
    assert "q03" not in [queue.name for queue in message.queues()]


def test_messages_are_posted_paged_shown_and_deleted(message: Any) -> None:
    posted = [{"body": {"n": number}, "ttl": 600} for number in range(45)]
    resources = message.post_message("orders", posted)
    assert len(resources) == 45
    listed = list(message.messages("orders"))
    assert [one.body for one in listed] == [one["body"] for one in posted]
    paged = list(message.messages("orders", limit=20))
    assert [one.id for one in paged] == [one.id for one in listed]
    shown = message.get_message("orders", listed[7].id)
    assert (shown.body, shown.ttl) == ({"n": 7}, 600)
    message.delete_message("orders", listed[7].id)
    with pytest.raises(openstack.exceptions.NotFoundException):
        message.get_message("orders", listed[7].id)
    assert len(list(message.messages("orders"))) == 44


def claim_messages(message: Any) -> Any:
    """Claim messages; the object takes its id from the Location of the answer."""
    return Claim(queue_name="orders", ttl=300, grace=60).create(message)


def test_claims_are_made_shown_renewed_and_released(message: Any) -> None:
    message.post_message("orders", [{"body": number} for number in range(3)])
    claim = claim_messages(message)
    shown = message.get_claim("orders", claim.id)
    assert (shown.ttl, [one["body"] for one in shown.messages]) == (300, [0, 1, 2])
    message.update_claim("orders", claim.id, ttl=600, grace=120)
    assert message.get_claim("orders", claim.id).ttl == 600
    first = message.get_message("orders", shown.messages[0]["id"])
    with pytest.raises(openstack.exceptions.HttpException) as caught:
        message.delete_message("orders", first.id)
    assert caught.value.status_code == 403
    message.delete_message("orders", first.id, claim=claim.id)
    message.delete_claim("orders", claim.id)
    assert [one.body for one in message.messages("orders")] == [1, 2]
    again = claim_messages(message)
    assert len(message.get_claim("orders", again.id).messages) == 2
