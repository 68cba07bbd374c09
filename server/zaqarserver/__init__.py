"""A compact Zaqar server: queues, messages and claims by project."""

__version__ = "1.0.0"
