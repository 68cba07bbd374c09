"""Telling subscribers about messages: the outbox worker and its deliverers.

The store keeps what is to be told (:mod:`zaqarserver.storage.subscriptions`);
:class:`zaqarserver.notify.worker.Notifier` takes it from there, gives it to the
deliverer of the subscriber's kind (the entry point group ``zaqarserver.notify``,
URI scheme -> class) and says to the store how it went. What is pure -- retry
policies, payloads, subscription filters, option checks -- imports neither a
deliverer nor the network, so that handlers can use it as well.
"""
