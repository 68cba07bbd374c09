"""Helpers that know nothing of messaging: caches, deadlines, plug-ins, log, metrics."""
