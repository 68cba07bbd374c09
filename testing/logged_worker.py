"""A worker that logs what it was given and what it was told, and what logs prove.

Run as ``logged_worker.py URL LOG``. All times are of the machine's monotonic clock.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import zaqarclient
from zaqarclient.errors import ZaqarError
from zaqarclient.transport.errors import ForbiddenError, MalformedRequest

PROJECT = "torture"
QUEUE = "work"
DEAD_LETTERS = "work-failed"
LEASE = 2  # seconds

#: How long handlers take: some for longer than a renewal, or than the whole lease.
_SECONDS = (0.0,) * 20 + (0.05,) * 10 + (LEASE * 0.75, LEASE * 1.5)
_FAILING = 0.15
_BURIED = 0.05
_DELETES = ("message_delete", "message_delete_many")
_RETURNS = ("message_release", "message_bury", "claim_delete")

Record = dict[str, Any]


class Log:
    """A file with a record a line; what was written survives a kill."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, what: str, **members: Any) -> None:
        """Append a record, with the time."""
        record = {"what": what, "at": time.monotonic(), **members}
        os.write(self._file, (json.dumps(record) + "\n").encode())


def read_logs(paths: Iterable[Path]) -> list[Record]:
    """Return the records of all logs in the order of their times."""
    records = [
        json.loads(line) for path in paths for line in path.read_text().splitlines()
    ]
    return sorted(records, key=lambda record: float(record["at"]))


class _LoggedTransport:
    """Logs what the service is asked for and answers, around a client's transport."""

    def __init__(self, transport: Any, log: Log) -> None:
        self._send = transport.send
        self._log = log
        transport.send = self.send

    def send(self, request: Any) -> Any:
        operation, params, sent = request.operation, request.params, time.monotonic()
        claim = params.get("claim_id")
        ids = params.get("ids") or [params.get("message_id")]
        if operation in _RETURNS:
            self._log.write("returning", ids=ids, claim=claim)
        if operation in _DELETES:
            self._log.write("deleting", ids=ids)
        try:
            response = self._send(request)
        except (ForbiddenError, MalformedRequest):
            if operation in _DELETES:
                self._log.write("refused", ids=ids)
            raise
        if operation in _DELETES:
            claims = params.get("claim_ids") or [claim]
            self._log.write("deleted", ids=ids, claims=claims)
        if operation == "claim_update":
            self._log.write("renewed", claim=claim, ends=sent + request.document["ttl"])
        if operation == "claim_create":
            self._log_claim(response, sent + request.document["ttl"])
        return response

    def _log_claim(self, response: Any, ends: float) -> None:
        for one in (response.deserialized_content or {}).get("messages", ()):
            claim = one["href"].rpartition("=")[2]
            self._log.write(
                "claimed", id=one["id"], body=one["body"], claim=claim, ends=ends
            )


def _handle(message: Any, log: Log) -> None:
    """Work on a message, whether its lease is lost or not; fail now and then."""
    log.write("handled", id=message.id, claim=message.claim_id)
    time.sleep(random.choice(_SECONDS))  # noqa: S311
    if random.random() < _FAILING:  # noqa: S311
        raise RuntimeError("the handler failed")


def _on_error(_message: object, _error: object) -> Any:
    return "bury" if random.random() < _BURIED / _FAILING else "release"  # noqa: S311


def work(url: str, log: Log) -> None:
    """Consume until SIGTERM."""
    zaqarclient.stop_on_signals(within=5)
    with zaqarclient.Client(url, project=PROJECT, conf={"timeout": 2}) as client:
        _LoggedTransport(client.transport(), log)
        while True:
            try:
                client.queue(QUEUE).consume(
                    lambda message: _handle(message, log),
                    lease=LEASE,
                    limit=5,
                    concurrency=2,
                    on_error=_on_error,
                    backoff=zaqarclient.Backoff(1, 2),
                )
            except ZaqarError:  # at the first claim; later ones are tried again
                time.sleep(0.1)
            else:
                return


# -- what the logs prove ---------------------------------------------------------------


def findings(
    records: Iterable[Record], accepted: Mapping[str, int]
) -> dict[str, list[str]]:
    """Return the messages by what is wrong with them.

    Args:
        records: What the workers logged, in the order of its times. All messages are
            known to have left the queues.
        accepted: The bodies of the posts that were answered, by id.
    """
    by_id: dict[str, list[Record]] = defaultdict(list)
    ends: dict[Any, float] = {}
    ids: dict[int, set[str]] = defaultdict(set)
    for one, body in accepted.items():
        ids[body].add(one)
    for record in records:
        claim = record.get("claim")
        if "ends" in record:
            ends[claim] = max(ends.get(claim, 0.0), record["ends"])
        elif record.get("ids") == [None]:  # the whole claim is released
            ends[claim] = min(ends.get(claim, 0.0), record["at"])
        if record["what"] == "claimed":
            ids[record["body"]].add(record["id"])
        for one in record.get("ids") or [record.get("id")]:
            by_id[one].append(record)
    return {
        "lost": [one for one in accepted if not _may_be_deleted(by_id[one])],
        "stored_twice": [str(found) for found in ids.values() if len(found) > 1],
        "two_leases": [one for one in by_id if one and _overlaps(by_id[one], ends)],
        "after_delete": [one for one in by_id if one and _returned(by_id[one], ends)],
    }


def _may_be_deleted(records: list[Record]) -> bool:
    """Return whether a request to delete a message was not refused."""
    whats = [record["what"] for record in records]
    return whats.count("deleting") > whats.count("refused")


def _overlaps(records: list[Record], ends: Mapping[str, float]) -> bool:
    """Return whether a message was given out while another lease of it was live."""
    leases = []
    for place, record in enumerate(records):
        claim = record.get("claim")
        # An answer that came after its lease gives nothing to do.
        if record["what"] == "claimed" and record["at"] < ends[claim]:
            over = [
                later["at"]
                for later in records[place:]
                if later["what"] == "deleted"
                or (later["what"] == "returning" and later["claim"] == claim)
            ]
            leases.append((record["at"], min([ends[claim], *over])))
    return any(
        after[0] < before[1] for before, after in itertools.pairwise(sorted(leases))
    )


def _returned(records: list[Record], ends: Mapping[str, float]) -> bool:
    """Return whether a message was given out after a delete was acknowledged.

    An answer that comes after its lease does not count, for workers too: who is stopped
    meanwhile gets a claim that is over, and knows nothing of a delete.
    """
    claims: set[str] = set()
    is_deleted = False
    for record in records:
        if record["what"] == "handled" and is_deleted:
            return True
        if record["what"] == "claimed" and record["at"] < ends[record["claim"]]:
            if is_deleted:
                return True
            claims.add(record["claim"])
        elif record["what"] == "deleted":
            live = claims.intersection(record["claims"])
            is_deleted |= any(record["at"] < ends[claim] for claim in live)
    return False


if __name__ == "__main__":
    work(sys.argv[1], Log(Path(sys.argv[2])))
