"""The sizes of pages and steps, which tests make small.

A loop that goes through many rows takes them some at a time, and how many is a constant
of its module. With three at a time a queue of ten messages shows what one of
thousands would.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import apsw

SMALL = 3

#: By module, all that say how many rows, records, or bytes of them are taken at a time.
PAGED: Mapping[str, tuple[str, ...]] = {
    "zaqarserver.notify.cursors": ("PAGE",),
    "zaqarserver.notify.worker": ("_BATCH",),
    "zaqarserver.operations.releases": ("PAGE",),
    "zaqarserver.operations.trusting": ("_PAGE",),
    "zaqarserver.storage.pooled.drains": ("_PAGE",),
    "zaqarserver.storage.pooled.mover": ("PAGE", "SEALS_PAGE", "MOVES_PAGE"),
    "zaqarserver.storage.pooled.pools": ("_PAGE",),
    "zaqarserver.storage.redis.claims": ("MOVE_STEP",),
    "zaqarserver.storage.redis.client": ("_SCANNED",),
    "zaqarserver.storage.redis.messages": ("NOTICE_MESSAGES", "POST_STEP"),
    "zaqarserver.storage.redis.moving": ("PAGE_BYTES", "STEP"),
    "zaqarserver.storage.redis.queues": ("LIST_STEP", "SWEEP_ROWS", "SWEEP_VISITS"),
    "zaqarserver.storage.redis.releases": ("MOVE_STEP",),
    "zaqarserver.storage.redis.subscriptions": ("DELIVERY_MESSAGES", "TAKE_VISITS"),
    "zaqarserver.storage.redis.usage": ("STEP",),
    "zaqarserver.storage.sqlite.backlogs": ("STEP",),
    "zaqarserver.storage.sqlite.claims": ("ELAPSE_CLAIMS", "ELAPSE_DELAYED"),
    "zaqarserver.storage.sqlite.deliveries": (
        "DELIVERY_MESSAGES",
        "NOTICE_MESSAGES",
        "TRIM",
    ),
    "zaqarserver.storage.sqlite.maintenance": (
        "SWEEP_BYTES",
        "SWEEP_ROWS",
        "SWEEP_VISITS",
    ),
    "zaqarserver.storage.sqlite.messages": ("POST_STEP",),
    "zaqarserver.storage.sqlite.moving": ("STEP",),
    "zaqarserver.storage.sqlite.queues": ("COUNT_STEP", "LIST_BYTES", "LIST_STEP"),
    "zaqarserver.storage.sqlite.records": ("PAGE_BYTES", "STEP"),
    "zaqarserver.storage.releases": ("STEP",),
    "zaqarserver.storage.sqlite.releases": ("STEP",),
    "zaqarserver.storage.sqlite.subscriptions": ("STEP",),
    "zaqarserver.storage.sqlite.writer": ("SHORT_BATCH",),
}


#: How many dead rows a claim or pop passes before it gives less than was asked for. The
#: contract allows that, and the model of it knows no dead rows.
LOOKS = ("zaqarserver.storage.sqlite.backlogs.STEP", "lua.ROOM")


@contextmanager
def small(*but: str) -> Iterator[None]:
    """Take :data:`SMALL` at a time everywhere in the server.

    SQLite gives the rows backwards of a select that asks for no order.

    Args:
        but: Constants that stay as they are.
    """
    with ExitStack() as stack:
        for name, constants in PAGED.items():
            module = importlib.import_module(name)
            for constant in constants:
                if f"{name}.{constant}" not in but:
                    stack.enter_context(mock.patch.object(module, constant, SMALL))
        _shrink_scripts(stack, but)
        stack.enter_context(
            mock.patch.object(apsw, "connection_hooks", [_reverse_rows])
        )
        yield


def _reverse_rows(connection: apsw.Connection) -> None:
    connection.execute("PRAGMA reverse_unordered_selects = ON")


def _shrink_scripts(stack: ExitStack, but: Sequence[str]) -> None:
    """Do the same to what stands in ``lua/sizes.lua``."""
    scripts: Any = importlib.import_module("zaqarserver.storage.redis.scripts")

    def smaller_line(found: re.Match[str]) -> str:
        if f"lua.{found[1]}" in but:
            return found[0]
        # A command gets pairs of values.
        return f"local {found[1]} = {SMALL + (found[1] == 'STEP')}"

    smaller = {
        name: script.with_text(
            re.sub(r"(?m)^local (STEP|ROOM|PAGE) = \d+", smaller_line, script.text)
        )
        for name, script in scripts.SCRIPTS.items()
    }
    stack.enter_context(mock.patch.dict(scripts.SCRIPTS, smaller))
