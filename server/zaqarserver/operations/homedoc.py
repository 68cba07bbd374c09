"""The home document's data (``rest-v2`` 1.3)."""

from __future__ import annotations

import re
from typing import Any

_PAGE = "{?marker,limit}"
_QUEUE = "/v2/queues/{queue_name}"
_MESSAGES = f"{_QUEUE}/messages"


def _of_topic(rel: str, template: str) -> tuple[str, str]:
    """Return a relation of queues and its template as topics have them."""
    rel = rel.replace("queue", "topic") if "queue" in rel else f"topic_{rel}"
    for unknown in (",include_claimed", "{?claim,claim_id}"):
        template = template.replace(unknown, "")
    return rel, template.replace("queue", "topic")


# rel, template, methods, whether it accepts a JSON post
_PUBLIC: tuple[tuple[str, str, str, bool], ...] = (
    ("queues", "/v2/queues{?marker,limit,detailed}", "GET", False),
    ("queue", _QUEUE, "GET PUT DELETE PATCH", False),
    ("queue_stats", f"{_QUEUE}/stats", "GET", False),
    ("queue_share", f"{_QUEUE}/share", "POST", True),
    ("queue_purge", f"{_QUEUE}/purge", "POST", True),
    (
        "messages",
        _MESSAGES + "{?marker,limit,echo,include_claimed}",
        "GET",
        False,
    ),
    ("post_messages", _MESSAGES, "POST", True),
    ("messages_delete", _MESSAGES + "{?ids,pop}", "DELETE", False),
    ("message_delete", _MESSAGES + "/{message_id}{?claim,claim_id}", "DELETE", False),
    ("message_get", _MESSAGES + "/{message_id}", "GET", False),
    ("claim", f"{_QUEUE}/claims/{{claim_id}}", "GET", False),
    ("post_claim", f"{_QUEUE}/claims{{?limit}}", "POST", True),
    ("patch_claim", f"{_QUEUE}/claims/{{claim_id}}", "PATCH", True),
    ("delete_claim", f"{_QUEUE}/claims/{{claim_id}}", "DELETE", False),
    ("subscriptions_get", f"{_QUEUE}/subscriptions{_PAGE}", "GET", False),
    ("subscriptions_post", f"{_QUEUE}/subscriptions{{?limit}}", "POST", True),
    (
        "subscription",
        f"{_QUEUE}/subscriptions/{{subscriptions_id}}",
        "GET DELETE",
        False,
    ),
    (
        "subscription_patch",
        f"{_QUEUE}/subscriptions/{{subscriptions_id}}",
        "PATCH",
        True,
    ),
    ("ping", "/v2/ping", "GET", False),
)
# Topics are queues without claims and signed URLs.
_TOPICS = tuple(
    (*_of_topic(rel, template), methods, accepts)
    for rel, template, methods, accepts in _PUBLIC
    if "queue" in template and "claims" not in template and rel != "queue_share"
)
_ADMIN: tuple[tuple[str, str, str, bool], ...] = (
    ("pools", "/v2/pools{?detailed,limit,marker}", "GET", False),
    ("pool", "/v2/pools/{pool_name}", "GET PUT PATCH DELETE", False),
    ("flavors", "/v2/flavors{?detailed,limit,marker}", "GET", False),
    ("flavor", "/v2/flavors/{flavor_name}", "GET PUT PATCH DELETE", False),
)
# What the variable ``limit`` counts, by rel.
_LIMITS = {
    "queues": "queue_limit",
    "topics": "queue_limit",
    "messages": "messages_limit",
    "post_claim": "claim_limit",
    "subscriptions_get": "subscription_limit",
    "subscriptions_post": "subscription_limit",
    "pools": "pool_limit",
    "flavors": "flavor_limit",
}
_VARIABLES = re.compile(r"\{\??([^}]*)\}")


def _entry(rel: str, template: str, methods: str, accepts: bool) -> dict[str, Any]:
    names = [
        name for group in _VARIABLES.findall(template) for name in group.split(",")
    ]
    limit = _LIMITS.get(rel.removeprefix("topic_"), "limit")
    special = {"limit": limit, "claim": "claim_id"}
    hints: dict[str, Any] = {
        "allow": methods.split(),
        "formats": {"application/json": {}},
    }
    if accepts:
        hints["accept-post"] = ["application/json"]
    return {
        "href-template": template,
        "href-vars": {name: f"param/{special.get(name, name)}" for name in names},
        "hints": hints,
    }


def home_document(*, admin: bool) -> dict[str, Any]:
    """Return the home document; with the admin resources in admin mode."""
    rows = _PUBLIC + _TOPICS + (_ADMIN if admin else ())
    resources = {f"rel/{row[0]}": _entry(*row) for row in rows}
    if admin:
        resources["rel/health"] = {
            "href": "/v2/health",
            "hints": {"allow": ["GET"], "formats": {"application/json": {}}},
        }
    return {"resources": resources}
