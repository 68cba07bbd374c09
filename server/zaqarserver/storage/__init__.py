"""Storage drivers behind one contract: see :mod:`zaqarserver.storage.base`."""
