"""The version of the client."""

__version__ = "5.0.0"

version_string = __version__
version_info = tuple(int(part) for part in __version__.split("."))
