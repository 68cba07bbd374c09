"""What each project keeps, counted when the store is opened, then in memory.

It is written nowhere: the backlogs say it. One pass over them at the start costs
less than one more row changed by every transaction.
"""

from __future__ import annotations

from collections import defaultdict

import apsw

from zaqarserver.storage.accounts import Usage
from zaqarserver.storage.sqlite.statements import fetch

KEPT = """
    SELECT project, count(*), sum(messages), sum(bytes) FROM backlog
     WHERE dead = 0 GROUP BY project
"""
SUBSCRIBED = """
    SELECT project, count(*) FROM subscription WHERE expires > 0 GROUP BY project
"""

NOTHING = Usage()


class Tally:
    """Follows the transactions of the writer.

    Args:
        db: The writer's connection, when nothing has been changed yet.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._kept: dict[str, Usage] = {}
        self._changed: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for project, queues, messages, size in fetch(db, KEPT):
            self.add(project, queues, messages, size)
        for project, subscriptions in fetch(db, SUBSCRIBED):
            self.add(project, subscriptions=subscriptions)
        self.committed()

    def add(
        self,
        project: str,
        queues: int = 0,
        messages: int = 0,
        size: int = 0,
        subscriptions: int = 0,
    ) -> None:
        """Note what the open transaction added, or took away.

        Args:
            project: Whose it is.
            queues: Queues.
            messages: Messages.
            size: Bytes of their bodies.
            subscriptions: Subscriptions.
        """
        change = self._changed[project]
        change[0] += queues
        change[1] += messages
        change[2] += size
        change[3] += subscriptions

    def of(self, project: str) -> Usage:
        """Return what a project keeps, as committed."""
        return self._kept.get(project, NOTHING)

    def committed(self) -> None:
        """Add what the transaction changed."""
        for project, (queues, messages, size, subscriptions) in self._changed.items():
            old = self.of(project)
            new = Usage(
                old.queues + queues,
                old.messages + messages,
                old.bytes + size,
                old.subscriptions + subscriptions,
            )
            if new == NOTHING:
                self._kept.pop(project, None)
            else:
                self._kept[project] = new
        self._changed.clear()

    def rolled_back(self) -> None:
        """Forget what the transaction changed."""
        self._changed.clear()
