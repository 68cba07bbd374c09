"""A check of message bodies against a JSON Schema in the queue's metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final
from urllib.parse import unquote

import jsonschema_rs
import msgspec

from zaqarserver.errors import BadRequest
from zaqarserver.stages.base import Stage, StageContext

KEY = "_json_schema"
#: Compiled schemas in the cache.
_CACHED = 256
#: Bytes of a compiled pattern: thousands of characters, or some counted repetitions.
_PATTERN_BYTES = 262_144
#: Characters of the reason why a body does not fit; it may repeat the body.
_REASON_LENGTH = 400


class _Checked(msgspec.Struct, frozen=True):
    """A compiled schema.

    Attributes:
        validator: Validates bodies.
        effort: Bounds the cost of validating a body.
    """

    validator: jsonschema_rs.Validator
    effort: Effort


class JsonSchema(Stage):
    """Refuses messages that do not fit the ``_json_schema`` of their queue.

    Patterns are matched in linear time, references to other documents are not
    followed, and the number of times that a schema visits the same value is bounded.
    So a schema can neither stall the server nor make it fetch anything.
    """

    switch = KEY

    def check_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Refuse a value that is not a usable JSON Schema."""
        schema = metadata.get(KEY)
        if schema is not None:
            _usable(schema)

    def post(self, context: StageContext, body: bytes) -> bytes:
        """Refuse a body that does not fit."""
        schema = context.metadata.get(KEY)
        if schema is None:
            return body
        checked = _usable(schema)
        value = msgspec.json.decode(body)
        # Each member but the first follows a comma or an opening bracket.
        members = 1 + body.count(b",") + body.count(b"[") + body.count(b"{")
        if not checked.effort.allows(levels_of(value), members):
            raise BadRequest(
                f"The message body is too large, or has too many levels, for the {KEY} "
                f"of {context.queue} to be checked."
            )
        try:
            # Stops at the first error: there could be very many.
            checked.validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            where = "".join(f"[{part!r}]" for part in error.instance_path)
            reason = f"The message body{where} does not fit: {error.message}"
            if len(reason) > _REASON_LENGTH:
                reason = reason[:_REASON_LENGTH] + "…"
            raise BadRequest(reason) from None
        return body


def _refuse(uri: str) -> None:
    raise ValueError(f"references to other documents are not followed: {uri}")


def _usable(schema: Any) -> _Checked:
    """Return the compiled schema.

    Raises:
        BadRequest: It is not a usable schema; it may be older than this stage.
    """
    if not isinstance(schema, dict):
        raise BadRequest(f"{KEY} must be a JSON Schema, an object.")
    try:
        return _checked(msgspec.json.encode(schema))
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise BadRequest(f"{KEY} cannot be used: {reason}.") from None


@lru_cache(maxsize=_CACHED)
def _checked(schema: bytes) -> _Checked:
    document = msgspec.json.decode(schema)
    # Before compiling, which may take long for the schemas that it refuses.
    effort = Effort(document)
    validator = jsonschema_rs.validator_for(
        document,
        retriever=_refuse,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES),
    )
    return _Checked(validator, effort)


#: Visits of one member of a value, at most: some 30 microseconds of work.
MOST_VISITS: Final = 500
#: Visits of all members of a value, at most: some 300 milliseconds of work.
MOST_WORK: Final = 5_000_000
#: Levels of a value below its top, at most.
MOST_LEVELS: Final = 32
#: Schemas within a schema, at most.
MOST_PARTS: Final = 1000

# Keywords whose schemas apply to the same value, and to its members.
_SAME = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
_SAME_NAMED = ("dependentSchemas", "dependencies")
_MEMBERS = (
    *("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains"),
    *("additionalProperties", "unevaluatedProperties", "propertyNames"),
)
# Evaluated twice: whether they match, and then why not.
_TWICE = frozenset(("anyOf", "oneOf", "not", "if", "contains"))
# To find unevaluated members, all other keywords are evaluated again.
_AGAIN = ("unevaluatedItems", "unevaluatedProperties")
# Lists that are scanned at each visit, quickly.
_LISTS = ("enum", "required", "properties")
_QUICK: Final = 4
# Keywords that change the target of references.
_MOVING = ("$dynamicRef", "$recursiveRef", "$id", "id")


class Unbounded(ValueError):
    """The schema could make more work than is allowed; the text says why."""


class _Part(msgspec.Struct):
    """One schema within the schema.

    Attributes:
        weight: The cost of one visit without the visits of other schemas.
        same: The schemas that also visit the same value, and how often.
        members: The groups of schemas that visit a member of it, and how often; the
            most expensive schema of a group counts.
    """

    weight: int
    same: list[tuple[int, int]]
    members: list[tuple[list[int], int]]


