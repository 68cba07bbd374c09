"""Tests against a real server process."""
