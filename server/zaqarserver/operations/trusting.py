"""The Keystone trust of a subscription: create, keep, replace, remove.

A trust lets this server act for a user. So only the trustor may change where its token
is sent, what is sent with it, or for how long. Any other user with access to the
subscription has to send the subscriber again, which creates a new trust
(``notifications`` section 9).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Self

from zaqarserver.errors import BadRequest, Forbidden, OutcomeUnknown
from zaqarserver.operations.context import Context
from zaqarserver.storage.subscriptions import Subscription, SubscriptionList
from zaqarserver.subscribers.options import (
    GIVEN,
    TRUST_ID,
    needs_trust,
    own_trust_of,
    trust_of,
)

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PAGE: Final = 100


class TrustChange:
    """A change of a subscription and its trust, stored inside ``async with``.

    On success the trust that it replaces is removed, on failure the one that was
    created for it.

    Attributes:
        changes: The members to store. The subscriber is stored together with the
            trust, so that one of two concurrent changes wins as a whole.

    Args:
        ctx: The caller.
        changes: The members to store.
        made: The trust that was created for the change.
        replaced: The trust that is not needed once the change is stored.
    """

    __slots__ = ("_ctx", "_made", "_replaced", "changes")

    def __init__(
        self,
        ctx: Context,
        changes: dict[str, Any],
        made: str | None = None,
        replaced: str | None = None,
    ) -> None:
        self._ctx = ctx
        self._made = made
        self._replaced = replaced
        self.changes = changes

    def not_needed(self) -> None:
        """Discard the trust that was made: the subscription existed already."""
        self._replaced = self._made

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, error: type[BaseException] | None, *_more: object
    ) -> None:
        if error is not None and issubclass(error, OutcomeUnknown):
            return  # the change may be stored: either trust may be needed
        unneeded = self._replaced if error is None else self._made
        if unneeded is not None:
            self._ctx.server.trusts.delete(unneeded, self._ctx.token)


async def trust_new(
    ctx: Context, subscriber: str, options: Mapping[str, Any], ttl: int
) -> TrustChange:
    """Return the members to store for a new subscription.

    Args:
        ctx: The caller.
        subscriber: The URI.
        options: The options as sent.
        ttl: Seconds to live.

    Raises:
        BadRequest: The caller cannot create a trust, or sent another user's.
        Forbidden: Keystone refuses the trust to the caller's token.
        IdentityUnavailable: Keystone does not answer.
    """
    if not needs_trust(subscriber):
        plain = {"subscriber": subscriber, "options": _without(options)}
        return TrustChange(ctx, plain)
    given = _trust_given(options)
    if given is not None:
        await _check_own(ctx, given)
        return TrustChange(ctx, _pair(subscriber, options, given, given=True))
    made = await ctx.server.trusts.create(ctx, ctx.wall + ttl)
    return TrustChange(ctx, _pair(subscriber, options, made), made)


async def trust_change(
    ctx: Context, found: Subscription, named: Mapping[str, Any]
) -> TrustChange:
    """Return the members to store for a change of a subscription.

    Args:
        ctx: The caller.
        found: The stored subscription.
        named: The changes: any of ``subscriber``, ``ttl`` and ``options``.

    Raises:
        BadRequest: The caller cannot create a trust, or sent another user's.
        Forbidden: The trust is another user's, or Keystone refuses a new one.
        IdentityUnavailable: Keystone does not answer.
    """
    subscriber = named.get("subscriber", found.subscriber)
    old = trust_of(found.subscriber, found.options)
    ours = own_trust_of(found.subscriber, found.options)
    if not needs_trust(subscriber):
        return TrustChange(ctx, _plain(found, named), replaced=ours)
    ctx.server.trusts.check_possible(ctx)
    options = named.get("options", found.options)
    given = _trust_given(named.get("options", {}))
    if given not in (None, old):
        await _check_own(ctx, given)
        changes = _pair(subscriber, options, given, given=True)
        return TrustChange(ctx, changes, replaced=ours)
    own = old is not None and await ctx.server.trusts.is_callers(ctx, old)
    if not own and "subscriber" not in named:
        raise Forbidden(
            "The trust of this subscription is another user's, or is gone. Give the "
            "subscriber again, to create a trust of yours."
        )
    if own and (ours is None or "ttl" not in named):
        return TrustChange(ctx, _pair(subscriber, options, old, given=ours is None))
    until = ctx.wall + named.get("ttl", found.ttl)
    made = await ctx.server.trusts.create(ctx, until)
    return TrustChange(ctx, _pair(subscriber, options, made), made, ours)


def _plain(found: Subscription, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changed options of a subscriber that needs no trust."""
    if "options" in named or needs_trust(found.subscriber):
        return {"options": _without(named.get("options", found.options))}
    return {}


def _trust_given(options: Mapping[str, Any]) -> str | None:
    given = options.get(TRUST_ID)
    if given is not None and not (isinstance(given, str) and _ID.fullmatch(given)):
        raise BadRequest(f"{TRUST_ID} must be the id of a trust.")
    return given


async def _check_own(ctx: Context, trust: Any) -> None:
    if not await ctx.server.trusts.is_callers(ctx, trust):
        raise BadRequest(
            f"{TRUST_ID} must be a trust that you created for the user of this "
            "service, in your project. Leave it out to have one created."
        )


def _pair(
    subscriber: str, options: Mapping[str, Any], trust: Any, *, given: bool = False
) -> dict[str, Any]:
    named = {TRUST_ID: trust, GIVEN: True} if given else {TRUST_ID: trust}
    return {"subscriber": subscriber, "options": {**_without(options), **named}}


def _without(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in options if key not in (TRUST_ID, GIVEN)}


# -- removing --------------------------------------------------------------------


async def trusts_of(ctx: Context, queue: str) -> list[str]:
    """Return the trusts that were made for the subscriptions of a queue."""
    found: list[str] = []
    marker = None
    while ctx.server.trusts.in_use:
        page = await ctx.do(
            SubscriptionList, queue, marker=marker, limit=_PAGE, now=ctx.now
        )
        found += [
            trust
            for one in page
            if (trust := own_trust_of(one.subscriber, one.options)) is not None
        ]
        if len(page) < _PAGE:
            break
        marker = page[-1].id
    return found


def remove_trusts(ctx: Context, trusts: list[str]) -> None:
    """Remove trusts in the background, after their subscriptions are deleted."""
    for trust in trusts:
        ctx.server.trusts.delete(trust, ctx.token)
