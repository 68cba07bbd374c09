"""Client library and commands for Zaqar, the OpenStack messaging service."""

from zaqarclient.version import __version__

__all__ = ["__version__"]
