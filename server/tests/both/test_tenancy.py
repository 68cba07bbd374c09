"""Nothing of a project is read, changed, counted or guessed by another (``5.9``)."""

import uuid

import pytest

from .service import BAD_REQUEST, NO_STATS, NOT_FOUND, OK, OTHER_CLIENT

HOOK = "http://x.example/"


class Belongings:
    """What a project has, and what its owner sees of it."""

    def __init__(self, owner):
        self.owner = owner
        owner.queue_create("orders", {"team": "billing"})
        self.claimed, self.free = owner.post("orders", "held", "secret", ttl=600)
        self.claim = owner.claim_create("orders", limit=1).result.id
        self.subscription = owner.subscribe("orders", HOOK, options={"a": 1})
        self.before = self.seen()

    def seen(self):
        owner = self.owner
        return (
            owner.queue_list(detailed=True).result,
            owner.queue_get_stats("orders").result,
            owner.message_list("orders", echo=True, include_claimed=True).result,
            owner.claim_get("orders", self.claim).result,
            owner.subscription_list("orders").result,
        )


@pytest.fixture
def mine(service):
    """What a first project has."""
    return Belongings(service)


@pytest.fixture(params=["empty", "same names"])
def stranger(service, mine, request):
    """Another project: with nothing in it, or with things of the same names."""
    other = service.as_caller(project=uuid.uuid4().hex, client=OTHER_CLIENT)
    if request.param == "same names":
        other.queue_create("orders")
        other.post("orders", "theirs")
        other.subscribe("orders", HOOK)
    return other


def test_a_stranger_who_knows_every_id_reads_nothing(mine, stranger):
    found = [message.body for message in stranger.message_list("orders").result]
    assert not {"held", "secret"} & set(found)
    assert not {"held", "secret"} & set(stranger.every_body("orders"))
    for id_ in (mine.claimed, mine.free):
        assert stranger.message_get("orders", id_).status == NOT_FOUND
    ids = [mine.claimed, mine.free]
    assert stranger.message_get_many("orders", ids).result == []
    assert stranger.claim_get("orders", mine.claim).status == NOT_FOUND
    shown = stranger.subscription_get("orders", mine.subscription)
    assert shown.status == NOT_FOUND
    listed = [item["id"] for item in stranger.subscription_list("orders").result]
    assert mine.subscription not in listed
    assert stranger.queue_get("orders").result == {}
    assert mine.seen() == mine.before


def test_a_stranger_counts_nothing(mine, stranger):
    own = len(stranger.every_body("orders"))
    stats = stranger.queue_get_stats("orders").result
    assert (stats.claimed, stats.free, stats.total) == (0, own, own)
    names = [queue["name"] for queue in stranger.queue_list(name="orders").result]
    assert names == (["orders"] if own else [])
    assert mine.seen() == mine.before


def test_a_stranger_claims_and_pops_nothing(mine, stranger):
    claim = stranger.claim_create("orders").result
    taken = [message.body for message in claim.messages] if claim else []
    assert not {"held", "secret"} & set(taken)
    popped = stranger.message_delete_many("orders", pop=20).result
    assert popped == []
    assert mine.seen() == mine.before


def test_a_stranger_who_knows_every_id_changes_nothing(mine, stranger):
    changed = stranger.claim_update("orders", mine.claim, ttl=60)
    assert changed.status == NOT_FOUND
    place = ("orders", mine.subscription)
    changed = stranger.subscription_update(*place, {"ttl": 60})
    assert changed.status == NOT_FOUND
    changed = stranger.subscription_confirm(*place, confirmed=True)
    assert changed.status == NOT_FOUND
    patch = [{"op": "add", "path": "/metadata/team", "value": "x"}]
    stranger.queue_update("orders", patch)
    stranger.queue_create("orders", {"team": "x"})
    stranger.post("orders", "added")
    assert mine.seen() == mine.before


