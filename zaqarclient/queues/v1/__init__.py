"""Version 1 of the queues API, by name only: it speaks version 2."""
