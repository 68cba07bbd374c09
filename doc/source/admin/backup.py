"""Copy the store of a running server: backup.py STORE TARGET."""

import sys

import apsw

_, store, target = sys.argv
source = apsw.Connection(store, apsw.SQLITE_OPEN_READONLY)
source.execute("VACUUM INTO ?", (target,))
source.close()
