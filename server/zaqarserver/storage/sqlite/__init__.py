"""The embedded store, on SQLite.

``driver`` is the contract's face; under it, in this order, each knows only what
is named before: ``statements`` and ``schema.sql`` (the SQL), ``ids``, ``walks``
(how messages are read), ``tally``, ``revocations`` and ``ledger`` (the writer's
memory), ``messages``, ``claims``, ``grants``, ``queues`` (what is done in a
transaction, and reads), ``writer`` (group commit), ``checkpoint``, ``location``
and ``schema`` (the file), ``engine`` (all of it, opened).
"""

from zaqarserver.storage.sqlite.driver import SQLiteStorage

__all__ = ["SQLiteStorage"]
