"""A webhook: make sure who sent a notification, then say what it is about."""

import json
import os
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

# The same as [notification] webhook_signing_key of the server.
KEY = Webhook(os.environ["WEBHOOK_SIGNING_KEY"])


def is_genuine(headers: Message, content: bytes) -> bool:
    """Return whether the server signed exactly this, and lately."""
    try:
        KEY.verify(content, dict(headers.items()), json_parse=False)
    # The second is for signatures, and content, that cannot be decoded.
    except (WebhookVerificationError, ValueError):
        return False
    return True


class Receiver(BaseHTTPRequestHandler):
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
            print("received", json.loads(content)["body"], flush=True)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        print(f"receiving on http://127.0.0.1:{server.server_port}/hook", flush=True)
        server.serve_forever()
