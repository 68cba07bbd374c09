"""For tests of programs that use the service (``extensions`` section 8).

A server in the process of the test, in memory, on a free port, with a clock that the
test moves, and a receiver of webhooks. With pytest they are fixtures
(:mod:`zaqarserver.testing.plugin`).
"""

from zaqarserver.testing.clock import MovableClock
from zaqarserver.testing.receiver import ReceivedNotification, Receiver
from zaqarserver.testing.server import InProcessServer as Server

__all__ = ["MovableClock", "ReceivedNotification", "Receiver", "Server"]
