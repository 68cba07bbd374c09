"""The embedded store, on SQLite.

``driver`` implements the contract; ``engine`` is the open store and the table of the
functions that execute commands. These functions are, with their SQL, in the modules
named after their subject. Below are ``writer`` (group commit), ``memory`` with
``layers`` (its cache) and the file: ``database``, ``files``, ``damage``.
"""

from zaqarserver.storage.sqlite.driver import SQLiteStorage

__all__ = ["SQLiteStorage"]
