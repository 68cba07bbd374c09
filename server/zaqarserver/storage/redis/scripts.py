"""The scripts: what each is for stands at the top of its file in ``lua``.

Each is sent by the hash of its text. A line ``-- with: …`` names files whose text
comes before, with what they name themselves.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

import msgspec

_FOLDER = files("zaqarserver.storage.redis") / "lua"
_WITH = "-- with: "


class Script(msgspec.Struct, frozen=True):
    """A script, or what is asked like one.

    Attributes:
        text: Its text, what it needs included.
        sha: Its name towards the server.
        again: Whether it may be sent again if nobody knows whether it ran: the
            second run changes nothing, and answers the same for all that matters.
        named: Whether that is so because it recognizes the name of a request, which
            it gets as the last key and the last argument (``lua/asked.lua``).
        writes: Whether its answer promises that something is stored.
    """

    text: str
    sha: str
    again: bool
    writes: bool
    named: bool = False


def _source(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text("utf-8")


def _parts(name: str, found: dict[str, str]) -> dict[str, str]:
    """Find a file and what it needs, in the order in which they have to come."""
    if name not in found:
        source = _source(name)
        for line in source.splitlines():
            if line.startswith(_WITH):
                for part in line.removeprefix(_WITH).split(", "):
                    _parts(part, found)
        found[name] = source
    return found


def made_of(text: str, *, again: bool, writes: bool) -> Script:
    """Make a script of its whole text."""
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    named = _source("asked") in text
    return Script(text, sha, again or named, writes, named)


def _script(name: str, *, again: bool = False, writes: bool = True) -> Script:
    text = "\n".join(_parts(name, {}).values())
    return made_of(text, again=again, writes=writes)


CREATE: Final = _script("create")
UPDATE: Final = _script("update")
DELETE_QUEUE: Final = _script("delete_queue")
PURGE: Final = _script("purge")

POST: Final = _script("post")
LIST: Final = _script("list", again=True, writes=False)
GET: Final = _script("get", again=True, writes=False)
STATS: Final = _script("stats", again=True, writes=False)
DELETE: Final = _script("delete", again=True)
DELETE_MANY: Final = _script("delete_many", again=True)
POP: Final = _script("pop")

CLAIM: Final = _script("claim")
CLAIM_GET: Final = _script("claim_get", again=True, writes=False)
CLAIM_UPDATE: Final = _script("claim_update", again=True)
CLAIM_DELETE: Final = _script("claim_delete", again=True)

MOVES: Final = _script("moves", again=True, writes=False)
PUT: Final = _script("put", again=True)
MOVED: Final = _script("moved", again=True)
RESTORE: Final = _script("restore", again=True)
SWEEP: Final = _script("sweep", writes=False)

SUBSCRIBE: Final = _script("subscribe")
SUBSCRIPTION: Final = _script("subscription", again=True, writes=False)
SUBSCRIPTIONS: Final = _script("subscriptions", again=True, writes=False)
SUBSCRIPTION_COUNT: Final = _script("subscription_count", again=True, writes=False)
RESUBSCRIBE: Final = _script("resubscribe")
UNSUBSCRIBE: Final = _script("unsubscribe")
UNSUBSCRIBE_ALL: Final = _script("unsubscribe_all")
ORPHANS: Final = _script("orphans", again=True)
TAKE: Final = _script("take", writes=False)
SETTLE: Final = _script("settle")

GRANT_ADD: Final = _script("grant_add", again=True)
GRANT_LIST: Final = _script("grant_list", again=True, writes=False)
GRANT_REVOKE: Final = _script("grant_revoke", again=True)

SEAL: Final = _script("seal", again=True)
RETIRE: Final = _script("retire", again=True)
RECEIVE: Final = _script("receive", again=True)
OPEN: Final = _script("open", again=True)
LEAVE: Final = _script("leave_store", again=True)
SEALED: Final = _script("sealed", again=True)
DEPART: Final = _script("depart", again=True, writes=False)
DEPART_MESSAGES: Final = _script("depart_messages", again=True, writes=False)
DEPART_SUBSCRIPTIONS: Final = _script("depart_subscriptions", again=True, writes=False)
DEPART_NOTICES: Final = _script("depart_notices", again=True, writes=False)
CONTENTS: Final = _script("contents", again=True, writes=False)
ARRIVE: Final = _script("arrive", again=True)
ARRIVE_MESSAGES: Final = _script("arrive_messages", again=True)
ARRIVE_SUBSCRIPTIONS: Final = _script("arrive_subscriptions", again=True)
ARRIVE_NOTICES: Final = _script("arrive_notices", again=True)

POOL_PUT: Final = _script("pool_put", again=True)
POOL_DELETE: Final = _script("pool_delete", again=True)
FLAVOR_PUT: Final = _script("flavor_put", again=True)
FLAVOR_DELETE: Final = _script("flavor_delete", again=True)
FLAVORS: Final = _script("flavors", again=True, writes=False)
PLACEMENT_GET: Final = _script("placement_get", again=True, writes=False)
PLACEMENT_ADD: Final = _script("placement_add", again=True)
PLACEMENT_DROP: Final = _script("placement_drop")
PLACEMENT_MOVE: Final = _script("placement_move")
PLACEMENT_RENEW: Final = _script("placement_renew", again=True)
PLACEMENT_ARRIVE: Final = _script("placement_arrive")
PLACEMENT_LIST: Final = _script("placement_list", again=True, writes=False)
PLACEMENT_MOVES: Final = _script("placement_moves", again=True, writes=False)
PLACEMENT_POOLS: Final = _script("placement_pools", again=True, writes=False)
PLACEMENT_COUNT: Final = _script("placement_count", again=True, writes=False)

AGENDA_ADD: Final = _script("agenda_add", again=True)
AGENDA_MOVE: Final = _script("agenda_move", again=True, writes=False)
TIME: Final = _script("time", again=True, writes=False)
USE: Final = _script("use", again=True, writes=False)
INDEX_BEGIN: Final = _script("index_begin", again=True)
INDEX_END: Final = _script("index_end", again=True)

ALL: Final = tuple(value for value in globals().values() if isinstance(value, Script))
