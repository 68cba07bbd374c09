"""A webhook: make sure who sent a notification, then say what it is about."""

import base64
import hashlib
import hmac
import json
import os
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer

# The same as [notification] webhook_signing_key of the server.
KEY = base64.b64decode(os.environ["WEBHOOK_SIGNING_KEY"].removeprefix("whsec_"))
FRESH = 300  # seconds


def is_genuine(headers: Message, content: bytes) -> bool:
    """Return whether the server signed exactly this, and lately."""
    sent = headers.get("webhook-timestamp", "0")
    signed = f"{headers.get('webhook-id')}.{sent}.".encode() + content
    digest = hmac.new(KEY, signed, hashlib.sha256).digest()
    wanted = "v1," + base64.b64encode(digest).decode()
    given = headers.get("webhook-signature", "").encode().split()
    fresh = sent.isdigit() and abs(time.time() - int(sent)) < FRESH
    return fresh and any(hmac.compare_digest(wanted.encode(), one) for one in given)


class Webhook(BaseHTTPRequestHandler):
    """Takes notifications."""

    def do_POST(self) -> None:
        """Answer within seconds: work that takes longer belongs into a queue."""
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        genuine = is_genuine(self.headers, content)
        self.send_response(204 if genuine else 403)
        self.end_headers()
        if genuine:
            # The same id again is the same message again: notifications come
            # at least once.
            print("message", self.headers["webhook-id"], "verified", flush=True)
            print(json.loads(content), flush=True)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    with HTTPServer(("127.0.0.1", 0), Webhook) as server:
        print(f"receiving on http://127.0.0.1:{server.server_port}/hook", flush=True)
        server.serve_forever()
