"""The table of commands: one row a command, read by both programs.

``setup.cfg`` names the same rows as entry points of ``openstack`` (a test
compares the two); the ``zaqar`` program reads this table and so needs no scan of
the installed distributions. Nothing is imported until a command is looked up.
"""

from typing import Final, NamedTuple


class Entry(NamedTuple):
    """Where a command lives: a module of this package and a class in it."""

    module: str
    cls: str


#: Command words (without the ``messaging`` prefix of ``openstack``) -> class.
COMMANDS: Final[dict[str, Entry]] = {
    "queue list": Entry("queue", "ListQueues"),
    "queue create": Entry("queue", "CreateQueue"),
    "queue show": Entry("queue", "ShowQueue"),
    "queue exists": Entry("queue", "QueueExists"),
    "queue set": Entry("queue_metadata", "SetQueue"),
    "queue unset": Entry("queue_metadata", "UnsetQueue"),
    "queue delete": Entry("queue", "DeleteQueue"),
    "queue stats": Entry("queue", "GetQueueStats"),
    "queue set metadata": Entry("queue_metadata", "SetQueueMetadata"),
    "queue get metadata": Entry("queue_metadata", "GetQueueMetadata"),
    "queue purge": Entry("queue", "PurgeQueue"),
    "queue export": Entry("export", "ExportQueue"),
    "queue import": Entry("export", "ImportQueue"),
    "queue signed url": Entry("signed_url", "CreateSignedUrl"),
    "queue signed url list": Entry("signed_url", "ListSignedUrls"),
    "queue signed url revoke": Entry("signed_url", "RevokeSignedUrl"),
    "message post": Entry("message_post", "PostMessages"),
    "message list": Entry("message", "ListMessages"),
    "message show": Entry("message", "ShowMessage"),
    "message pop": Entry("message", "PopMessages"),
    "message delete": Entry("message", "DeleteMessages"),
    "message tail": Entry("message_tail", "TailMessages"),
    "claim create": Entry("claim", "CreateClaim"),
    "claim query": Entry("claim", "QueryClaim"),
    "claim renew": Entry("claim", "RenewClaim"),
    "claim release": Entry("claim", "ReleaseClaim"),
    "claim run": Entry("claim_run", "RunClaim"),
    "subscription create": Entry("subscription", "CreateSubscription"),
    "subscription list": Entry("subscription", "ListSubscriptions"),
    "subscription show": Entry("subscription", "ShowSubscription"),
    "subscription update": Entry("subscription", "UpdateSubscription"),
    "subscription delete": Entry("subscription", "DeleteSubscription"),
    "subscription confirm": Entry("subscription", "ConfirmSubscription"),
    "subscription explain": Entry("filters", "ExplainSubscription"),
    "topic list": Entry("topic", "ListTopics"),
    "topic create": Entry("topic", "CreateTopic"),
    "topic show": Entry("topic", "ShowTopic"),
    "topic exists": Entry("topic", "TopicExists"),
    "topic set": Entry("topic", "SetTopic"),
    "topic unset": Entry("topic", "UnsetTopic"),
    "topic delete": Entry("topic", "DeleteTopic"),
    "topic stats": Entry("topic", "GetTopicStats"),
    "topic purge": Entry("topic", "PurgeTopic"),
    "topic message post": Entry("topic", "PostTopicMessages"),
    "topic message list": Entry("topic", "ListTopicMessages"),
    "topic message show": Entry("topic", "ShowTopicMessage"),
    "topic message delete": Entry("topic", "DeleteTopicMessages"),
    "topic message tail": Entry("topic", "TailTopicMessages"),
    "topic subscription create": Entry("topic", "CreateTopicSubscription"),
    "topic subscription list": Entry("topic", "ListTopicSubscriptions"),
    "topic subscription show": Entry("topic", "ShowTopicSubscription"),
    "topic subscription update": Entry("topic", "UpdateTopicSubscription"),
    "topic subscription delete": Entry("topic", "DeleteTopicSubscription"),
    "topic subscription confirm": Entry("topic", "ConfirmTopicSubscription"),
    "pool create": Entry("pool", "CreatePool"),
    "pool show": Entry("pool", "ShowPool"),
    "pool update": Entry("pool", "UpdatePool"),
    "pool delete": Entry("pool", "DeletePool"),
    "pool drain": Entry("pool", "DrainPool"),
    "pool list": Entry("pool", "ListPools"),
    "flavor create": Entry("pool", "CreateFlavor"),
    "flavor show": Entry("pool", "ShowFlavor"),
    "flavor update": Entry("pool", "UpdateFlavor"),
    "flavor delete": Entry("pool", "DeleteFlavor"),
    "flavor list": Entry("pool", "ListFlavors"),
    "quota show": Entry("service", "ShowQuotas"),
    "ping": Entry("service", "Ping"),
    "health": Entry("service", "Health"),
    "homedoc": Entry("service", "HomeDoc"),
}

#: Commands that ``openstack`` knows only with the ``messaging`` prefix: alone,
#: these words say too little there, or something else: its own ``flavor`` and
#: ``quota`` are those of servers.
PREFIXED_ONLY: Final = frozenset(
    {
        "ping",
        "health",
        "homedoc",
        "quota show",
        *(name for name in COMMANDS if name.startswith("flavor ")),
    }
)
