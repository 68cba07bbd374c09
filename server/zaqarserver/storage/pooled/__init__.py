"""One store made of several: queues are kept in pools, by placement."""

from zaqarserver.storage.pooled.pools import Pools
from zaqarserver.storage.pooled.storage import PooledStorage

__all__ = ["PooledStorage", "Pools"]
