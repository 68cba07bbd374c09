"""The base class of test cases, as earlier versions shipped it.

It is here for suites written against them (contract, SDK section 22); this
package's own tests are pytest's.
"""

from __future__ import annotations

import os
from typing import Any

try:
    from testtools import TestCase
except ImportError:
    from unittest import TestCase

__all__ = ["TestBase"]

_PROJECT = "my-project"


class TestBase(TestCase):
    """A test case with the configuration of a client.

    With ``ZAQARCLIENT_AUTH_FUNCTIONAL`` in the environment the credentials are
    those of ``OS_*`` or ``clouds.yaml``, else there are none.

    Attributes:
        conf: What a client takes as its ``conf``.
    """

    def setUp(self) -> None:
        super().setUp()
        self.conf: dict[str, Any] = {
            "auth_opts": {"backend": "noauth", "options": {"os_project_id": _PROJECT}}
        }
        if is_set("ZAQARCLIENT_AUTH_FUNCTIONAL"):
            self.conf["auth_opts"] = _credentials()

    def config(self, group: str | None = None, **kw: Any) -> None:
        """Change the configuration for this test.

        Args:
            group: A mapping in the configuration, made if it is missing; None
                for the top.
            **kw: The options.
        """
        options = self.conf if group is None else self.conf.setdefault(group, {})
        options.update(kw)


def is_set(variable: str) -> bool:
    """Return whether a variable of the environment is there and not empty."""
    return bool(os.environ.get(variable))


def _credentials() -> dict[str, Any]:
    from openstack import config  # noqa: PLC0415 - 0.3 s that most tests need not pay

    auth = config.OpenStackConfig().get_one().config["auth"]
    return {
        "backend": "keystone",
        "options": {f"os_{name}": value for name, value in auth.items()},
    }
