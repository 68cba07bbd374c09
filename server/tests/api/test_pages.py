"""The pages that are open to all, and what web pages may ask and read."""

import pytest
from rest_callers import ConnectionCaller
from zaqarserver import __version__
from zaqarserver.common.metrics import Metrics
from zaqarserver.http import RestEdge
from zaqarserver.http.answers import Cors
from zaqarserver.identity.auth import NoAuth

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}


@pytest.fixture
def api(make_api):
    return make_api()


def get(api, path, **headers):
    """Get a page as anyone does: without any header of the service."""
    return api.get(path, client=None, project=None, headers=headers)


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json", "text/html, application/json"]
)
def test_programs_are_answered_with_the_versions(api, accept):
    answer = get(api, "/", **({"Accept": accept} if accept else {}))
    assert answer.status == 300
    assert answer.json["versions"][0]["id"] == "2"


@pytest.mark.parametrize("accept", [BROWSER, "text/html"])
def test_a_browser_is_told_what_this_is(api, accept):
    answer = get(api, "/", Accept=accept)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text = answer.content.decode()
    assert f"zaqarserver {__version__}" in text
    assert "script-src 'sha256-" in answer.headers["content-security-policy"]
    # Nothing is loaded from elsewhere.
    assert 'src="' not in text
    assert 'href="http' not in text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_headers(api, method, path):
    answer = api.request(method, path, client=None, project=None)
    assert answer.status == 200


def test_a_server_whose_store_is_gone_is_alive_and_not_ready(api):
    api.run(api.storage.close())
    assert get(api, "/healthz").status == 200
    answer = get(api, "/readyz")
    assert answer.status == 503
    assert "closed" not in answer.content.decode(), "reasons are for the log"
    api.run(api.storage.open())


def test_the_store_is_not_asked_for_each_readiness_check(api, monkeypatch):
    asked = []

    async def ping():
        asked.append(1)

    monkeypatch.setattr(api.storage, "ping", ping)
    caller = ConnectionCaller(RestEdge(api.server, NoAuth(), Metrics()))
    for _ in range(5):
        assert api.run(caller.ask("GET", "/readyz", {}, None)).status == 200
    assert len(asked) == 1


@pytest.fixture
def page(api):
    """Send a request as a web page that is let in."""
    cors = Cors(["https://app.example"])
    caller = ConnectionCaller(RestEdge(api.server, NoAuth(), Metrics(), cors))

    def ask(method, path, headers):
        sent = {name: value.encode() for name, value in headers.items()}
        return api.run(caller.ask(method, path, sent, None))

    return ask


@pytest.mark.parametrize("path", ["/v2/nothing", "/v2/queues/q/nothing/x", "/v3"])
def test_the_preflight_of_an_unknown_path_lets_the_page_see_the_404(page, path):
    answer = page("OPTIONS", path, PREFLIGHT)
    assert answer.status == 200
    assert "POST" in answer.headers["access-control-allow-methods"]
    asked = page("POST", path, {"Origin": PREFLIGHT["Origin"]})
    assert asked.status == 404
    assert asked.headers["access-control-allow-origin"] == PREFLIGHT["Origin"]


def test_options_of_an_unknown_path_is_404_unless_a_page_asks(page):
    assert page("OPTIONS", "/v2/nothing", {}).status == 404


def test_a_page_can_read_how_long_to_wait_and_where_things_are(page):
    answer = page("GET", "/v2/", {"Origin": PREFLIGHT["Origin"]})
    exposed = answer.headers["access-control-expose-headers"]
    assert {"Retry-After", "Location", "Content-Location"} <= set(exposed.split(", "))
