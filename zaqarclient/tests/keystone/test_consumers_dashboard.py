"""The dashboard's calls again, with real tokens."""

from zaqarclient.tests.functional.consumers.test_dashboard import *  # noqa: F403 - as beside
