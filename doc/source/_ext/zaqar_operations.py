"""The reference of operations and of policy rules, from the server's table.

``.. zaqar-operations::`` writes one section a resource and one entry an
operation, with its form on both transports; ``.. zaqar-policies::`` writes the
table of rules, ``.. zaqar-policy-sample::`` a sample of the file with them.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import types
import typing
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from zaqarserver.operations import OPERATIONS, Body, Operation, fields
from zaqarserver.operations.fields import Member, RequestPart, members

from zaqarclient.tests.samples import GOLDEN, find_sample

JSON = "application/json"
CLIENT_ID = "3381af92-2b9e-11e3-b191-71861300734c"
TYPES = {str: "string", int: "integer", bool: "boolean", float: "number", Any: "any"}
PLACES = {
    RequestPart.HEADER: "header",
    RequestPart.PATH: "path",
    RequestPart.QUERY: "query",
    RequestPart.BODY: "body",
    RequestPart.HEADER: "header",
    RequestPart.DOCUMENT: "body as a whole",
    RequestPart.OTHERS: "query, any other name",
}
TITLES = {
    "homedoc": "Service",
    "ping": "Service",
    "health": "Service",
    "limits": "Service",
    "queue": "Queues",
    "message": "Messages",
    "claim": "Claims",
    "subscription": "Subscriptions",
    "signed": "Pre-signed access",
    "quota": "Quotas",
}


def list_table(rows: Iterable[Iterable[str]], widths: str) -> Iterator[str]:
    """Yield a ``list-table``; the first row is its head."""
    yield from (".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", "")
    for row in rows:
        for number, cell in enumerate(row):
            yield ("   * - " if number == 0 else "     - ") + cell
    yield ""


def type_name(hint: Any) -> str:
    """Name a type as JSON does."""
    parts = typing.get_args(hint) if _is_union(hint) else (hint,)
    names = [
        _single(part) for part in parts if part not in (type(None), msgspec.UnsetType)
    ]
    return " or ".join(names)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _single(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is list:
        (item,) = typing.get_args(hint)
        return f"list of {type_name(item)}" if item is not Any else "list"
    if origin is dict:
        return "object"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return "object"
    return TYPES.get(hint, "any")


def setting(name: str) -> str:
    """Refer to a setting that holds a bound."""
    return f":ref:`{name} <setting-transport-{name}>`"


def bounds(member: Member) -> str:
    """Say what values a field may have."""
    spec = member.spec
    if spec.minimum is None:
        return ""
    low, high = (
        setting(bound) if isinstance(bound, str) else bound
        for bound in (spec.minimum, spec.maximum)
    )
    unit = " items" if type_name(member.type).startswith("list") else ""
    return f"{low} to {high}{unit}" if high else f"at least {low}{unit}"


def default(struct: type[msgspec.Struct], member: Member) -> str:
    """Say what a field is when it is not sent."""
    if not member.optional or member.spec.required:
        return "required"
    (field,) = (f for f in msgspec.structs.fields(struct) if f.name == member.name)
    value = field.default
    if value in (None, msgspec.UNSET, msgspec.NODEFAULT):
        return ""
    return f"``{str(value).lower() if isinstance(value, bool) else value}``"


def field_rows(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[list[str]]:
    """Yield a row for each field that a client can send, nested ones too."""
    for member in members(struct):
        if member.spec.part is RequestPart.EDGE:
            continue
        yield [
            rest_place(member, prefix),
            frame_place(member, prefix),
            type_name(member.type),
            bounds(member),
            default(struct, member),
            member.spec.help,
        ]
        item = _item(member.type)
        if item is not None:
            yield from field_rows(item, f"{prefix}{member.name}[].")


def rest_place(member: Member, prefix: str) -> str:
    """Say where a REST request has a field."""
    if member.spec.part in (RequestPart.DOCUMENT, RequestPart.OTHERS):
        return PLACES[member.spec.part]
    place = "body" if prefix else PLACES[member.spec.part]
    return f"``{prefix}{member.spec.rest_name or member.name}``, {place}"


def frame_place(member: Member, prefix: str) -> str:
    """Say which member of a frame's body a field is."""
    if member.spec.part is RequestPart.HEADER:
        return f"``{member.spec.rest_name}``, header"
    if member.spec.spread:
        return "members of their own"
    return f"``{prefix}{member.name}``"


def _item(hint: Any) -> type[msgspec.Struct] | None:
    for part in typing.get_args(hint) if _is_union(hint) else (hint,):
        for item in typing.get_args(part):
            if isinstance(item, type) and issubclass(item, msgspec.Struct):
                return item
    return None


def entry(row: Operation) -> Iterator[str]:
    """Yield the text of one operation."""
    yield from (f".. _{row.name}:", "", row.name, "~" * len(row.name), "")
    when = f" with the parameter ``{row.when}``" if row.when else ""
    methods = f"{row.method}`` and ``HEAD" if row.head else row.method
    yield from (row.summary, "")
    facts = [
        f"REST: ``{methods}`` ``{row.path}``{when}",
        f"WebSocket: action ``{row.name}``",
        f"Success: {row.status}",
    ]
    if row.policy:
        facts.append(f"Policy rule: ``{row.policy}``")
    if row.admin:
        facts.append("Only with ``admin_mode``")
    if row.body is not Body.NONE:
        facts.append(f"REST body: {row.body.value}, at most {setting(row.limit)} bytes")
    if row.content_type:
        facts.append(f"REST Content-Type: ``{row.content_type}``")
    yield from (f"* {fact}" for fact in facts)
    yield ""
    rows = list(field_rows(row.fields))
    if rows:
        head = ["REST", "Frame", "Type", "Bounds", "Default", "Meaning"]
        yield from list_table([head, *rows], "20 16 11 18 10 25")
    yield from refusals(row)
    yield from example(row)


