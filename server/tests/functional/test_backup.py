"""The backup program of the administrator guide, on a running server."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PROGRAM = Path(__file__).parents[3] / "doc/source/admin/backup.py"
MESSAGES = "/v2/queues/kept/messages"


def ask(url: str, method: str, path: str, document: Any = None) -> Any:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": "backup"}
    content = None if document is None else json.dumps(document)
    connection.request(method, path, content, headers)
    text = connection.getresponse().read()
    connection.close()
    return json.loads(text)


def bodies(url: str) -> list[Any]:
    return [message["body"] for message in ask(url, "GET", MESSAGES)["messages"]]


def test_a_copy_of_a_running_server_has_what_was_posted_before_and_serves_on(
    server_factory, tmp_path
):
    server = server_factory(store=tmp_path / "original.db")
    ask(server.url, "POST", MESSAGES, {"messages": [{"body": 1}, {"body": 2}]})
    copy = tmp_path / "copy.db"
    subprocess.run([sys.executable, PROGRAM, server.store, copy], check=True)
    ask(server.url, "POST", MESSAGES, {"messages": [{"body": 3}]})
    assert bodies(server.url) == [1, 2, 3]
    restored = server_factory(store=copy)
    assert bodies(restored.url) == [1, 2]
    ask(restored.url, "POST", MESSAGES, {"messages": [{"body": 4}]})
    assert bodies(restored.url) == [1, 2, 4]
