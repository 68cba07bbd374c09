"""What each operation says to the service, and what it makes of the answer.

Each function is a flow: a generator that yields a `Call`, is sent the
`Response`, and returns the result. Nothing in a flow waits or knows a wire,
so the same flow runs under any driver. A call that fails is thrown into its
flow as a ``TransportError``.
"""

from zaqarclient.queues.v2.operations.claims import (
    Claimed,
    claim_create,
    claim_delete,
    claim_get,
    claim_update,
)
from zaqarclient.queues.v2.operations.flavors import (
    flavor_create,
    flavor_delete,
    flavor_get,
    flavor_list,
    flavor_update,
)
from zaqarclient.queues.v2.operations.flow import (
    Document,
    claim_id_of,
    follow,
    next_link,
)
from zaqarclient.queues.v2.operations.messages import (
    message_delete,
    message_delete_many,
    message_get,
    message_get_many,
    message_list,
    message_pop,
    message_post,
)
from zaqarclient.queues.v2.operations.pools import (
    pool_create,
    pool_delete,
    pool_drain,
    pool_get,
    pool_list,
    pool_update,
)
from zaqarclient.queues.v2.operations.queues import (
    queue_create,
    queue_delete,
    queue_exists,
    queue_get,
    queue_get_stats,
    queue_is_listed,
    queue_list,
    queue_purge,
    queue_replace_metadata,
    queue_update,
)
from zaqarclient.queues.v2.operations.service import (
    health,
    homedoc,
    ping,
    quota_show,
    quota_show_project,
)
from zaqarclient.queues.v2.operations.sharing import (
    signed_url_create,
    signed_url_list,
    signed_url_revoke,
)
from zaqarclient.queues.v2.operations.subscriptions import (
    subscription_confirm,
    subscription_create,
    subscription_delete,
    subscription_get,
    subscription_list,
    subscription_update,
)
from zaqarclient.queues.v2.operations.topics import on_topics, topic_list

__all__ = [
    "Claimed",
    "Document",
    "claim_create",
    "claim_delete",
    "claim_get",
    "claim_id_of",
    "claim_update",
    "flavor_create",
    "flavor_delete",
    "flavor_get",
    "flavor_list",
    "flavor_update",
    "follow",
    "health",
    "homedoc",
    "message_delete",
    "message_delete_many",
    "message_get",
    "message_get_many",
    "message_list",
    "message_pop",
    "message_post",
    "next_link",
    "on_topics",
    "ping",
    "pool_create",
    "pool_delete",
    "pool_drain",
    "pool_get",
    "pool_list",
    "pool_update",
    "queue_create",
    "queue_delete",
    "queue_exists",
    "queue_get",
    "queue_get_stats",
    "queue_is_listed",
    "queue_list",
    "queue_purge",
    "queue_replace_metadata",
    "queue_update",
    "quota_show",
    "quota_show_project",
    "signed_url_create",
    "signed_url_list",
    "signed_url_revoke",
    "subscription_confirm",
    "subscription_create",
    "subscription_delete",
    "subscription_get",
    "subscription_list",
    "subscription_update",
    "topic_list",
]
