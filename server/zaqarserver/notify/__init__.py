"""Notifications: the notifier and its deliverers.

The store keeps the outbox (:mod:`zaqarserver.storage.subscriptions`).
:class:`zaqarserver.notify.worker.Notifier` takes deliveries from it, passes their
messages to the deliverer of the subscriber's kind (entry point group
``zaqarserver.notify``, URI scheme -> class) and settles them. Pure parts (retry
policies, payloads, filters, checks of options) import neither a deliverer nor the
network, so that handlers can use them, too.
"""
