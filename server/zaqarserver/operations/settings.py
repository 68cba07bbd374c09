"""The settings that handlers and edges read (``rest-v2`` section 7)."""

from __future__ import annotations

from dataclasses import dataclass

from zaqarserver.common.options import setting


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """The group ``[DEFAULT]``."""

    auth_strategy: str = setting(
        "",
        "How callers are authenticated.",
        choices=[
            ("", "No authentication: requests are believed. Loopback only."),
            ("keystone", "Keystone tokens, checked as [keystone_authtoken] says."),
        ],
    )
    admin_mode: bool = setting(
        False, "Serve the routes for administrators (health, pools), too."
    )
    pooling: bool = setting(
        False,
        "Place queues in pools: stores that administrators register. The store of "
        "[storage] uri has the catalogue.",
    )
    enable_checksum: bool = setting(False, "Store a checksum with each message.")
    generated_keys: bool = setting(
        True,
        "Make the keys that are not configured ([signed_url] secret_key, [transport] "
        "message_encryption_key) at the first start, and keep them in a file beside "
        "the store: its name and .keys. Not for stores that servers share.",
    )
    debug: bool = setting(False, "Log more: level DEBUG.")
    use_json: bool = setting(False, "Log JSON lines instead of text.")
    workers: int = setting(
        1,
        "Server processes on the same port. More than one needs a store that "
        "processes share, such as redis://HOST. SIGHUP replaces them one by one.",
        min=1,
    )
    insecure: bool = setting(
        False,
        "Without authentication, listen on addresses other than loopback, too. "
        "Every client that reaches the port then has full access to every project.",
    )


def _least(what: str) -> int:
    return setting(60, f"The shortest {what}, seconds.", min=1, max=60)


@dataclass(frozen=True, kw_only=True)
class Settings(CommonSettings):
    """The groups ``[DEFAULT]`` and ``[transport]``.

    Attributes:
        idempotency_window: Of the group ``[storage]``.
    """

    idempotency_window: int = 600
    default_message_ttl: int = setting(3600, "Seconds that a message lives.", min=1)
    default_message_delay: int = setting(
        0, "The delay shown for queues without one.", min=0
    )
    default_claim_ttl: int = setting(300, "Seconds that a claim lives.", min=1)
    default_claim_grace: int = setting(
        60, "Seconds that messages outlive a claim.", min=1
    )
    min_message_ttl: int = _least("life of a message")
    min_claim_ttl: int = _least("claim")
    min_claim_grace: int = _least("grace")
    max_queues_per_page: int = setting(20, "The largest page of queues.", min=1)
    max_messages_per_page: int = setting(20, "The largest page of messages.", min=1)
    max_messages_per_claim_or_pop: int = setting(
        20, "The most messages that one claim or pop takes.", min=1
    )
    max_queue_metadata: int = setting(65536, "Bytes of a queue's metadata.", min=2)
    max_messages_post_size: int = setting(262144, "Bytes of one post.", min=1)
    max_messages_per_post: int = setting(
        25000,
        "Messages of one post. More than the default do not fit into the default "
        "of max_messages_post_size.",
        min=1,
    )
    max_message_ttl: int = setting(
        1209600, "The longest life of a message, seconds.", min=60
    )
    max_message_delay: int = setting(900, "The longest delay, seconds.", min=0)
    max_claim_ttl: int = setting(43200, "The longest claim, seconds.", min=60)
    max_claim_grace: int = setting(43200, "The longest grace, seconds.", min=60)
    default_subscription_ttl: int = setting(
        3600, "Seconds that a subscription lives.", min=60
    )
    max_wait: int = setting(
        20, "The longest wait for messages, seconds; 0: nothing waits.", min=0
    )
    max_subscriptions_per_page: int = setting(
        20, "The largest page of subscriptions.", min=1
    )
    max_pools_per_page: int = setting(20, "The largest page of pools.", min=1)
    max_flavors_per_page: int = setting(20, "The largest page of flavors.", min=1)
    max_signed_urls_per_page: int = setting(
        20, "The largest page of signed URLs.", min=1
    )
    max_signed_urls_per_queue: int = setting(
        1000,
        "The most unexpired signed URLs of a queue, including revoked ones.",
        min=0,
    )
    message_encryption_key: str = setting(
        "",
        "The key text, at least 16 characters, that encrypts the messages of "
        "queues with _enable_encrypt_messages. Without it queues cannot have that.",
        secret=True,
    )
    message_encryption_old_keys: tuple[str, ...] = setting(
        (), "Earlier key texts, to read what was encrypted with them."
    )
    subscriber_types: tuple[str, ...] = setting(
        ("http", "https", "mailto", "trust+http", "trust+https"),
        "The schemes that a subscriber may have.",
    )
    client_id_uuid_safe: str = setting(
        "strict",
        "The form of Client-ID.",
        choices=[
            ("strict", "Client ids are UUIDs."),
            ("off", "Client ids are texts of a bounded length."),
        ],
    )
    min_length_client_id: int = setting(10, "The shortest Client-ID, with off.", min=1)
    max_length_client_id: int = setting(36, "The longest Client-ID, with off.", min=1)
    message_delete_with_claim_id: bool = setting(
        False, "Messages can be deleted only with the claim that holds them."
    )
