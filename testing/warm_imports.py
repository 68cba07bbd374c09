"""What each process that starts warm has imported and looked up already."""

import gc

import pytest  # noqa: F401 - the copies import the program of the tests' process
import zaqarserver.__main__
import zaqarserver.keystone
import zaqarserver.notify.email
import zaqarserver.notify.webhook
import zaqarserver.stages.encryption
import zaqarserver.stages.json_schema
import zaqarserver.storage.pooled
import zaqarserver.storage.redis
import zaqarserver.storage.sqlite  # noqa: F401
from zaqarserver.plugins import installed

for group in ("auth", "notify", "stages", "storage"):
    installed(f"zaqarserver.{group}")
# So that collections in the copies leave alone, and share, what is here.
gc.freeze()