def test_a_stranger_who_knows_every_id_removes_nothing(mine, stranger):
    assert stranger.message_delete("orders", mine.free).status == OK
    assert stranger.message_delete("orders", mine.claimed, mine.claim).status == OK
    ids = [mine.claimed, mine.free]
    assert stranger.message_delete_many("orders", message_ids=ids).status == OK
    assert stranger.claim_delete("orders", mine.claim).status == OK
    assert stranger.subscription_delete("orders", mine.subscription).status == OK
    assert stranger.queue_purge("orders").status == OK
    assert stranger.queue_delete("orders").status == OK
    assert mine.seen() == mine.before


def test_a_marker_of_another_project_shows_no_more_than_ones_own(mine, stranger):
    own = stranger.every_body("orders")
    shown = stranger.bodies("orders", marker=mine.claimed)
    assert set(shown) <= set(own)
    listed = stranger.subscription_list("orders", marker=mine.subscription)
    assert mine.subscription not in [item["id"] for item in listed.result]


def test_a_claim_of_one_project_frees_no_message_of_another(mine, stranger):
    (id_,) = stranger.post("orders", "new")
    assert stranger.message_delete("orders", id_, mine.claim).status == BAD_REQUEST
    assert stranger.message_get("orders", id_).status == OK


def test_the_project_ends_with_its_queue_for_its_owner_only(mine, stranger):
    left = stranger.every_body("orders")
    mine.owner.queue_delete("orders")
    assert stranger.every_body("orders") == left
    assert mine.owner.queue_get_stats("orders").result == NO_STATS


def test_ids_tell_nothing_of_the_next_one(service):
    ids = service.post("orders", *range(50))
    assert len({id_[-8:] for id_ in ids}) == 50


@pytest.mark.parametrize("end", ["x", "%", "_", "é", "/", "*"])
def test_project_ids_that_look_alike_are_different_projects(service, end):
    service.post("orders", "secret")
    project = service.project
    for alike in (project + end, project[:-1] + end, project.upper()):
        other = service.as_caller(project=alike)
        assert other.queue_list().result == []
        assert other.every_body("orders") == []


def test_a_project_id_has_at_most_256_characters_and_is_needed(service):
    long = service.as_caller(project=uuid.uuid4().hex * 8)
    assert long.queue_create("orders").result is True
    longer = service.as_caller(project=uuid.uuid4().hex * 8 + "x")
    assert longer.queue_create("orders").status == BAD_REQUEST
    assert longer.queue_get("orders").status == BAD_REQUEST
    assert longer.message_post("orders", [{"body": 1}]).status == BAD_REQUEST
    for project in ("", None):
        nobody = service.as_caller(project=project)
        assert nobody.queue_list().status == BAD_REQUEST
        assert nobody.message_post("orders", [{"body": 1}]).status == BAD_REQUEST


@pytest.mark.parametrize("client", ["", "0xdeadbeef", OTHER_CLIENT[:-1], None])
def test_a_client_id_is_needed_and_is_a_uuid(service, client):
    caller = service.as_caller(client=client)
    assert caller.queue_create("orders").status == BAD_REQUEST
    assert caller.message_post("orders", [{"body": 1}]).status == BAD_REQUEST
    assert caller.message_list("orders").status == BAD_REQUEST
    assert caller.queue_delete("orders").status == BAD_REQUEST
    assert service.queue_list().result == []


OFF = "[transport]\nclient_id_uuid_safe = off\n"


def test_a_server_may_take_other_client_ids_within_their_lengths(make_service):
    service = make_service(OFF)
    for client in ("x" * 9, "x" * 37):
        refused = service.as_caller(client=client).message_post("q", [{"body": 1}])
        assert refused.status == BAD_REQUEST
    one, other = service.as_caller(client="x" * 10), service.as_caller(client="y" * 36)
    one.post("q", 1)
    assert one.bodies("q", echo=False) == []
    assert other.bodies("q", echo=False) == [1]
