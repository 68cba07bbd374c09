"""The table of commands: one row a command, read by both programs.

``setup.cfg`` names the same rows as entry points of ``openstack`` (a test
compares the two); the ``zaqar`` program reads this table and so needs no scan of
the installed distributions. Nothing is imported until a command is looked up.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple


class Row(NamedTuple):
    """Where a command lives.

    Attributes:
        module: A module of this package.
        cls: The name of the class that the package offers for it.
        topics: True if topics have the command too.
        made_from: For a command on topics, the class on queues that it is made from.
    """

    module: str
    cls: str
    topics: bool = False
    made_from: str = ""


#: Command words (without the ``messaging`` prefix of ``openstack``) -> class.
COMMANDS: Final[dict[str, Row]] = {
    "queue list": Row("queue", "ListQueues", topics=True),
    "queue create": Row("queue", "CreateQueue", topics=True),
    "queue show": Row("queue", "ShowQueue", topics=True),
    "queue exists": Row("queue", "QueueExists", topics=True),
    "queue set": Row("queue_metadata", "SetQueue", topics=True),
    "queue unset": Row("queue_metadata", "UnsetQueue", topics=True),
    "queue delete": Row("queue", "DeleteQueue", topics=True),
    "queue stats": Row("queue", "GetQueueStats", topics=True),
    "queue set metadata": Row("queue_metadata", "SetQueueMetadata"),
    "queue get metadata": Row("queue_metadata", "GetQueueMetadata"),
    "queue purge": Row("queue", "PurgeQueue", topics=True),
    "queue redrive": Row("releases", "RedriveQueue"),
    "queue export": Row("export", "ExportQueue"),
    "queue import": Row("export", "ImportQueue"),
    "queue signed url": Row("signed_url", "CreateSignedUrl"),
    "queue signed url list": Row("signed_url", "ListSignedUrls"),
    "queue signed url revoke": Row("signed_url", "RevokeSignedUrl"),
    "message post": Row("message_post", "PostMessages", topics=True),
    "message list": Row("message", "ListMessages", topics=True),
    "message show": Row("message", "ShowMessage", topics=True),
    "message pop": Row("message", "PopMessages"),
    "message delete": Row("message", "DeleteMessages", topics=True),
    "message release": Row("releases", "ReleaseMessages"),
    "message bury": Row("releases", "BuryMessages"),
    "message tail": Row("message_tail", "TailMessages", topics=True),
    "message wait": Row("message_wait", "WaitForMessage"),
    "claim create": Row("claim", "CreateClaim"),
    "claim query": Row("claim", "QueryClaim"),
    "claim renew": Row("claim", "RenewClaim"),
    "claim release": Row("claim", "ReleaseClaim"),
    "claim run": Row("claim_run", "RunClaim"),
    "consume": Row("claim_run", "Consume"),
    "subscription create": Row("subscription", "CreateSubscription", topics=True),
    "subscription list": Row("subscription", "ListSubscriptions", topics=True),
    "subscription show": Row("subscription", "ShowSubscription", topics=True),
    "subscription update": Row("subscription", "UpdateSubscription", topics=True),
    "subscription delete": Row("subscription", "DeleteSubscription", topics=True),
    "subscription confirm": Row("subscription", "ConfirmSubscription", topics=True),
    "subscription explain": Row("filters", "ExplainSubscription"),
    "pool create": Row("pool", "CreatePool"),
    "pool show": Row("pool", "ShowPool"),
    "pool update": Row("pool", "UpdatePool"),
    "pool delete": Row("pool", "DeletePool"),
    "pool drain": Row("pool", "DrainPool"),
    "pool list": Row("pool", "ListPools"),
    "flavor create": Row("pool", "CreateFlavor"),
    "flavor show": Row("pool", "ShowFlavor"),
    "flavor update": Row("pool", "UpdateFlavor"),
    "flavor delete": Row("pool", "DeleteFlavor"),
    "flavor list": Row("pool", "ListFlavors"),
    "quota show": Row("service", "ShowQuotas"),
    "limits": Row("service", "ShowLimits"),
    "ping": Row("service", "Ping"),
    "health": Row("service", "Health"),
    "homedoc": Row("service", "HomeDoc"),
}


def _on_topics() -> Iterator[tuple[str, Row]]:
    """Yield the commands on topics, made from those on queues."""
    for words, row in COMMANDS.items():
        if row.topics:
            cls = re.sub("Queue|(?=Message|Subscription)", "Topic", row.cls)
            made = row._replace(cls=cls, topics=False, made_from=row.cls)
            yield f"topic {words.removeprefix('queue ')}", made


COMMANDS.update(list(_on_topics()))

#: Commands that ``openstack`` knows only with the ``messaging`` prefix: alone,
#: these words say too little there, or something else: its own ``flavor`` and
#: ``quota`` are those of servers.
PREFIXED_ONLY: Final = frozenset(
    {
        "ping",
        "health",
        "homedoc",
        "consume",
        "limits",
        "quota show",
        *(name for name in COMMANDS if name.startswith("flavor ")),
    }
)
