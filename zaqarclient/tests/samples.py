"""The golden samples; those of topics are made from those of queues."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zaqarclient.queues.v2.table import OPERATIONS, topic_action

GOLDEN = Path(__file__).parent / "golden"

WITHOUT = ("include_claimed", "with_count", "count", "claim_id", "claim_ids")
"""What topics do not have, as nobody claims from them or counts them."""

_QUEUES = {
    topic_action(name): name for name, row in OPERATIONS.items() if not row.topics
}


def find_sample(operation: str) -> dict[str, Any] | None:
    """Return the sample of one of the server's operations, ``None`` if it has none."""
    name = operation.removesuffix("_get") if "homedoc" in operation else operation
    return sample(name) if name in OPERATIONS else None


def sample(operation: str) -> dict[str, Any]:
    """Return the request and the reply of an operation, on both wires."""
    document: dict[str, Any]
    if not OPERATIONS[operation].topics:
        document = json.loads((GOLDEN / f"{operation}.json").read_text())
        return document
    text = (GOLDEN / f"{_QUEUES[operation]}.json").read_text()
    for unknown in ("&with_count=true", "&include_claimed=true"):
        text = text.replace(unknown, "")
    document = json.loads(text.replace("queue", "topic").replace("Queue", "Topic"))
    wires = document["rest"], document["websocket"]
    for members in (
        document["arguments"],
        wires[0]["request"]["query"],
        *(one["body"] for wire in wires for one in (wire["request"], wire["reply"])),
    ):
        for name in WITHOUT if isinstance(members, dict) else ():
            members.pop(name, None)
    asked = wires[1]["request"]
    if not asked["action"].startswith("topic_"):
        asked["action"] = topic_action(asked["action"])
    return document
