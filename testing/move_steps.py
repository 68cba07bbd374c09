"""The commands of a mover of queues, at which tests kill it."""

from zaqarserver.storage.catalog import PlacementArrive, PlacementMove
from zaqarserver.storage.moving import (
    QueueContents,
    QueueExport,
    QueueImport,
    QueueLeave,
    QueueOpen,
    QueueReceive,
    QueueSeal,
)

#: Commands, before and after each of which a mover can be killed.
STEPS = (
    PlacementMove,
    PlacementArrive,
    QueueSeal,
    QueueReceive,
    QueueExport,
    QueueImport,
    QueueContents,
    QueueOpen,
    QueueLeave,
)
