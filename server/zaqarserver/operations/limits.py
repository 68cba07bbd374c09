"""The limits of each project: stored data, sockets, and the rate of requests.

By default little is limited; ``[quota]`` sets the limits. The store counts what a
project stores (queues, messages, bytes, subscriptions), for all servers of the store.
Sockets and the rate are counted here, so they apply to one server process.
"""

from __future__ import annotations

import functools
import logging
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
from oslo_config import cfg

from zaqarserver.common.lru import LRU
from zaqarserver.common.options import options, setting, values
from zaqarserver.errors import QuotaExceeded, SettingsError, TooManyRequests

LOG = logging.getLogger(__name__)

#: The value of a limit that is not set.
UNLIMITED = -1
#: The quotas of stored data, in the order in which they are checked and shown.
STOCK = ("queues", "messages", "bytes", "subscriptions")
#: The two quotas with a default: without them one request could cause hours of work.
SUBSCRIPTIONS_PER_QUEUE = 10_000
NOTIFICATIONS_PER_POST = 1_000_000
#: Projects whose rate is tracked; a project that is dropped has its full burst again.
MOST_BUCKETS = 10_000
#: Seconds between two checks of the file of overrides.
RELOAD_SECONDS = 1.0

#: One request in a bucket, less the rounding errors of filling it.
_ONE = 1 - 1e-9


def _count(what: str, default: int = UNLIMITED) -> int:
    return setting(default, f"{what} -1: any number.", min=UNLIMITED)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one project in ``[quota]``; -1 is none."""

    queues: int = _count("Queues and topics that a project may have.")
    messages: int = _count("Messages that a project may keep.")
    bytes: int = _count("Bytes of message bodies that a project may keep.")
    subscriptions: int = _count("Subscriptions that a project may have.")
    sockets: int = _count("WebSockets of a project at once, in one server process.")
    waiters: int = _count(
        "Requests of a project that wait for messages at once, in one server process. "
        "More are answered 429."
    )
    subscriptions_per_queue: int = _count(
        "Subscriptions that one queue or topic may have.", SUBSCRIPTIONS_PER_QUEUE
    )
    notifications_per_post: int = _count(
        "Messages of one post times the subscriptions of its queue or topic.",
        NOTIFICATIONS_PER_POST,
    )
    requests_per_second: float = setting(
        UNLIMITED,
        "Requests a second of a project over time, in one server process; -1 for "
        "any. More are answered 429 with Retry-After.",
        cfg.FloatOpt,
    )
    burst: int = setting(
        0,
        "Requests at once after a pause. 0: as many as requests_per_second.",
        min=0,
    )

    @functools.cached_property
    def limit_stock(self) -> bool:
        """True if any quota of stored data is set."""
        return any(getattr(self, kind) != UNLIMITED for kind in STOCK)

    @property
    def bucket_size(self) -> int:
        """Requests at once, at least 1."""
        return self.burst or max(1, math.ceil(self.requests_per_second))


@dataclass(frozen=True)
class QuotaFile:
    """The settings of ``[quota]`` in addition to the limits."""

    overrides_file: str = setting(
        "",
        "A TOML file with a table for each project that has other quotas. Changes "
        "are followed within a second. Empty: none.",
    )


def _overridable(option: cfg.Opt) -> tuple[str, Any, Any]:
    kind: Any = float if isinstance(option, cfg.FloatOpt) else int
    least = getattr(option.type, "min", None)
    bounded: Any = Annotated[
        kind, msgspec.Meta(ge=UNLIMITED if least is None else least)
    ]
    return option.dest, bounded | msgspec.UnsetType, msgspec.UNSET


#: The limits of one project that override those for all; see :class:`Limits`.
Override: Any = msgspec.defstruct(
    "Override",
    [_overridable(option) for option in options(Limits)],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)


def merge(limits: Limits, override: Any) -> Limits:
    """Return the limits of a project with an :class:`Override`.

    Raises:
        SettingsError: The rate is 0, which would admit no request.
    """
    named = msgspec.structs.asdict(override)
    given = {name: one for name, one in named.items() if one is not msgspec.UNSET}
    merged = replace(limits, **given)
    check_rate(merged.requests_per_second)
    return merged


def check_rate(requests_per_second: float) -> None:
    """Refuse an invalid rate.

    Raises:
        SettingsError: It is neither positive nor unlimited.
    """
    if requests_per_second != UNLIMITED and not 0 < requests_per_second < math.inf:
        raise SettingsError(
            "requests_per_second must be more than 0, or -1 for no limit"
        )


class ProjectLimits:
    """The limits of single projects, in a TOML file with a table for each.

    Changes of the file take effect within a second. If the file is invalid when the
    server starts, that is an error; later it is logged, and the previous limits stay
    in force.

    Args:
        path: The file.
        limits: The limits of all other projects.

    Raises:
        SettingsError: The file is missing or invalid.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._looked = -math.inf
        self._seen: tuple[int, ...] = ()
        self._known: Mapping[str, Limits] = {}
        self._read()

    def find(self, project: str, now: float) -> Limits:
        """Return a project's limits."""
        if abs(now - self._looked) >= RELOAD_SECONDS:
            self._looked = now
            try:
                self._read()
            except SettingsError as error:
                LOG.error("quotas stay as they were: %s", error)  # noqa: TRY400 - one line says it all
        return self._known.get(project, self._limits)

    def _read(self) -> None:
        """Read the file if it has changed."""
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return
            # An invalid file is not read again until it changes.
            self._seen = seen
            text = self._path.read_bytes()
            overrides = msgspec.toml.decode(text, type=dict[str, Override])
        except OSError as error:
            self._seen = ()
            raise SettingsError(
                f"[quota] overrides_file {self._path}: {error.strerror}"
            ) from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"[quota] overrides_file {self._path}: {error}"
            ) from error
        self._known = {
            project: merge(self._limits, override)
            for project, override in overrides.items()
        }


