"""The store on Redis or Valkey, which many servers can share.

``driver`` implements the contract. The functions that execute commands are in
``messages``, ``claims``, ``queues``, ``subscriptions``, ``accounts``, ``catalog`` and
``moving``, each beside the call of its script; scripts are in the
folder ``lua``. They get a ``store``. Each of its parts uses only those named before it:
``location`` (the URI), ``connection``, ``names`` (keys and ids), ``topology`` (which
server has which slots), ``scripts``, ``client`` (requests until their outcome is
known), ``durability``, ``usage`` (sums), ``registration`` and ``channel`` (other
servers).
"""

from zaqarserver.storage.redis.driver import RedisStorage

__all__ = ["RedisStorage"]
