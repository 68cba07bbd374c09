"""A store of which calls meet faults on their way to Redis."""

from __future__ import annotations

import contextlib
import itertools
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, cast

from tcp_proxy import CountingProxy, Fault
from zaqarserver.storage.base import Storage
from zaqarserver.storage.redis import RedisStorage

#: Options of a URI: a server that is silent is given up soon, and asked for longer.
HASTY = "timeout=1&connect_timeout=1&retry=20"
#: Those that are noticed at once.
QUICK = (Fault.CUT, Fault.LOST, Fault.DOUBLE, Fault.HALF)
#: How many calls all meet one; of the others one in so many does, which saves time.
_ALL, _SOME = 40, 25


class UnluckyStorage:
    """Passes on the calls to a driver; they meet faults by turns.

    Args:
        storage: The driver of a store behind the proxy.
        proxy: What spoils the first script of such a call, or its answer.
        faults: Which there are.
    """

    def __init__(
        self, storage: Storage, proxy: CountingProxy, faults: Iterable[Fault] = QUICK
    ) -> None:
        self._storage = storage
        self._proxy = proxy
        self._faults = itertools.cycle(faults)
        self._calls = itertools.count()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """That of the driver: what it can do is asked by its class."""
        return type(self._storage)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if callable(found) and name not in {"open", "close"}:
            number = next(self._calls)
            if number < _ALL or not number % _SOME:
                self._proxy.inject(next(self._faults), b"EVALSHA")
        return found


@contextlib.contextmanager
def unlucky_storage(port: int, faults: Iterable[Fault] = QUICK) -> Iterator[Storage]:
    """Make the driver of an empty store, closed.

    Args:
        port: That of the Redis behind it.
        faults: What its calls meet, by turns.
    """
    with CountingProxy(port).running() as proxy:
        uri = f"redis://127.0.0.1:{proxy.port}?prefix={uuid.uuid4().hex}&{HASTY}"
        made = UnluckyStorage(RedisStorage.from_uri(uri, {}), proxy, faults)
        yield cast("Storage", made)
