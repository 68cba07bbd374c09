"""Topics over REST: paths, titles, links and headers (``rest-v2`` 2.11)."""

import pytest

T = "/v2/topics/news"
HOOK = {"subscriber": "http://x.example/"}
PATCH = {"Content-Type": "application/openstack-messaging-v2.0-json-patch"}
SHOWN = {
    "_max_messages_post_size": 262144,
    "_default_message_ttl": 3600,
    "_default_message_delay": 0,
}
ZEROS = {"messages": {"claimed": 0, "free": 0, "total": 0}}


def post(api, *bodies, **kwargs):
    document = {"messages": [{"body": body} for body in bodies]}
    answer = api.post(f"{T}/messages", document, **kwargs)
    assert answer.status == 201, answer.content
    return answer


def test_a_topic_shows_three_attributes_and_its_own(api):
    created = api.put(T, {"team": "press", "_max_claim_count": 3})
    assert (created.status, created.content) == (201, b"")
    assert created.headers["location"] == T
    assert api.put(T).status == 204
    assert api.get(T).json == {"team": "press", "_max_claim_count": 3, **SHOWN}


def test_a_missing_topic_shows_defaults_and_zeros_and_is_not_made(api):
    assert api.get(T).json == SHOWN
    assert api.get(f"{T}/stats").json == ZEROS
    assert api.patch(T, [], headers=PATCH).status == 404
    assert api.delete(T).status == 204
    assert api.get("/v2/topics").json == {"topics": [], "links": []}


def test_a_topic_that_is_there_counts_only_a_total(api):
    api.put(T)
    assert api.get(f"{T}/stats").json == {"messages": {"total": 0}}
    post(api, 1, 2)
    counts = api.get(f"{T}/stats").json["messages"]
    assert set(counts) == {"total", "oldest", "newest"}
    assert counts["total"] == 2
    assert api.get(counts["oldest"]["href"]).json["body"] == 1


def test_topics_are_listed_under_their_own_key_and_path(api):
    for name in ("a", "b", "c"):
        api.put(f"/v2/topics/{name}", {"team": name})
    first = api.get("/v2/topics?limit=2&detailed=true").json
    assert set(first) == {"topics", "links"}
    assert first["topics"][1] == {
        "name": "b",
        "href": "/v2/topics/b",
        "metadata": {"team": "b", **SHOWN},
    }
    (link,) = first["links"]
    assert link["href"].startswith("/v2/topics?")
    rest = api.get(link["href"]).json
    assert [topic["name"] for topic in rest["topics"]] == ["c"]


def test_with_count_is_a_filter_on_the_metadata_of_topics(api):
    api.put("/v2/topics/plain")
    api.put("/v2/topics/odd", {"with_count": "true"})
    found = api.get("/v2/topics?with_count=true").json
    assert [topic["name"] for topic in found["topics"]] == ["odd"]
    assert "count" not in found
    (link,) = found["links"]
    assert "with_count=true" in link["href"]


def test_hrefs_of_messages_lead_to_topics(api):
    answer = post(api, "x", "y")
    first, second = answer.json["resources"]
    assert first.startswith(f"{T}/messages/")
    ids = [href.rsplit("/", 1)[1] for href in (first, second)]
    assert answer.headers["location"] == f"{T}/messages?ids={ids[0]},{ids[1]}"
    assert api.get(first).json["href"] == first
    found = api.get(answer.headers["location"]).json["messages"]
    assert [message["href"] for message in found] == [first, second]
    page = api.get(f"{T}/messages?echo=true&limit=1").json
    assert page["messages"][0]["href"] == first
    following = api.get(page["links"][0]["href"]).json
    assert following["messages"][0]["href"] == second
    gone = api.get(f"{T}/messages?ids=unknown")
    assert gone.status == 404
    assert "topic news" in gone.json["description"]


def test_a_checksum_is_told_where_the_server_computes_it(make_api):
    api = make_api(enable_checksum=True)
    (href,) = post(api, {"sku": 9, "tags": ["a", "b"]}).json["resources"]
    assert api.get(href).json["checksum"] == "MD5:9e3748cdbf7d1f8c8d6b66dd254a7de8"


def test_answers_about_subscriptions_name_paths_of_topics(api):
    made = api.post(f"{T}/subscriptions", HOOK)
    assert made.headers["location"] == f"{T}/subscriptions"
    path = f"{T}/subscriptions/{made.json['subscription_id']}"
    assert api.get(path).json["source"] == "news"
    changed = api.patch(path, {"ttl": 60})
    assert (changed.status, changed.headers["location"]) == (204, path)
    agreed = api.put(f"{path}/confirm", {"confirmed": True})
    assert (agreed.status, agreed.headers["location"]) == (204, f"{path}/confirm")
    page = api.get(f"{T}/subscriptions").json
    assert page["subscriptions"][0]["confirmed"] is True
    assert page["links"][0]["href"].startswith(f"{T}/subscriptions?")
    again = api.post(f"{T}/subscriptions", HOOK)
    assert (again.status, again.headers["location"]) == (409, f"{T}/subscriptions")


@pytest.mark.parametrize("name", ["a b", "x" * 65, ".", "..", "a%0A", "é"])
@pytest.mark.parametrize("rest", ["", "/stats", "/messages", "/subscriptions"])
def test_a_name_that_is_none_is_refused_as_a_topics(api, name, rest):
    answer = api.get(f"/v2/topics/{name}{rest}")
    assert answer.status == 400
    assert answer.json["title"] == "Invalid topic identification"
    assert "topic" in answer.json["description"]


def test_a_project_that_is_too_long_is_refused_as_with_queues(api):
    answer = api.get(T, project="x" * 257)
    assert (answer.status, answer.json["title"]) == (
        400,
        "Invalid topic identification",
    )


@pytest.mark.parametrize("path", [f"{T}/claims", f"{T}/claims/x", f"{T}/share"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_topics_have_no_claims_and_no_signed_urls(api, path, method):
    answer = api.request(method, path, {})
    assert answer.status == 404
    assert answer.json == {"title": "404 Not Found"}


def test_what_is_about_claims_is_ignored(api):
    (href,) = post(api, 1).json["resources"]
    page = api.get(f"{T}/messages?echo=1&include_claimed=maybe")
    assert len(page.json["messages"]) == 1
    assert "include_claimed" not in page.json["links"][0]["href"]
    assert api.delete(f"{href}?claim_id=123").status == 204
    assert api.get(href).status == 404


def test_the_home_document_has_topics(api):
    resources = api.get("/v2/").json["resources"]
    assert resources["rel/topics"]["href-vars"]["limit"] == "param/queue_limit"
    template = resources["rel/topic_messages"]["href-template"]
    assert template == "/v2/topics/{topic_name}/messages{?marker,limit,echo}"
    allowed = resources["rel/topic"]["hints"]["allow"]
    assert allowed == ["GET", "PUT", "DELETE", "PATCH"]
    assert not [rel for rel in resources if "topic" in rel and "claim" in rel]
