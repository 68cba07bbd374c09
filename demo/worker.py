"""A worker: claim messages, do the work, delete them."""

import os

import zaqarclient as zq

zaqar = zq.Client(os.environ["OS_QUEUES_ENDPOINT"], project="demo")
queue = zaqar.queue("orders")
queue.post([{"body": {"item": "scone", "number": n}} for n in (1, 2, 3)])
for message in queue.claim(ttl=300, grace=60, limit=10):
    print("done:", message.body)
    message.delete()
print("left:", queue.stats["messages"]["total"])
