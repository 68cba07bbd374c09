"""The queues API."""
