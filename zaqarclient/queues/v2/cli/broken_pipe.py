"""What to do when the reader of the output has gone away."""

import os
import sys


def discard_output() -> None:
    """Send the rest of the output nowhere, the final flush included."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
