"""A worker: claim messages, do the work, delete them."""

import os

from zaqarclient.queues import client

options = {"os_project_id": os.environ["OS_QUEUES_PROJECT_ID"]}
conf = {"auth_opts": {"backend": "noauth", "options": options}}
zaqar = client.Client(os.environ["OS_QUEUES_ENDPOINT"], version=2, conf=conf)

queue = zaqar.queue("orders")
queue.post([{"body": {"item": "scones", "count": count}} for count in (1, 2, 3)])
for message in queue.claim(ttl=300, grace=60, limit=10):
    print("done:", message.body)
    message.delete()
print("left:", queue.stats["messages"]["total"])
