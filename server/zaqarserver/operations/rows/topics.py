"""Topics: the rows of their operations, those of queues made over."""

from __future__ import annotations

from zaqarserver.operations.row import Operation
from zaqarserver.operations.rows import messages, queues, subscriptions
from zaqarserver.operations.topics import topic_row

ROWS: tuple[Operation, ...] = tuple(
    topic_row(row) for row in (*queues.ROWS, *messages.ROWS, *subscriptions.ROWS)
)
