"""The store on Redis or Valkey, which many servers can share.

``driver`` is the contract's face; under it, each knows only what is named before:
``location`` (the URI), ``wire`` (one connection), ``keys``, ``nodes`` (which server
has what), ``scripts`` and the folder ``lua`` (what is done), ``link`` (asking until
it is sure), ``access`` (what has to be told elsewhere first), ``packed`` and ``ids``,
``volumes``, ``channel`` and ``presence`` (other servers), ``subscriber_driver``,
``message_driver``, ``queue_driver``, ``account_driver``, ``durability``.
"""

from zaqarserver.storage.redis.driver import RedisStorage

__all__ = ["RedisStorage"]
