"""A web page in a real browser, with plain JavaScript, against a real server."""

import base64
import contextlib
import email
import functools
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import needs
import pytest
import websocket

PAGE = Path(__file__).parents[3] / "doc/source/user/examples/browser.html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 30.0
CLIENT = "3381af922b9e11e3b19171861300734c"


@pytest.fixture(scope="module")
def chromium():
    """The path of a Chromium."""
    return needs.program(*BROWSERS, package="chromium")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site():
    """The origin of a web server that has the page."""
    handler = functools.partial(Quiet, directory=PAGE.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Tab:
    """A tab of the browser, by its debugging protocol."""

    def __init__(self, url):
        self._socket = websocket.create_connection(
            url, timeout=PATIENCE, suppress_origin=True
        )
        self._last = 0

    def call(self, method, **params):
        self._last += 1
        frame = {"id": self._last, "method": method, "params": params}
        self._socket.send(json.dumps(frame))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._last:
                return answer["result"]

    def evaluate(self, expression):
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        return self.call("Runtime.evaluate", **params)["result"].get("value")

    def wait_for(self, expression, wanted):
        deadline = time.monotonic() + PATIENCE
        while (value := self.evaluate(expression)) != wanted:
            assert time.monotonic() < deadline, (expression, value)
        return value

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        self._socket.close()


@pytest.fixture
def tab(chromium, tmp_path):
    """An empty tab of a browser of our own."""
    process = subprocess.Popen(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-port=0",
            f"--user-data-dir={tmp_path / 'profile'}",
            "about:blank",
        ],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    with contextlib.ExitStack() as stack:
        stack.callback(process.wait)
        stack.callback(process.terminate)
        opened = Tab(_debugger(tmp_path / "profile/DevToolsActivePort"))
        stack.callback(opened.close)
        yield opened


def _debugger(told):
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError, ValueError, IndexError):
            port = int(told.read_text().splitlines()[0])
            listed = f"http://127.0.0.1:{port}/json/list"
            with urllib.request.urlopen(listed) as answer:
                pages = [page for page in json.load(answer) if page["type"] == "page"]
            return pages[0]["webSocketDebuggerUrl"]
        assert time.monotonic() < deadline, "the browser did not start"
        time.sleep(0.05)  # polls a process that starts


def post(server, body):
    """Post as a person would, with the command."""
    environment = {**os.environ, "OS_QUEUES_ENDPOINT": server.url}
    program = Path(sys.executable).with_name("zaqar")
    subprocess.run(
        [
            program,
            "--os-queues-project-id",
            "web",
            "message",
            "post",
            "news",
            "--body",
            json.dumps(body),
        ],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )


def ask(server, method, path, body=None):
    """Ask the service as its owner."""
    headers = {
        "Client-ID": CLIENT,
        "X-Project-ID": "web",
        "Content-Type": "application/json",
    }
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - loopback
        server.url + path, data, headers, method=method
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
        return json.load(answer)


def items(name):
    return f"[...document.querySelectorAll('#{name} li')].map(i => i.textContent)"


def test_a_page_shows_messages_as_they_come_and_lists_them_over_rest(
    tab, site, server_factory, tmp_path
):
    server = server_factory(options=f"[cors]\nallowed_origin = {site}")
    address = (
        f"{site}/{PAGE.name}?rest={server.url}&socket={server.websocket_url}"
        "&queue=news&project=web"
    )
    tab.call("Page.navigate", url=address)
    tab.wait_for("document.getElementById('state')?.textContent", "subscribed")
    post(server, {"headline": "Grüße aus dem Terminal"})
    post(server, {"headline": "second"})
    wanted = ['{"headline":"Grüße aus dem Terminal"}', '{"headline":"second"}']
    tab.wait_for(items("pushed"), wanted)
    tab.evaluate("list()")
    tab.wait_for(items("listed"), wanted)
    tab.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 1000
    server.stop()
    server.start()
    post(server, {"headline": "third"})
    tab.wait_for(items("pushed"), [*wanted, '{"headline":"third"}'])


def test_a_page_of_another_origin_gets_no_answer_over_rest(tab, site, server):
    tab.call("Page.navigate", url=f"{site}/{PAGE.name}?queue=x")
    outcome = tab.evaluate(
        f"fetch('{server.url}/v2/queues', {{headers: {{'Client-ID': "
        "'3381af922b9e11e3b19171861300734c', 'X-Project-ID': 'web'}})"
        ".then(() => 'read', () => 'kept out')"
    )
    assert outcome == "kept out"


def test_opening_the_link_of_a_mail_decides_nothing_and_a_button_does(
    tab, server_factory, tmp_path
):
    script = tmp_path / "sendmail"
    script.write_text(
        f"#!/bin/sh\ncat > {tmp_path}/part\nmv {tmp_path}/part {tmp_path}/mail\n"
    )
    script.chmod(0o700)
    server = server_factory(
        options=f"[signed_url]\nsecret_key = s3cret\n[notification]\n"
        f"require_confirmation = true\nsmtp_command = {script}\n"
        "public_url = http://public.example\n"
    )
    subscribed = ask(
        server,
        "POST",
        "/v2/queues/news/subscriptions",
        {"subscriber": "mailto:joe@mail.example"},
    )
    where = f"/v2/queues/news/subscriptions/{subscribed['subscription_id']}"
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "mail").exists():
        assert time.monotonic() < deadline, "no mail came"
        time.sleep(0.01)  # waits for another process, up to the deadline
    mail = email.message_from_bytes((tmp_path / "mail").read_bytes())
    link = mail.get_payload().partition("below: ")[2].strip()
    assert link.startswith("http://public.example/confirm?")
    tab.call("Page.navigate", url=link.replace("http://public.example", server.url))
    tab.wait_for("document.getElementById('queue')?.textContent", "news")
    assert ask(server, "GET", where)["confirmed"] is False
    tab.evaluate("document.getElementById('yes').click()")
    outcome = "document.getElementById('outcome').textContent.slice(0, 4)"
    tab.wait_for(outcome, "Done")
    assert ask(server, "GET", where)["confirmed"] is True
    tab.screenshot(tmp_path / "confirm.png")
    tab.evaluate("document.getElementById('no').click()")
    tab.wait_for(
        "document.getElementById('outcome').textContent.slice(6, 13)", "nothing"
    )
    assert ask(server, "GET", where)["confirmed"] is False
    server.stop()
