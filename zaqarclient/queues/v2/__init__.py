"""Version 2 of the queues API."""
