"""Signed URLs and quotas on a server of its own, as their guides show them."""

import http.client
import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
import websocket

DOCS = Path(__file__).parents[3] / "doc/source"
CLIENT = {"Client-ID": "9f3d3c1c-6a52-4b86-9f4d-1d4f3f1b0c55"}


def overrides_of_the_guide():
    """Return the file of other quotas that the guide shows."""
    text = (DOCS / "admin/quotas.rst").read_text()
    (example,) = re.findall(
        r"^\.\. code-block:: toml\n   :caption: quotas.toml\n\n((?:   .*\n|\n)+)",
        text,
        re.MULTILINE,
    )
    return textwrap.dedent(example)


@pytest.fixture(scope="module")
def server(server_factory, tmp_path_factory):
    """A server with a signing key and other quotas for some projects."""
    path = tmp_path_factory.mktemp("quotas") / "quotas.toml"
    path.write_text(
        f"{overrides_of_the_guide()}\n"
        "[crowd]\nsockets = 1\n[hasty]\nrequests_per_second = 1\nburst = 2\n"
    )
    return server_factory(
        options="[signed_url]\nsecret_key = s3cret\n"
        f"[quota]\nqueues = 10\noverrides_file = {path}\n"
    )


def get(server, path, project="demo"):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path, headers={**CLIENT, "X-Project-ID": project})
    answer = connection.getresponse()
    found = answer.status, dict(answer.headers), json.loads(answer.read())
    connection.close()
    return found


def test_the_example_of_signed_urls_runs_as_printed(server):
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OS_QUEUES_ENDPOINT": server.url,
    }
    ran = subprocess.run(
        ["sh", str(DOCS / "user/examples/signed-url.sh")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == '{"build":7}'
    assert "/v2/queues/orders/messages" in ran.stdout


def test_the_overrides_of_the_guide_are_taken(server):
    def limit(project):
        return get(server, "/v2/quotas", project)[2]["quotas"]["queues"]["limit"]

    known = tomllib.loads(overrides_of_the_guide())
    assert [limit(project) for project in ("demo", *known)] == [10, 1000, -1]


def test_a_real_websocket_too_many_is_closed(server):
    headers = {**CLIENT, "X-Project-ID": "crowd"}
    ping = json.dumps({"action": "ping", "headers": headers})
    first, second = (
        websocket.create_connection(server.websocket_url, timeout=10) for _ in "ab"
    )
    first.send(ping)
    assert json.loads(first.recv())["headers"]["status"] == 204
    second.send(ping)
    answer = json.loads(second.recv())
    assert answer["headers"]["status"] == 403
    assert "quota of sockets" in answer["body"]["error"]
    opcode, data = second.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert int.from_bytes(data[:2], "big") == 1008
    first.close()
    second.shutdown()


def test_a_real_request_too_many_comes_again_when_told(server):
    found = [get(server, "/v2/queues", "hasty") for _ in range(4)]
    statuses = [status for status, _, _ in found]
    assert statuses[:2] == [200, 200]
    refused = [answer for answer in found if answer[0] == 429]
    assert refused
    for _, headers, body in refused:
        assert int(headers["retry-after"]) == 1
        assert body["title"] == "Too many requests"
