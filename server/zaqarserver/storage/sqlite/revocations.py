"""The revoked grants that have not ended, in memory.

Every request with a signature asks for its own; nearly always the answer is no.
"""

from __future__ import annotations

import apsw

from zaqarserver.storage.sqlite.statements import fetch

REVOKED = "SELECT project, queue, id FROM signed_url WHERE revoked = 1"

#: Project, queue and id of a grant.
GrantKey = tuple[str, str, str]


class Revocations:
    """Follows the transactions of the writer.

    Args:
        db: The writer's connection, when nothing has been changed yet.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._keys: set[GrantKey] = {
            (project, queue, id_) for project, queue, id_ in fetch(db, REVOKED)
        }
        self._added: set[GrantKey] = set()
        self._gone: set[GrantKey] = set()

    def __contains__(self, key: GrantKey) -> bool:
        """Tell whether a grant was revoked, as committed."""
        return key in self._keys

    def add(self, key: GrantKey) -> None:
        """Note that the open transaction revoked a grant."""
        self._gone.discard(key)
        self._added.add(key)

    def discard(self, key: GrantKey) -> None:
        """Note that the open transaction removed a grant that has ended."""
        self._added.discard(key)
        self._gone.add(key)

    def committed(self) -> None:
        """Let readers see what the transaction changed."""
        self._keys -= self._gone
        self._keys |= self._added
        self.rolled_back()

    def rolled_back(self) -> None:
        """Forget what the transaction changed."""
        self._added.clear()
        self._gone.clear()
