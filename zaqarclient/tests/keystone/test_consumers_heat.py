"""Heat's calls again, with real tokens and sessions."""

from zaqarclient.tests.functional.consumers.test_heat import *  # noqa: F403 - as beside
