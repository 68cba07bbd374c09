"""The version of the client."""

__version__ = "5.0.0"
