"""The guides say what the server does: their frames, and the stage that they show."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from pathlib import Path

import pytest
import websocket

DOCS = Path(__file__).parents[3] / "doc/source"
EXAMPLE = DOCS / "contributor/examples/redact"
CLIENT = {"Client-ID": "9f3d3c1c-6a52-4b86-9f4d-1d4f3f1b0c55", "X-Project-ID": "demo"}


# -- frames -----------------------------------------------------------------------


def examples():
    """Return kind and document of each frame that the guide shows, in order."""
    text = (DOCS / "user/websocket.rst").read_text()
    block = re.compile(
        r"^\.\. code-block:: json\n   :caption: ([\w ]+)\n\n((?:   .*\n|\n)+)",
        re.MULTILINE,
    )
    return [
        (kind, json.loads(textwrap.dedent(frame)))
        for kind, frame in block.findall(text)
    ]


def likeness(value):
    """Return a document with everything that differs from run to run left out."""
    if isinstance(value, dict):
        return {key: likeness(item) for key, item in value.items()}
    if isinstance(value, list):
        return [likeness(item) for item in value]
    return type(value).__name__


def test_each_frame_of_the_guide_is_answered_as_it_says(server_factory):
    server = server_factory()
    peer = websocket.create_connection(server.websocket_url, timeout=10)
    answered = 0
    for kind, frame in examples():
        if kind == "request":
            peer.send(json.dumps(frame))
            answer = json.loads(peer.recv())
        elif kind == "answer":
            assert answer["request"] == frame["request"]
            assert answer["headers"] == frame["headers"]
            assert likeness(answer["body"]) == likeness(frame["body"])
            if "error" in frame["body"]:
                assert answer["body"] == frame["body"]
            answered += 1
    assert answered == 3
    shown = dict(examples())
    _post(peer, shown["push"])
    assert json.loads(peer.recv()) == shown["push"]
    peer.send(json.dumps(shown["subscription from a message on"]))
    assert json.loads(peer.recv())["headers"] == {"status": 409}
    peer.close()
    later = websocket.create_connection(server.websocket_url, timeout=10)
    later.send(json.dumps(shown["subscription from a message on"]))
    assert json.loads(later.recv())["headers"] == {"status": 201}
    pushed, wanted = json.loads(later.recv()), shown["push with an id"]
    assert likeness(pushed) == likeness(wanted)
    assert {**pushed, "message_id": wanted["message_id"]} == wanted
    later.close()


def _post(peer, push):
    """Post the message of a push."""
    message = {"body": push["body"], "ttl": push["ttl"]}
    body = {"queue_name": push["queue_name"], "messages": [message]}
    frame = {"action": "message_post", "headers": CLIENT, "body": body}
    peer.send(json.dumps(frame))
    assert json.loads(peer.recv())["headers"] == {"status": 201}


# -- the stage --------------------------------------------------------------------


@pytest.fixture
def installed_stage(tmp_path):
    """The example of the guide, installed by pip into a folder of its own."""
    # What `pip wheel` would make of it, without fetching a build backend.
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    head = f"Name: {project['name']}\nVersion: {version}\n"
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{key} = {at}" for key, at in entries.items())]
    wheel = tmp_path / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(EXAMPLE / "redact.py", "redact.py")
        info = f"{name}-{version}.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\n{head}")
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tag)
        archive.writestr(f"{info}/entry_points.txt", "\n".join(lines))
        archive.writestr(f"{info}/RECORD", "")
    target = tmp_path / "site"
    options = ("-q", "--no-index", "--no-deps", "--target", target)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, wheel], check=True
    )
    return target


@pytest.fixture
def ask(installed_stage, server_factory, monkeypatch):
    """Ask a server with the stage in its pipeline."""
    paths = [str(installed_stage), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    pipeline = "message_pipeline = json_schema,redact,encryption"
    server = server_factory(options=f"[storage]\n{pipeline}\n", is_cold=True)

    def request(method, path, document=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        content = None if document is None else json.dumps(document)
        connection.request(method, f"/v2/queues/{path}", content, CLIENT)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    yield request
    server.stop()


def test_the_stage_of_the_guide_masks_members_in_queues_that_ask_for_it(ask):
    paid = {"card": "4111", "item": "tea"}
    assert ask("PUT", "orders", {"_redact": ["card", "name"]})[0] == 201
    for queue in ("orders", "other"):
        messages = [{"body": paid}, {"body": "card"}]
        status, _ = ask("POST", f"{queue}/messages", {"messages": messages})
        assert status == 201
        _, page = ask("GET", f"{queue}/messages?echo=true")
        bodies = [message["body"] for message in page["messages"]]
        masked = {"card": "***", "item": "tea"} if queue == "orders" else paid
        assert bodies == [masked, "card"]


def test_the_stage_of_the_guide_refuses_metadata_that_it_cannot_follow(ask):
    status, error = ask("PUT", "orders", {"_redact": "card"})
    assert (status, error["description"]) == (400, "_redact must be a list of names.")
