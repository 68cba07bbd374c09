"""Message filters hold on every transport: encryption and schemas (``rest-v2`` 5.7)."""

import pytest
from zaqarserver.storage.commands import MessageList

from .service import BAD_REQUEST

SECRET = {"card": "4111-1111", "who": "é"}
ENCRYPTED = {"_enable_encrypt_messages": True}
SCHEMA = {"_json_schema": {"type": "object", "required": ["sku"]}}


def stored_bodies(service, queue="orders"):
    """What the store holds, not what the server shows."""
    bench = service.bench
    found = bench.run(
        bench.storage.do(
            MessageList(
                service.project,
                queue,
                marker=None,
                limit=20,
                now=bench.now,
                include_claimed=True,
                include_delayed=True,
            )
        )
    )
    return [message.body for message in found]


def test_what_is_stored_is_secret_and_what_is_read_is_plain(service):
    service.queue_create("orders", ENCRYPTED)
    (id_,) = service.post("orders", SECRET)
    (kept,) = stored_bodies(service)
    assert b"4111" not in kept
    assert service.bodies("orders") == [SECRET]
    assert service.message_get("orders", id_).result.body == SECRET
    assert service.message_get_many("orders", [id_]).result[0].body == SECRET
    claim = service.claim_create("orders").result
    assert claim.messages[0].body == SECRET
    assert service.claim_get("orders", claim.id).result.messages[0].body == SECRET
    service.claim_delete("orders", claim.id)
    assert service.message_delete_many("orders", pop=1).result[0].body == SECRET


def test_dead_letters_stay_readable(service):
    dead = {"_max_claim_count": 1, "_dead_letter_queue": "dead"}
    service.queue_create("orders", {**ENCRYPTED, **dead})
    service.post("orders", SECRET)
    claim = service.claim_create("orders").result
    service.claim_delete("orders", claim.id)
    assert service.claim_create("orders").result is None
    assert b"4111" not in stored_bodies(service, "dead")[0]
    assert service.every_body("dead") == [SECRET]


def test_switching_encryption_leaves_what_is_stored_readable(service):
    path = "/metadata/_enable_encrypt_messages"
    service.queue_create("orders")
    service.post("orders", "plain")
    service.queue_update("orders", [{"op": "add", "path": path, "value": True}])
    service.post("orders", "secret")
    service.queue_update("orders", [{"op": "remove", "path": path}])
    service.post("orders", "plain again")
    assert service.bodies("orders") == ["plain", "secret", "plain again"]
    assert [b"secret" in body for body in stored_bodies(service)] == [False] * 3
    assert [b"plain" in body for body in stored_bodies(service)] == [True, False, True]


def test_a_server_without_a_key_promises_nothing(make_service):
    service = make_service()
    assert service.queue_create("orders", ENCRYPTED).status == BAD_REQUEST
    service.queue_create("orders")
    path = "/metadata/_enable_encrypt_messages"
    patch = [{"op": "add", "path": path, "value": True}]
    assert service.queue_update("orders", patch).status == BAD_REQUEST
    assert service.queue_get("orders").result == {}


@pytest.mark.parametrize("body", [{}, [], "x", None, {"SKU": 1}], ids=str)
def test_messages_have_to_fit_the_schema_of_their_queue_all_or_none(service, body):
    service.queue_create("orders", SCHEMA)
    refused = service.message_post("orders", [{"body": {"sku": 1}}, {"body": body}])
    assert refused.status == BAD_REQUEST
    assert service.every_body("orders") == []
    service.post("orders", {"sku": 2})
    assert service.every_body("orders") == [{"sku": 2}]


@pytest.mark.parametrize("schema", [7, "x", [], {"type": 7}, {"$ref": "file:///x"}])
def test_what_is_no_schema_is_refused(service, schema):
    refused = service.queue_create("orders", {"_json_schema": schema})
    assert refused.status == BAD_REQUEST
    assert service.queue_list().result == []
