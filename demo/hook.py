"""A webhook that subscribes itself to a queue and prints what comes: hook.py QUEUE."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

import zaqarclient as zq

SERVICE = os.environ.get("OS_QUEUES_ENDPOINT", "http://127.0.0.1:8888")
# That of the commands, where nothing is configured.
PROJECT = os.environ.get("OS_QUEUES_PROJECT_ID", "fake_project_id_for_noauth")


class Hook(BaseHTTPRequestHandler):
    """Takes notifications."""

    def do_POST(self) -> None:
        """Print the body of a message."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        print("webhook received:", json.loads(content)["body"], flush=True)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


with HTTPServer(("127.0.0.1", 0), Hook) as server:
    url = f"http://127.0.0.1:{server.server_port}/"
    with zq.Client(SERVICE, project=PROJECT) as zaqar:
        zaqar.queue(sys.argv[1]).subscription(url, ttl=3600)
    print(f"{url} is subscribed to {sys.argv[1]}", flush=True)
    server.serve_forever()