class _Bucket:
    """The token bucket of a project's rate."""

    __slots__ = ("filled", "tokens")

    def __init__(self, tokens: float, filled: float) -> None:
        self.tokens = tokens
        self.filled = filled

    def fill(self, limits: Limits, now: float) -> None:
        """Add tokens for the time since the last call; none if the clock went back."""
        passed = max(0.0, now - self.filled)
        self.filled = now
        brought = passed * limits.requests_per_second
        self.tokens = min(limits.bucket_size, self.tokens + brought)


class Quotas:
    """The limits of all projects; counts rates, sockets and reservations.

    All methods take constant time, whatever the number of projects.

    Args:
        limits: The limits of projects without overrides.
        overrides: The limits of single projects.

    Attributes:
        refused: The number of refusals of each quota, by its name.
    """

    def __init__(
        self, limits: Limits | None = None, overrides: ProjectLimits | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._overrides = overrides
        self._buckets: LRU[str, _Bucket] = LRU(MOST_BUCKETS)
        self._sockets: Counter[str] = Counter()
        self._reserved: dict[str, Counter[str]] = {}
        self.refused: Counter[str] = Counter()

    def limits(self, project: str, now: float) -> Limits:
        """Return a project's limits.

        Args:
            project: The project.
            now: Seconds; only differences between two calls matter.
        """
        if self._overrides is None:
            return self._limits
        return self._overrides.find(project, now)

    # -- the rate -----------------------------------------------------------

    def admit(self, project: str, now: float) -> None:
        """Take one token from a project's bucket.

        Raises:
            TooManyRequests: The bucket is empty.
        """
        limits = self.limits(project, now)
        if limits.requests_per_second == UNLIMITED:
            return
        bucket = self._bucket(project, limits, now)
        if bucket.tokens >= _ONE:
            bucket.tokens -= 1
            return
        rate = limits.requests_per_second
        wait = max(1, math.ceil((1 - bucket.tokens) / rate))
        self.refused["requests"] += 1
        raise TooManyRequests(
            f"The project may send {rate:g} requests a second, {limits.bucket_size} at "
            f"once: try again in {wait} s.",
            retry_after=wait,
        )

    def remaining(self, project: str, now: float) -> int:
        """Return how many requests a project may send at once now, -1 for any."""
        limits = self.limits(project, now)
        if limits.requests_per_second == UNLIMITED:
            return UNLIMITED
        return max(0, int(self._bucket(project, limits, now).tokens + 1 - _ONE))

    def _bucket(self, project: str, limits: Limits, now: float) -> _Bucket:
        bucket = self._buckets.use(project)
        if bucket is None:
            bucket = self._buckets[project] = _Bucket(limits.bucket_size, now)
        bucket.fill(limits, now)
        return bucket

    # -- sockets ------------------------------------------------------------

    def open_socket(self, project: str, now: float) -> None:
        """Count a WebSocket of a project; :meth:`close_socket` ends it.

        Raises:
            QuotaExceeded: The project has reached its quota; nothing was counted.
        """
        limit, used = self.limits(project, now).sockets, self._sockets[project]
        if limit != UNLIMITED and used >= limit:
            raise self.exceeded("sockets", limit, used, 1)
        self._sockets[project] += 1

    def close_socket(self, project: str) -> None:
        """Stop counting a WebSocket."""
        self._sockets[project] -= 1
        if not self._sockets[project]:
            del self._sockets[project]

    def sockets(self, project: str) -> int:
        """Return how many WebSockets a project has in this process."""
        return self._sockets.get(project, 0)

    def check_waiters(self, project: str, used: int, now: float) -> None:
        """Return if one more request of a project may wait.

        Raises:
            TooManyRequests: So many wait already.
        """
        limit = self.limits(project, now).waiters
        if limit != UNLIMITED and used >= limit:
            self.refused["waiters"] += 1
            raise TooManyRequests(
                f"{used} requests of the project wait for messages; the quota is "
                f"{limit}.",
                retry_after=1,
            )

    # -- reservations ---------------------------------------------------------

    def reserve(self, project: str, wanted: Mapping[str, int]) -> None:
        """Reserve quota for data that is about to be stored."""
        self._reserved.setdefault(project, Counter()).update(wanted)

    def release(self, project: str, wanted: Mapping[str, int]) -> None:
        """Release a reservation: the data is stored by now, or the request failed."""
        held = self._reserved[project]
        held.subtract(wanted)
        for kind in wanted:
            if not held[kind]:
                del held[kind]
        if not held:
            del self._reserved[project]

    def reserved(self, project: str, kind: str) -> int:
        """Return how much of a kind is reserved in this process."""
        held = self._reserved.get(project)
        return 0 if held is None else held[kind]

    def exceeded(self, kind: str, limit: int, used: int, wanted: int) -> QuotaExceeded:
        """Count a refusal and return its error."""
        return self.refuse(
            kind,
            f"The quota of {kind} is {limit}: the project has {used}, and this would "
            f"add {wanted}.",
        )

    def refuse(self, kind: str, reason: str) -> QuotaExceeded:
        """Count a refusal and return its error with a reason."""
        self.refused[kind] += 1
        return QuotaExceeded(reason)


def quotas_of(conf: cfg.ConfigOpts) -> Quotas:
    """Return the quotas of the configuration.

    Raises:
        SettingsError: The rate or the file of overrides is invalid.
    """
    limits = Limits(**values(Limits, conf.quota))
    check_rate(limits.requests_per_second)
    path = conf.quota.overrides_file
    return Quotas(limits, ProjectLimits(Path(path), limits) if path else None)