class Effort:
    """An upper bound of the visits that a schema can make.

    Attributes:
        visits: The maximum for one member, by the number of levels of the value, up
            to the number of levels that is allowed.

    Args:
        schema: A valid JSON Schema.

    Raises:
        Unbounded: The visits are too many or cannot be computed.
    """

    def __init__(self, schema: Any) -> None:
        self._root = schema
        self._waiting: list[Any] = []
        self._parts: dict[int, _Part] = {}
        self._refer(schema)
        while self._waiting:
            self._add(self._waiting.pop())
        self.visits = list(self._count())
        if not self.visits:
            raise Unbounded("it has too many parts that look at the same value")

    def allows(self, levels: int, members: int) -> bool:
        """Return True if a value may be validated.

        Args:
            levels: The number of levels below its top.
            members: An upper bound of the number of members in all levels.
        """
        return levels < len(self.visits) and self.visits[levels] * members <= MOST_WORK

    # -- the parts ---------------------------------------------------------------

    def _refer(self, schema: Any) -> int:
        """Return the key of a part; queue it to be read if it is new."""
        key = id(schema)
        if key not in self._parts:
            if len(self._parts) == MOST_PARTS:
                raise Unbounded(f"it has more than {MOST_PARTS} parts")
            self._parts[key] = _Part(1, [], [])
            self._waiting.append(schema)
        return key

    def _add(self, schema: Any) -> None:
        if not isinstance(schema, Mapping):
            return
        part = self._parts[id(schema)]
        moving = [name for name in _MOVING if isinstance(schema.get(name), str)]
        if moving and (schema is not self._root or moving[0].endswith("Ref")):
            raise Unbounded(f"it must not have {moving[0]} within")
        lists = [schema.get(name) for name in _LISTS]
        part.weight += sum(len(_sized(one)) for one in lists) // _QUICK
        if "$ref" in schema:
            part.same.append((self._refer(self._target(schema["$ref"])), 1))
        for name in _SAME:
            times = 2 if name in _TWICE else 1
            for one in _schemas(schema.get(name)):
                part.same.append((self._refer(one), times))
        for name in _SAME_NAMED:
            for one in _named(schema.get(name)):
                part.same.append((self._refer(one), 1))
        if any(name in schema for name in _AGAIN):
            part.same = [(key, 2 * times) for key, times in part.same]
        self._add_members(part, schema)

    def _add_members(self, part: _Part, schema: Mapping[str, Any]) -> None:
        # A member matches one of the properties, but maybe all patterns.
        groups = [(_named(schema.get("properties")), 1)]
        groups += [([one], 1) for one in _named(schema.get("patternProperties"))]
        groups += [
            (_schemas(schema.get(name)), 2 if name in _TWICE else 1)
            for name in _MEMBERS
        ]
        part.weight += len(groups) - len(_MEMBERS) - 1
        for schemas, times in groups:
            if schemas:
                part.members.append(([self._refer(one) for one in schemas], times))

    def _target(self, reference: Any) -> Any:
        """Return the target of a reference, within this document."""
        found = self._root
        text = unquote(str(reference))
        if text[:2] not in ("#", "#/"):
            raise Unbounded(f"references must be # or #/… and a path: {text}")
        for step in text.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name) if isinstance(found, list) else name]
            except (LookupError, ValueError, TypeError):
                raise Unbounded(f"the reference {text} leads nowhere") from None
        return found

    # -- counting ----------------------------------------------------------------

    def _count(self) -> Iterator[int]:
        """Yield the visits of one member, for values of 0, 1, 2, … levels."""
        needs = {
            key: [other for other, _ in part.same] for key, part in self._parts.items()
        }
        try:
            order = [*TopologicalSorter(needs).static_order()]
        except CycleError:
            raise Unbounded("it refers to itself for the same value") from None
        below: dict[int, int] = {}
        for _ in range(MOST_LEVELS + 1):
            found: dict[int, int] = {}
            for key in order:
                part = self._parts[key]
                visits = part.weight
                visits += sum(times * found[other] for other, times in part.same)
                if below:
                    visits += sum(
                        times * max(below[other] for other in group)
                        for group, times in part.members
                    )
                # Larger numbers are not needed, and would grow exponentially.
                found[key] = min(visits, MOST_VISITS + 1)
            if found[id(self._root)] > MOST_VISITS:
                return
            yield found[id(self._root)]
            below = found


def _schemas(value: Any) -> list[Any]:
    """Return the schemas of a keyword with one schema or a list."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _sized(value: Any) -> list[Any] | Mapping[str, Any]:
    return value if isinstance(value, (list, Mapping)) else []


def _named(value: Any) -> list[Any]:
    """Return the schemas of a keyword with schemas by name."""
    if not isinstance(value, Mapping):
        return []
    return [one for one in value.values() if isinstance(one, (Mapping, bool))]


def levels_of(value: Any) -> int:
    """Return the number of levels below a value's top, exact up to the limit."""
    level, levels = [value], -1
    while level and levels <= MOST_LEVELS:
        levels += 1
        level = [
            member
            for one in level
            if isinstance(one, (dict, list))
            for member in (one.values() if isinstance(one, dict) else one)
        ]
    return levels
