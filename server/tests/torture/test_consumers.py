"""The scenario of work queues, made small; and that its judge sees what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import torture_consumers
from logged_worker import findings


@pytest.mark.thorough
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_no_message_is_lost_doubled_or_held_twice(store: str) -> None:
    program = [sys.executable, torture_consumers.__file__, "--store", store]
    size = ["--seconds", "5", "--producers", "2", "--workers", "3", "--every", "0.8"]
    done = subprocess.run(
        [*program, *size], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["posted"]
    assert figures["worker killed"]


def record(at: float, what: str, claim: str = "c", **members: Any) -> dict[str, Any]:
    if what == "claimed":
        members = {"id": "m", "body": 1, "ends": at + 2, **members}
    else:
        members |= {"ids": ["m"], "claims": [claim]}
    return {"at": at, "what": what, "claim": claim, **members}


RENEWED = {"at": 1.5, "what": "renewed", "claim": "c", "ends": 3.5}
RELEASED = {"at": 1, "what": "returning", "claim": "c", "ids": [None]}
HANDLED = {"at": 3.1, "what": "handled", "claim": "d", "id": "m"}
DONE = [record(0, "claimed"), record(1, "deleting"), record(1.1, "deleted")]


@pytest.mark.parametrize(
    ("records", "wrong"),
    [
        (DONE, ""),
        ([*DONE, record(3, "claimed", "d", ends=2)], ""),
        ([*DONE, record(3, "claimed", "d", ends=2), HANDLED], "after_delete"),
        ([*DONE[:2], record(3, "claimed", "d"), record(4, "deleted")], ""),
        ([record(0, "claimed"), record(1, "returning")], "lost"),
        ([record(0, "claimed"), record(1, "deleting"), record(2, "refused")], "lost"),
        ([*DONE, record(3, "claimed", "d")], "after_delete"),
        ([record(0, "claimed"), record(1, "claimed", "d"), *DONE[1:]], "two_leases"),
        ([record(0, "claimed"), RENEWED, record(3, "claimed", "d")], "two_leases lost"),
        ([record(0, "claimed"), record(3, "claimed", "d"), record(4, "deleting")], ""),
        ([DONE[0], RELEASED, record(1.5, "claimed", "d")], "lost"),
        ([DONE[0], record(1, "returning"), record(1.5, "claimed", "d")], "lost"),
        ([*DONE, {**record(0, "claimed"), "id": "n"}], "stored_twice"),
    ],
)
def test_the_logs_prove_what_is_wrong(
    records: list[dict[str, Any]], wrong: str
) -> None:
    found = findings(records, {"m": 1})
    assert {what for what, ids in found.items() if ids} == set(wrong.split())
