"""A subscriber: told over WebSocket of each message when it is posted."""

import os

from zaqarclient.queues import client

options = {"os_project_id": os.environ["OS_QUEUES_PROJECT_ID"]}
conf = {"auth_opts": {"backend": "noauth", "options": options}}
# The port of the REST API takes WebSockets as well.
endpoint = os.environ["OS_QUEUES_ENDPOINT"].replace("http", "ws", 1)

with client.Client(endpoint, conf=conf) as zaqar, zaqar.listen("news") as listener:
    print("listening", flush=True)
    for notification in listener:
        print("told of", notification.body, flush=True)
