"""Serve Keystone on loopback: run under the Python of ``.venv-keystone``.

``keystone_app.py PORT SHORT_PORT``; the configuration file is named by
``OS_KEYSTONE_CONFIG_FILES``. On SHORT_PORT the same service takes the header
``Lifetime`` (seconds) and gives tokens that live that long, so that a test can see
one expire.
"""

from __future__ import annotations

import os
import sys

PORT, SHORT_PORT = int(sys.argv[1]), int(sys.argv[2])
del sys.argv[1:]  # what is left there, Keystone would take for its own options

import waitress  # noqa: E402  (Keystone reads sys.argv while it is imported)
from keystone.common.rbac_enforcer import policy  # noqa: E402
from keystone.conf import CONF  # noqa: E402
from keystone.wsgi.api import application  # noqa: E402


def short_lived(environ: dict[str, str], start_response: object) -> object:
    """Answer one request with tokens that live as long as it says."""
    lifetime = int(environ.get("HTTP_LIFETIME", "3600"))
    CONF.set_override("expiration", lifetime, group="token")
    return application(environ, start_response)


# Read at once: two first requests that did it together might end with half the rules.
policy._ENFORCER._enforcer.load_rules()  # noqa: SLF001

# Before the first request: nothing is open yet that two processes may not share.
if os.fork() == 0:
    # One thread, since the setting is the process's.
    waitress.serve(short_lived, host="127.0.0.1", port=SHORT_PORT, threads=1)
else:
    waitress.serve(application, host="127.0.0.1", port=PORT, threads=4)
