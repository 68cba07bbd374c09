"""The commands of a mover of queues, at which tests kill it."""

from zaqarserver.storage.catalog import PlacementArrive, PlacementMove
from zaqarserver.storage.moving import (
    QueueContents,
    QueueDrop,
    QueueExport,
    QueueImport,
    QueueOpen,
    QueueSeal,
)

#: Commands, before and after each of which a mover can be killed.
STEPS = (
    PlacementMove,
    PlacementArrive,
    QueueSeal,
    QueueExport,
    QueueImport,
    QueueContents,
    QueueOpen,
    QueueDrop,
)
