"""The WebSocket edge: see :mod:`zaqarserver.websocket.edge`."""

from zaqarserver.websocket.edge import FrameEdge

__all__ = ["FrameEdge"]
