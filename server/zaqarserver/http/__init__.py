"""The REST edge and its connections: see :mod:`zaqarserver.http.edge`."""

from zaqarserver.http.edge import RestEdge

__all__ = ["RestEdge"]
