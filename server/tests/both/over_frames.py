"""The service over WebSocket: one envelope an action (``websocket-v2``)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from zaqarserver.operations import OPERATIONS

from .bench import Bench
from .service import (
    CLASSES,
    CONFLICT,
    NO_STATS,
    NOT_FOUND,
    OK,
    TOO_MANY,
    Answer,
    Claim,
    Message,
    Popped,
    Service,
    Stats,
    plain_message,
    plain_metadata,
)

#: The operations by name.
ROWS = {row.name: row for row in OPERATIONS}
#: A request about as large as this may be echoed without its body.
LARGE = 250_000
#: How a request is repeated that could not be decoded.
UNREADABLE = {"action": None, "body": {}, "headers": {}, "api": "v2"}


class OverFrames(Service):
    """A caller that speaks in frames of one encoding."""

    frames = True

    def __init__(self, bench: Bench, project: str, *, binary: bool) -> None:
        super().__init__(bench, project)
        self._binary = binary
        self._dialog = bench.dial()
        self._is_replay = False

    def close(self) -> None:
        self._dialog.close()

    def _exchange(self, action: str, body: Any) -> tuple[int, Any]:
        """Send one request and return status and body of its answer."""
        action, body = self._of_source(action, body)
        frame = {"action": action, "headers": self._headers, "body": body}
        if self._binary:
            sent = msgspec.msgpack.encode(frame)
            self._dialog.send(sent, binary=True)
            answer = msgspec.msgpack.decode(self._dialog.receive()["bytes"])
        else:
            sent = json.dumps(frame).encode()
            self._dialog.send(sent, binary=False)
            answer = json.loads(self._dialog.receive()["text"])
        assert set(answer) == {"request", "body", "headers"}
        self._is_replay = answer["headers"].pop("Idempotency-Replayed", "") == "true"
        assert set(answer["headers"]) == {"status"}
        shown = {**frame, "api": "v2"}
        if answer["request"] != shown:
            self._check_short_echo(answer, shown, len(sent))
        self._check_documented(action, answer["headers"]["status"])
        return answer["headers"]["status"], answer["body"]

    @staticmethod
    def _check_documented(action: str, status: int) -> None:
        """Check that the row of an operation names what it is refused with."""
        if CLASSES.get(status) in (NOT_FOUND, CONFLICT) and action in ROWS:
            assert status in {error.status for error in ROWS[action].errors}, action

    @staticmethod
    def _check_short_echo(answer: Any, shown: Any, size: int) -> None:
        """Check what a request is answered with that is not repeated whole."""
        if answer["request"]["action"] is None:
            assert answer["request"] == UNREADABLE
            assert answer["headers"]["status"] == 400
        else:
            assert size > LARGE
            assert answer["request"] == {**shown, "body": {}}

    def _ask(
        self,
        action: str,
        read: Callable[[Any], Any] = lambda _: None,
        /,
        **body: Any,
    ) -> Answer:
        status, value = self._exchange(action, body)
        kind = CLASSES.get(status)
        assert kind is not None, (action, status, value)
        if kind == OK:
            return Answer(OK, read(value))
        assert isinstance(value, str) or value["error"]
        return Answer(kind, value["retry_after"] if kind == TOO_MANY else None)

    def call(self, action: str, **fields: Any) -> Answer:
        return self._ask(action, lambda value: value, **fields)

    def _page(
        self,
        key: str,
        action: str,
        read: Callable[[Any], list[Any]],
        /,
        **body: Any,
    ) -> Answer:
        """Ask for a page; the last ``key`` in it is the marker of the next."""
        answer = self._ask(action, read, **body)
        if answer.status != OK or not answer.value:
            return answer
        last = msgspec.to_builtins(answer.value[-1])[key]
        return Answer(
            OK,
            answer.value,
            lambda: self._page(key, action, read, **{**body, "marker": last}),
        )

    # -- service and queues -----------------------------------------------------

    def ping(self) -> Answer:
        return self._ask("ping")

    def queue_create(self, queue: str, metadata: Any = None) -> Answer:
        body = {"queue_name": queue}
        if metadata is not None:
            body["metadata"] = metadata
        status, value = self._exchange("queue_create", body)
        if status in (201, 204):
            assert value == f"{self._source.capitalize()} {queue} created."
            return Answer(OK, status == 201)
        return Answer(CLASSES[status])

    def queue_list(self, **options: Any) -> Answer:
        def read(document: Any) -> list[Any]:
            items = document[f"{self._source}s"]
            for item in items:
                if "metadata" in item:
                    item["metadata"] = plain_metadata(item["metadata"])
            return items

        return self._page("name", "queue_list", read, **options)

    def queue_get(self, queue: str) -> Answer:
        return self._ask("queue_get", plain_metadata, queue_name=queue)

    def queue_update(self, queue: str, operations: Any) -> Answer:
        return self._ask(
            "queue_update", plain_metadata, queue_name=queue, operations=operations
        )

    def queue_delete(self, queue: str) -> Answer:
        return self._ask("queue_delete", queue_name=queue)

    def queue_get_stats(self, queue: str) -> Answer:
        body = {"queue_name": queue}
        status, value = self._exchange("queue_get_stats", body)
        if status == 404:
            # A missing queue: the counts come all the same, as a not-found.
            assert value == {"messages": {"claimed": 0, "free": 0, "total": 0}}
            return Answer(OK, NO_STATS)
        if status != 200:
            return Answer(CLASSES[status])
        counts = self._counts(value["messages"])
        return Answer(OK, msgspec.convert(counts, Stats))

    def queue_purge(self, queue: str, **options: Any) -> Answer:
        return self._ask("queue_purge", queue_name=queue, **options)

    def signed_url_create(self, queue: str, **grant: Any) -> Answer:
        body = {**grant, "queue_name": queue}
        return self._ask("signed_url_create", lambda document: document, **body)

    def signed_url_list(self, queue: str, **options: Any) -> Answer:
        return self._page(
            "id",
            "signed_url_list",
            lambda document: document["signed_urls"],
            queue_name=queue,
            **options,
        )

    def signed_url_revoke(self, queue: str, signed_url_id: str) -> Answer:
        return self._ask(
            "signed_url_revoke", queue_name=queue, signed_url_id=signed_url_id
        )

    def limits_get(self) -> Answer:
        return self._ask("limits_get", lambda shown: shown)

    def quota_show(self) -> Answer:
        return self._ask("quota_show", lambda shown: shown)

    def quota_show_project(self, project: str) -> Answer:
        return self._ask("quota_show_project", lambda shown: shown, project_id=project)

    # -- messages ---------------------------------------------------------------

    @staticmethod
    def _message(item: Any, claim: str | None = None) -> Message:
        assert item.pop("claim_id") == claim
        return Message(**plain_message(item))

    def _messages(self, claim: str | None = None) -> Callable[[Any], list[Message]]:
        def read(document: Any) -> list[Message]:
            return [self._message(item, claim) for item in document["messages"]]

        return read

    def message_post(self, queue: str, messages: Any) -> Answer:
        answer = self._ask(
            "message_post",
            lambda document: document["message_ids"],
            queue_name=queue,
            messages=messages,
        )
        return dataclasses.replace(answer, is_replay=self._is_replay)

    def message_list(self, queue: str, **options: Any) -> Answer:
        return self._page(
            "id", "message_list", self._messages(), queue_name=queue, **options
        )

    def message_get(self, queue: str, message_id: str) -> Answer:
        return self._ask(
            "message_get",
            lambda document: self._message(document["messages"]),
            queue_name=queue,
            message_id=message_id,
        )

    def message_get_many(self, queue: str, message_ids: Sequence[str]) -> Answer:
        return self._ask(
            "message_get_many",
            self._messages(),
            queue_name=queue,
            message_ids=list(message_ids),
        )

    def message_delete(
        self, queue: str, message_id: str, claim_id: str | None = None
    ) -> Answer:
        body = {"queue_name": queue, "message_id": message_id}
        if claim_id is not None:
            body["claim_id"] = claim_id
        return self._ask("message_delete", **body)

    def message_delete_many(self, queue: str, **options: Any) -> Answer:
        def read(document: Any) -> list[Popped] | None:
            if document == {}:
                return None
            for item in document["messages"]:
                assert item.pop("claim_id") is None
            return [Popped(**plain_message(item)) for item in document["messages"]]

        return self._ask("message_delete_many", read, queue_name=queue, **options)

    # -- claims -------------------------------------------------------------------

    def claim_create(self, queue: str, **options: Any) -> Answer:
        def read(document: Any) -> Claim | None:
            id_ = document["claim_id"]
            if id_ is None:
                assert "messages" not in document
                return None
            return Claim(id_, self._messages(id_)(document))

        return self._ask("claim_create", read, queue_name=queue, **options)

    def claim_get(self, queue: str, claim_id: str) -> Answer:
        def read(document: Any) -> Claim:
            messages = self._messages(claim_id)(document)
            return Claim(claim_id, messages, document["ttl"], document["age"])

        return self._ask("claim_get", read, queue_name=queue, claim_id=claim_id)

    def claim_update(self, queue: str, claim_id: str, **options: Any) -> Answer:
        return self._ask("claim_update", queue_name=queue, claim_id=claim_id, **options)

    def claim_delete(self, queue: str, claim_id: str) -> Answer:
        return self._ask("claim_delete", queue_name=queue, claim_id=claim_id)

    # -- subscriptions --------------------------------------------------------------

    def subscription_list(self, queue: str, **options: Any) -> Answer:
        return self._page(
            "id",
            "subscription_list",
            lambda document: document["subscriptions"],
            queue_name=queue,
            **options,
        )

    def subscription_create(self, queue: str, document: Any) -> Answer:
        return self._ask(
            "subscription_create",
            lambda made: made["subscription_id"],
            **{**document, "queue_name": queue},
        )

    def subscription_get(self, queue: str, subscription_id: str) -> Answer:
        return self._ask(
            "subscription_get",
            lambda document: document,
            queue_name=queue,
            subscription_id=subscription_id,
        )

    def subscription_update(
        self, queue: str, subscription_id: str, changes: Any
    ) -> Answer:
        place = {"queue_name": queue, "subscription_id": subscription_id}
        return self._ask("subscription_update", **{**changes, **place})

    def subscription_delete(self, queue: str, subscription_id: str) -> Answer:
        return self._ask(
            "subscription_delete", queue_name=queue, subscription_id=subscription_id
        )

    def subscription_confirm(
        self, queue: str, subscription_id: str, confirmed: Any
    ) -> Answer:
        return self._ask(
            "subscription_confirm",
            queue_name=queue,
            subscription_id=subscription_id,
            confirmed=confirmed,
        )
