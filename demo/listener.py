"""A subscriber over WebSocket: each message is pushed when it is posted."""

import os

import zaqarclient as zq

# The port of the REST API takes WebSockets as well.
url = os.environ["OS_QUEUES_ENDPOINT"].replace("http", "ws", 1)

with zq.Client(url, project="demo") as zaqar, zaqar.listen("news") as news:
    print("listening", flush=True)
    for notification in news:
        print("received", notification.body, flush=True)
