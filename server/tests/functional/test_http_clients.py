"""Programs that speak HTTP in ways of their own: each posts and reads a message."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time

import needs
import pytest
from ports import free_port

CLIENT = "3381af922b9e11e3b19171861300734c"
HEADERS = {
    "Client-ID": CLIENT,
    "X-Project-ID": "p",
    "Content-Type": "application/json",
}
SECONDS = 30.0

NODE = """
const http = require("http");
const [port, path, headers, body] = JSON.parse(process.argv[1]);
function ask(method, more, done) {
  const request = http.request(
    {port, path, method, headers: {...headers, ...more}}, (answer) => {
      let text = "";
      answer.on("data", (part) => { text += part; });
      answer.on("end", () => done(answer.statusCode, text));
    });
  if (more.Expect) request.on("continue", () => request.end(body));
  else request.end();
}
ask("POST", {Expect: "100-continue", "Content-Length": body.length}, (status) => {
  console.log(status);
  ask("GET", {}, (_, text) => console.log(text));
});
"""

#: Recorded of java.net.http.HttpClient (17) with its defaults: it offers HTTP/2.
JAVA = (
    "POST {path} HTTP/1.1\r\n"
    "Connection: Upgrade, HTTP2-Settings\r\n"
    "Content-Length: {length}\r\n"
    "Host: localhost:8888\r\n"
    "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
    "Upgrade: h2c\r\n"
    "User-Agent: Java-http-client/17.0.13\r\n"
    "Client-ID: {client}\r\n"
    "Content-Type: application/json\r\n"
    "X-Project-ID: p\r\n"
    "\r\n"
    "{body}"
)


def path_of(queue):
    return f"/v2/queues/{queue}/messages?echo=true"


def document(size):
    return json.dumps({"messages": [{"body": "x" * size}]})


def run(*command):
    return subprocess.run(
        command, capture_output=True, check=True, text=True, timeout=SECONDS
    ).stdout


def found(text):
    """Return the sizes of the bodies in a list of messages."""
    return [len(message["body"]) for message in json.loads(text)["messages"]]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("http2", ["--http2"]),
        ("continue", ["-H", "Expect: 100-continue", "--expect100-timeout", "20"]),
        ("chunked", ["--http2", "-H", "Transfer-Encoding: chunked"]),
        ("old", ["--http1.0"]),
    ],
)
def test_curl_posts_and_reads(server, name, options):
    needs.program("curl", package="curl")
    lines = [part for name in HEADERS for part in ("-H", f"{name}: {HEADERS[name]}")]
    url = server.url + path_of(f"curl-{name}")
    curl = ["curl", "-sS", "--max-time", str(SECONDS), *options, *lines]
    began = time.monotonic()
    posted = run(*curl, "-d", document(3000), "-w", "%{http_code}", url)
    assert posted.endswith("201")
    # It waits so long for a 100 before it sends the body anyway.
    assert time.monotonic() - began < 20
    assert found(run(*curl, url)) == [3000]


def test_node_posts_when_it_is_asked_to_continue_and_reads(server):
    needs.program("node", package="nodejs")
    given = [server.port, path_of("node"), HEADERS, document(3000)]
    status, text = run("node", "-e", NODE, json.dumps(given)).splitlines()
    assert status == "201"
    assert found(text) == [3000]


def test_java_posts_although_it_asks_for_http_2(server):
    path, body = path_of("java"), document(30)
    head = {"path": path, "client": CLIENT, "length": len(body), "body": body}
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as peer:
        peer.sendall(JAVA.format(**head).encode())
        assert re.match(rb"HTTP/1.1 201 ", peer.recv(65536))
    lines = [part for name in HEADERS for part in (f"{name}: {HEADERS[name]}\r\n",)]
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as peer:
        peer.sendall(f"GET {path} HTTP/1.0\r\n{''.join(lines)}\r\n".encode())
        answer = b""
        while part := peer.recv(65536):
            answer += part
    assert found(answer.partition(b"\r\n\r\n")[2]) == [30]


@pytest.fixture
def front(server, tmp_path):
    """The port of an nginx with its defaults in front of the server."""
    nginx = needs.program("nginx", package="nginx-light")
    port = free_port()
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{name}_temp_path {tmp_path}/{name};" for name in names)
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; events {{}}\n"
        f"http {{ access_log off; {paths}\n"
        f"server {{ listen 127.0.0.1:{port};\n"
        f"location / {{ proxy_pass {server.url}; }} }} }}\n"
    )
    process = subprocess.Popen(
        [nginx, "-p", tmp_path, "-c", config, "-e", tmp_path / "error.log"],
        stdin=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)  # until it listens
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(SECONDS)


def test_an_nginx_with_its_defaults_passes_a_post_of_many_messages(front, server):
    needs.program("curl", package="curl")
    lines = [part for name in HEADERS for part in ("-H", f"{name}: {HEADERS[name]}")]
    body = json.dumps({"messages": [{"body": "x"}] * 3000})
    url = front + path_of("nginx")
    answer = json.loads(run("curl", "-sS", *lines, "-d", body, url))
    assert len(answer["resources"]) == 3000
    assert found(run("curl", "-sS", *lines, url)) == [1] * 10
