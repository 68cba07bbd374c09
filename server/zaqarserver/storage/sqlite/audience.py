"""Who listens to a queue: what every post has to know."""

from __future__ import annotations

from typing import NamedTuple

import apsw

from zaqarserver.storage.sqlite.ids import encode_id
from zaqarserver.storage.sqlite.statements import fetch

AUDIENCE = """
    SELECT coalesce(alias, seq), secret, expires, volatile FROM subscription
     WHERE project = ? AND source = ? AND expires > 0
"""


class Audience(NamedTuple):
    """Who listens to a queue, as far as a post must know.

    Attributes:
        until: When the last subscription that is not volatile ends; 0 for none.
        volatile: Ids and ends of the volatile ones.
    """

    until: float
    volatile: tuple[tuple[str, float], ...]


NOBODY = Audience(0.0, ())


def load_audience(db: apsw.Connection, project: str, source: str) -> Audience:
    """Read who listens to a queue."""
    rows = fetch(db, AUDIENCE, (project, source))
    if not rows:
        return NOBODY
    return Audience(
        max((end for _, _, end, volatile in rows if not volatile), default=0.0),
        tuple(
            (encode_id(seq, secret), end)
            for seq, secret, end, volatile in rows
            if volatile
        ),
    )
