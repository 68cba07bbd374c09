"""Signatures of pre-signed URLs (``rest-v2`` 2.8).

A signature grants some methods on some paths of one project until a point in time. Its
holder is a caller without roles.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Sequence

import msgspec

from zaqarserver.errors import BadRequest

KINDS = ("messages", "claims", "subscriptions")
DEFAULT_SECONDS = 86400
_FORMAT = "%Y-%m-%dT%H:%M:%S"
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?"
    r"(?:Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)


class Signature(msgspec.Struct, frozen=True):
    """A signed grant.

    Attributes:
        paths: The paths, sorted.
        methods: The methods, sorted.
        project: The project.
        expires: UTC as ``%Y-%m-%dT%H:%M:%S``, without a zone.
        signature: Lower-case hex digits.
    """

    paths: list[str]
    methods: list[str]
    project: str
    expires: str
    signature: str


def compute(
    key: str, paths: Sequence[str], methods: Sequence[str], project: str, expires: str
) -> str:
    """Return the signature of a grant.

    The parts are joined by two characters, a backslash and an n: all clients use this
    form.
    """
    text = r"\n".join(
        [",".join(sorted(paths)), ",".join(sorted(methods)), project, expires]
    )
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def grant_id(signature: str) -> str:
    """Return the id of a signature's grant, which does not reveal the signature."""
    return hashlib.sha256(signature.encode()).hexdigest()[:32]


def written(moment: float) -> str:
    """Return a time, in seconds since the epoch, as it is signed and shown."""
    return dt.datetime.fromtimestamp(int(moment), dt.UTC).strftime(_FORMAT)


def parse_moment(text: str) -> dt.datetime:
    """Return an ISO 8601 date and time in UTC, to the second.

    Raises:
        BadRequest: The text is malformed.
    """
    wrong = BadRequest("expires must be a date and time such as 2031-03-03T09:00:00.")
    if _MOMENT.fullmatch(text) is None:
        raise wrong
    try:
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        return moment.astimezone(dt.UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise wrong from None


class Signer:
    """Makes and checks signatures with the server's key.

    Args:
        key: ``[signed_url] secret_key``; with an empty one all signatures are refused.
    """

    def __init__(self, key: str) -> None:
        self._key = key

    @property
    def can_sign(self) -> bool:
        """True if there is a key."""
        return bool(self._key)

    def sign(
        self,
        paths: Sequence[str],
        methods: Sequence[str],
        project: str,
        expires: float,
    ) -> Signature:
        """Sign a grant.

        Args:
            paths: The paths.
            methods: The methods.
            project: The project.
            expires: When it ends, seconds since the epoch.

        Raises:
            BadRequest: The server has no key.
        """
        if not self._key:
            raise BadRequest(
                "Signed URLs need [signed_url] secret_key, which is not configured "
                "here."
            )
        moment = written(expires)
        chosen, allowed = sorted(set(paths)), sorted(set(methods))
        return Signature(
            chosen,
            allowed,
            project,
            moment,
            compute(self._key, chosen, allowed, project, moment),
        )

    def sign_text(
        self,
        paths: Sequence[str],
        methods: Sequence[str],
        project: str,
        expires: str,
    ) -> str:
        """Return only the signature, for an expiry in its written form."""
        return compute(self._key, paths, methods, project, expires)

    def covers(self, grant: Signature, method: str, path: str, now: float) -> bool:
        """Return True if a signature is genuine and covers a request.

        Args:
            grant: The signature of the request.
            method: The request's method.
            path: The request's path, decoded.
            now: Seconds since the epoch.
        """
        try:
            expires = parse_moment(grant.expires)
        except BadRequest:
            return False
        wanted = compute(
            self._key,
            grant.paths,
            grant.methods,
            grant.project,
            expires.strftime(_FORMAT),
        )
        genuine = hmac.compare_digest(wanted.encode(), grant.signature.encode())
        return (
            genuine
            and bool(self._key)
            and expires.timestamp() > now
            and method in grant.methods
            and any(path == one or path.startswith(one + "/") for one in grant.paths)
        )
