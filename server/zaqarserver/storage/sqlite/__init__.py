"""The embedded store, on SQLite.

``driver`` is the contract's face; ``engine`` is the open store and the table of the
functions that perform commands. Those stand, with their SQL, in the modules named after
what they are about. Below are ``writer`` (group commit), ``memory`` (what it knows) and
the file: ``database``, ``files``, ``damage``.
"""

from zaqarserver.storage.sqlite.driver import SQLiteStorage

__all__ = ["SQLiteStorage"]