def refusals(row: Operation) -> Iterator[str]:
    """Yield the errors of an operation's own."""
    for error in row.errors:
        text = (error.__doc__ or "").partition("\n")[0]
        yield f"* {error.status}: {text[0].lower()}{text[1:].rstrip('.')}"
    yield ""


def example(row: Operation) -> Iterator[str]:
    """Yield a request and its answer on both wires, in tabs."""
    sample = find_sample(row.name)
    if sample is None:
        return
    yield from (".. tab-set::", "   :sync-group: wire", "")
    yield from _tab("REST", "rest", "http", _http(sample["rest"]))
    if row.name != "homedoc_get":
        yield from _tab("WebSocket", "frame", "json", _frames(sample["websocket"]))


def _tab(title: str, key: str, language: str, blocks: Iterable[str]) -> Iterator[str]:
    yield from (f"   .. tab-item:: {title}", f"      :sync: {key}", "")
    for block in blocks:
        yield from (f"      .. code-block:: {language}", "")
        yield from (f"         {line}" for line in block.splitlines())
        yield ""


def _http(wire: dict[str, Any]) -> Iterator[str]:
    """Yield a request and its answer as HTTP/1.1 shows them."""
    asked, reply = wire["request"], wire["reply"]
    query = urlencode(asked["query"], doseq=True, safe=",")
    target = f"{asked['path']}?{query}" if query else asked["path"]
    headers = {"Client-ID": CLIENT_ID, "X-Project-ID": "demo"}
    if asked["body"] is not None:
        headers["Content-Type"] = asked["headers"].get("content-type", JSON)
    yield _message(f"{asked['method']} {target} HTTP/1.1", headers, asked["body"])
    headers = dict(reply["headers"])
    if reply["body"] is not None:
        headers.setdefault("Content-Type", JSON)
    status = HTTPStatus(reply["status"])
    yield _message(f"HTTP/1.1 {status.value} {status.phrase}", headers, reply["body"])


def _message(first: str, headers: dict[str, str], body: Any) -> str:
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None:
        lines += ["", json.dumps(body, indent=2)]
    return "\n".join(lines)


def _frames(wire: dict[str, Any]) -> Iterator[str]:
    """Yield the frames of a request and of its answer."""
    headers = {"Client-ID": CLIENT_ID, "X-Project-ID": "demo"}
    asked = wire["request"]
    yield json.dumps({**asked, "headers": headers}, indent=2)
    yield json.dumps(
        {"request": {"action": asked["action"]}, **wire["reply"]}, indent=2
    )


class _Generated(SphinxDirective):
    """A directive whose result changes with the server's code."""

    def note_sources(self) -> None:
        """Have the page written anew when the table, or this file, changes."""
        server = Path(fields.__file__).parent
        tables = (*server.glob("*.py"), *server.glob("operations/**/*.py"))
        for source in (__file__, *tables, *GOLDEN.glob("*.json")):
            self.env.note_dependency(str(source))


class Operations(_Generated):
    """Writes all operations."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        self.note_sources()
        lines: list[str] = []
        for title, rows in itertools.groupby(OPERATIONS, key=_title):
            lines += [title, "-" * len(title), ""]
            for row in rows:
                lines += entry(row)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _title(row: Operation) -> str:
    resource = row.name.split("_")[0]
    return TITLES.get(resource, f"{resource.capitalize()}s")


class Policies(_Generated):
    """Writes the table of policy rules."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.note_sources()
        # Imported here: it takes oslo.policy, which nothing else here needs.
        from zaqarserver.identity.policy import list_rules  # noqa: PLC0415

        rows = [["Rule", "Default", "Guards"]]
        for rule in list_rules():
            guarded = " ".join(
                f":ref:`{row.name}`" for row in OPERATIONS if row.policy == rule.name
            )
            check = f"``{rule.check_str}``" if rule.check_str else "any caller"
            rows.append([f"``{rule.name}``", check, guarded])
        return self.parse_text_to_nodes("\n".join(list_table(rows, "30 20 50")))


class PolicySample(_Generated):
    """Shows the sample of a policy file, as oslo.policy writes it."""

    def run(self) -> list[nodes.Node]:
        """Return the sample."""
        self.note_sources()
        generator = Path(sys.executable).with_name("oslopolicy-sample-generator")
        with tempfile.NamedTemporaryFile("r", suffix=".yaml") as sample:
            options = ("--namespace", "zaqarserver", "--output-file", sample.name)
            subprocess.run([generator, *options], check=True)
            text = sample.read().rstrip()
        return [nodes.literal_block(text, text, language="yaml")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("zaqar-operations", Operations)
    app.add_directive("zaqar-policy-sample", PolicySample)
    app.add_directive("zaqar-policies", Policies)
    return {"version": "1", "parallel_read_safe": True}
