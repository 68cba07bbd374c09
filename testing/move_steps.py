"""What a mover of queues asks of stores: where tests kill it."""

#: Methods of the stores, each of which a mover can be killed before and after.
STEPS = (
    "placement_move",
    "placement_arrive",
    "queue_seal",
    "queue_receive",
    "queue_export",
    "queue_import",
    "queue_contents",
    "queue_open",
    "queue_leave",
)
