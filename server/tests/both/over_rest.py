"""The service over REST: paths, queries, hrefs and links (``rest-v2``)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from rest_callers import Answer as HttpAnswer
from zaqarserver.operations import OPERATIONS
from zaqarserver.operations.fields import RequestPart, members

from .service import (
    CLASSES,
    NOT_FOUND,
    OK,
    TOO_MANY,
    Answer,
    Claim,
    Message,
    Popped,
    Service,
    Stats,
    StatsMessage,
    plain_message,
    plain_metadata,
)

PATCH = "application/openstack-messaging-v2.0-json-patch"


def _query(options: Mapping[str, Any]) -> str:
    def text(value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        return ",".join(value) if isinstance(value, list) else str(value)

    pairs = {key: text(value) for key, value in options.items()}
    return "?" + urlencode(pairs, safe=",")


def _last(path: str) -> str:
    return path.rsplit("/", 1)[1]


class OverRest(Service):
    """A caller that speaks REST."""

    frames = False

    def close(self) -> None:
        """End nothing: each request stands alone."""

    def _ask(
        self, method: str, target: str, body: Any = None, content_type: str = ""
    ) -> HttpAnswer:
        headers = self._headers
        if content_type:
            headers["Content-Type"] = content_type
        data = None if body is None else json.dumps(body).encode()
        found = self.bench.http(method, target, headers, data)
        assert found.headers["x-openstack-request-id"].startswith("req-")
        if found.status == 204:
            assert found.content == b""
        return found

    def _answer(
        self, found: HttpAnswer, read: Callable[[Any], Any] = lambda _: None
    ) -> Answer:
        status = CLASSES.get(found.status)
        assert status is not None, (found.status, found.content)
        document = json.loads(found.content) if found.content else None
        if status == TOO_MANY:
            return Answer(status, int(found.headers["retry-after"]))
        if status != OK:
            assert set(document) <= {"title", "description"}
            assert document["title"]
            return Answer(status)
        return Answer(OK, read(document))

    def _page(self, target: str, read: Callable[[Any], list[Any]]) -> Answer:
        found = self._ask("GET", target)
        answer = self._answer(found, read)
        if answer.status != OK:
            return answer
        links = json.loads(found.content)["links"]
        if not answer.value:
            assert links == []
            return answer
        (link,) = links
        assert link["rel"] == "next"
        return Answer(OK, answer.value, lambda: self._page(link["href"], read))

    def _path(self, *parts: str) -> str:
        steps = (f"/v2/{self._source}s", *(quote(part, safe="") for part in parts))
        return "/".join(steps)

    def call(self, action: str, **fields: Any) -> Answer:
        action, fields = self._of_source(action, fields)
        row = next(row for row in OPERATIONS if row.name == action)
        query: dict[str, Any] = {}
        document: Any = None
        for member in members(row.fields):
            if member.name not in fields:
                continue
            value = fields[member.name]
            if member.spec.part is RequestPart.QUERY:
                query[member.spec.rest_name or member.name] = value
            elif member.spec.part is RequestPart.BODY:
                document = {**(document or {}), member.name: value}
            elif member.spec.part is RequestPart.DOCUMENT:
                document = value
        path = row.path.format_map({k: quote(str(v)) for k, v in fields.items()})
        target = path + _query(query) if query else path
        return self._answer(self._ask(row.method, target, document), lambda it: it)

    # -- service and queues -----------------------------------------------------

    def ping(self) -> Answer:
        return self._answer(self._ask("GET", "/v2/ping"))

    def queue_create(self, queue: str, metadata: Any = None) -> Answer:
        found = self._ask("PUT", self._path(queue), metadata)
        if found.status in (201, 204):
            assert found.content == b""
            assert found.headers["location"] == self._path(queue)
        return self._answer(found, lambda _: found.status == 201)

    def queue_list(self, **options: Any) -> Answer:
        def read(document: Any) -> list[Any]:
            items = document[f"{self._source}s"]
            for item in items:
                assert item.pop("href") == self._path(item["name"])
                if "metadata" in item:
                    item["metadata"] = plain_metadata(item["metadata"])
            return items

        options.update(options.pop("filters", {}))
        return self._page(self._path() + _query(options), read)

    def queue_get(self, queue: str) -> Answer:
        return self._answer(self._ask("GET", self._path(queue)), plain_metadata)

    def queue_update(self, queue: str, operations: Any) -> Answer:
        found = self._ask("PATCH", self._path(queue), operations, PATCH)
        return self._answer(found, plain_metadata)

    def queue_delete(self, queue: str) -> Answer:
        return self._answer(self._ask("DELETE", self._path(queue)))

    def queue_get_stats(self, queue: str) -> Answer:
        def edge(item: Any) -> StatsMessage | None:
            return item and StatsMessage(
                _last(item["href"]), item["age"], item["created"]
            )

        def read(document: Any) -> Stats:
            counts = document["messages"]
            oldest, newest = (
                edge(counts.pop(name, None)) for name in ("oldest", "newest")
            )
            return Stats(**self._counts(counts), oldest=oldest, newest=newest)

        return self._answer(self._ask("GET", self._path(queue, "stats")), read)

    def queue_purge(self, queue: str, **options: Any) -> Answer:
        target = self._path(queue, "purge")
        return self._answer(self._ask("POST", target, options or None))

    def signed_url_create(self, queue: str, **grant: Any) -> Answer:
        found = self._ask("POST", self._path(queue, "share"), grant)
        return self._answer(found, lambda document: document)

    # -- messages ---------------------------------------------------------------

    def _messages(self, queue: str, claim: str = "") -> Callable[[Any], list[Message]]:
        """Return what reads a list of messages, of one claim if it is named."""

        def read(document: Any) -> list[Message]:
            return [self._message(queue, item, claim) for item in document["messages"]]

        return read

    def _message(self, queue: str, item: Any, claim: str = "") -> Message:
        href, _, held = item.pop("href").partition("?claim_id=")
        assert href == self._path(queue, "messages", item["id"])
        if claim:
            assert held == claim
        return Message(**plain_message(item))

    def signed_url_list(self, queue: str, **options: Any) -> Answer:
        target = self._path(queue, "signed_urls") + _query(options)
        return self._page(target, lambda document: document["signed_urls"])

    def signed_url_revoke(self, queue: str, signed_url_id: str) -> Answer:
        target = self._path(queue, "signed_urls", signed_url_id)
        return self._answer(self._ask("DELETE", target))

    def limits_get(self) -> Answer:
        return self._answer(self._ask("GET", "/v2/limits"), lambda shown: shown)

    def quota_show(self) -> Answer:
        return self._answer(self._ask("GET", "/v2/quotas"), lambda shown: shown)

    def quota_show_project(self, project: str) -> Answer:
        target = f"/v2/quotas/{quote(project, safe='')}"
        return self._answer(self._ask("GET", target), lambda shown: shown)

    def message_post(self, queue: str, messages: Any) -> Answer:
        target = self._path(queue, "messages")
        found = self._ask("POST", target, {"messages": messages})
        answer = self._answer(
            found, lambda document: [_last(href) for href in document["resources"]]
        )
        is_replay = found.headers.get("idempotency-replayed") == "true"
        return dataclasses.replace(answer, is_replay=is_replay)

    def message_list(self, queue: str, **options: Any) -> Answer:
        target = self._path(queue, "messages") + _query(options)
        return self._page(target, self._messages(queue))

    def message_get(self, queue: str, message_id: str) -> Answer:
        found = self._ask("GET", self._path(queue, "messages", message_id))
        return self._answer(found, lambda item: self._message(queue, item))

    def message_get_many(self, queue: str, message_ids: Sequence[str]) -> Answer:
        query = _query({"ids": list(message_ids)})
        found = self._ask("GET", self._path(queue, "messages") + query)
        answer = self._answer(found, self._messages(queue))
        return Answer(OK, []) if answer.status == NOT_FOUND else answer

    def message_delete(
        self, queue: str, message_id: str, claim_id: str | None = None
    ) -> Answer:
        query = "" if claim_id is None else _query({"claim_id": claim_id})
        target = self._path(queue, "messages", message_id) + query
        return self._answer(self._ask("DELETE", target))

    def message_delete_many(self, queue: str, **options: Any) -> Answer:
        if "message_ids" in options:
            options["ids"] = options.pop("message_ids")

        def read(document: Any) -> list[Popped] | None:
            if document is None:
                return None
            for item in document["messages"]:
                assert item.pop("claim_id") is None
            return [Popped(**plain_message(item)) for item in document["messages"]]

        target = self._path(queue, "messages") + _query(options)
        return self._answer(self._ask("DELETE", target), read)

    # -- claims -------------------------------------------------------------------

    def claim_create(self, queue: str, **options: Any) -> Answer:
        target = self._path(queue, "claims")
        if "limit" in options:
            target += _query({"limit": options.pop("limit")})
        found = self._ask("POST", target, options)
        where = found.headers.get("location", "")
        assert bool(where) is (found.status == 201)

        def read(document: Any) -> Claim | None:
            if document is None:
                return None
            id_ = _last(where)
            return Claim(id_, self._messages(queue, id_)(document))

        return self._answer(found, read)

    def claim_get(self, queue: str, claim_id: str) -> Answer:
        target = self._path(queue, "claims", claim_id)

        def read(document: Any) -> Claim:
            assert document["href"] == target
            messages = self._messages(queue, claim_id)(document)
            return Claim(claim_id, messages, document["ttl"], document["age"])

        return self._answer(self._ask("GET", target), read)

    def claim_update(self, queue: str, claim_id: str, **options: Any) -> Answer:
        target = self._path(queue, "claims", claim_id)
        return self._answer(self._ask("PATCH", target, options))

    def claim_delete(self, queue: str, claim_id: str) -> Answer:
        return self._answer(self._ask("DELETE", self._path(queue, "claims", claim_id)))

    # -- subscriptions --------------------------------------------------------------

    def subscription_list(self, queue: str, **options: Any) -> Answer:
        target = self._path(queue, "subscriptions") + _query(options)
        return self._page(target, lambda document: document["subscriptions"])

    def subscription_create(self, queue: str, document: Any) -> Answer:
        found = self._ask("POST", self._path(queue, "subscriptions"), document)
        return self._answer(found, lambda made: made["subscription_id"])

    def subscription_get(self, queue: str, subscription_id: str) -> Answer:
        found = self._ask("GET", self._path(queue, "subscriptions", subscription_id))
        return self._answer(found, lambda document: document)

    def subscription_update(
        self, queue: str, subscription_id: str, changes: Any
    ) -> Answer:
        target = self._path(queue, "subscriptions", subscription_id)
        return self._answer(self._ask("PATCH", target, changes))

    def subscription_delete(self, queue: str, subscription_id: str) -> Answer:
        target = self._path(queue, "subscriptions", subscription_id)
        return self._answer(self._ask("DELETE", target))

    def subscription_confirm(
        self, queue: str, subscription_id: str, confirmed: Any
    ) -> Answer:
        target = self._path(queue, "subscriptions", subscription_id, "confirm")
        return self._answer(self._ask("PUT", target, {"confirmed": confirmed}))
