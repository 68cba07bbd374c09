"""Each consumer's calls again, with real tokens and sessions."""

# The tests are those of a server without authentication; the fixture `cloud`,
# which is all they use, is another here.
from zaqarclient.tests.functional.consumers.test_agents import *  # noqa: F403
from zaqarclient.tests.functional.consumers.test_benchmarks import *  # noqa: F403
from zaqarclient.tests.functional.consumers.test_others import *  # noqa: F403
from zaqarclient.tests.functional.consumers.test_telemetry import *  # noqa: F403
from zaqarclient.tests.functional.consumers.test_workflows import *  # noqa: F403
