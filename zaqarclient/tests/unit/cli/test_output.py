"""Values in the output formats, patches, failures, health."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from zaqarclient.queues.v2.cli import argument_types, output, queue_metadata
from zaqarclient.queues.v2.cli.output import explained, without_users
from zaqarclient.queues.v2.cli.service import healthy
from zaqarclient.transport.errors import ConnectionFailed

TEXT_FORMATS = ["table", "value", "csv", "shell"]


@pytest.mark.parametrize("output_format", TEXT_FORMATS)
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None, True]}, '{"a":[1,null,true]}'),
        (["é"], '["é"]'),
        ((1, 2), "[1,2]"),
        ("plain", "plain"),
        (5, 5),
        (None, None),
    ],
)
def test_text_formats_show_structures_as_compact_json(
    output_format: str, value: Any, text: Any
) -> None:
    assert output.renderer(output_format)(value) == text


@pytest.mark.parametrize(
    ("body", "text"), [("plain", "plain"), (None, "null"), (True, "true"), ({}, "{}")]
)
def test_bodies_are_shown_as_json_unless_they_are_text(body: Any, text: str) -> None:
    assert output.renderer("value")(output.Body(body)) == text


@pytest.mark.parametrize("output_format", ["json", "yaml", "of-a-third-party"])
@pytest.mark.parametrize("value", [{"a": [1]}, None, "text", 5])
def test_data_formats_get_the_values_themselves(output_format: str, value: Any) -> None:
    render = output.renderer(output_format)
    assert render(value) is value
    assert render(output.Body(value)) is value


def test_a_message_cannot_steer_the_terminal_it_is_shown_on() -> None:
    body = output.Body("a\x1b[2J\x9bb\tc\nd")
    assert output.renderer("table")(body) == "a\\x1b[2J\\x9bb\tc\nd"
    assert output.renderer("value")(body) == body.value


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("x", "x"), ('"5"', "5"), ("null", None), ("{}", {}), ("a b", "a b")],
)
def test_the_value_of_a_property_is_json_where_it_is_valid_json(
    text: str, value: Any
) -> None:
    assert argument_types.property_value(f"key={text}") == ("key", value)


def test_patches_name_only_the_keys_they_change() -> None:
    patch_of = queue_metadata.patch_of
    added = {"op": "add", "path": "/metadata/a~1b~0c", "value": [1]}
    assert patch_of("add", "a/b~c", value=[1]) == added
    assert patch_of("remove", "a") == {"op": "remove", "path": "/metadata/a"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:1/v2/queues/q", "cannot reach Zaqar at http://h:1: refused"),
        ("http://h:1/v3/auth/tokens", "cannot reach http://h:1: refused"),
        ("", "cannot reach Zaqar at http://h:1: refused"),
    ],
)
def test_a_failed_connection_says_whereto_and_why(url: str, shown: str) -> None:
    error = ConnectionFailed(description="http://h:1: refused")
    error.__cause__ = RuntimeError("what a library made of it")
    request = requests.Request("GET", url)
    error.__cause__.__context__ = requests.ConnectionError(request=request)
    assert str(explained(error)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://me:se@cr@h.example/v2: no", "at https://h.example/v2: no"),
        ("'//me:pw@h' is no URL", "'//h' is no URL"),
        ("ws://tok@h:1 and wss://a:b@c", "ws://h:1 and wss://c"),
        ("mailto:a@b.example stays", "mailto:a@b.example stays"),
        ("http://h/x?mail=a@b stays", "http://h/x?mail=a@b stays"),
    ],
)
def test_users_and_passwords_are_taken_out_of_urls(text: str, shown: str) -> None:
    assert without_users(text) == shown


@pytest.mark.parametrize(
    ("document", "well"),
    [
        ({"storage_reachable": True}, True),
        ({"storage_reachable": False}, False),
        ({"operation_status": {"post": {"succeeded": True, "ref": None}}}, True),
        ({"operation_status": {"post": {"succeeded": False}}}, False),
        ({"catalog_reachable": True, "pool": {"storage_reachable": False}}, False),
        ({"catalog_reachable": False}, False),
        ({}, True),
    ],
)
def test_health_is_good_if_nothing_is_down(document: Any, well: bool) -> None:
    assert healthy(document) is well
