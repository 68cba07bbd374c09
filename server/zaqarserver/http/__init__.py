"""The REST edge on Falcon: see :mod:`zaqarserver.http.edge`."""

from zaqarserver.http.app import make_app

__all__ = ["make_app"]
