"""What a start costs: a server imports nothing that it does not use."""

import subprocess
import sys

#: Libraries of what the default settings do not use, or not yet.
UNUSED = {
    *("aiohttp", "aiosmtplib", "hiredis", "jsonschema", "keystoneauth1"),
    *("keystonemiddleware", "oslo_policy.policy", "prometheus_client", "requests"),
}
START = """
import asyncio, sys
from zaqarserver import config
from zaqarserver.process.app import Application

async def start():
    app = Application(config.load([]))
    await app.storage.open()
    await app.notifier.start()
    await app.notifier.stop()
    await app.storage.close()

asyncio.run(start())
print(*sys.modules)
"""


def test_a_server_imports_only_what_it_uses(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", START],
        env={"HOME": str(tmp_path), "OS_STORAGE__URI": "sqlite://:memory:"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & UNUSED == set()
    assert "zaqarserver.notify.webhook" in done.stdout.split()
