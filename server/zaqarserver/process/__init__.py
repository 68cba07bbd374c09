"""The running program: the parts put together, listening, workers, signals."""
