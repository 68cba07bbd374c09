"""URIs and options of Redis stores."""

from __future__ import annotations

import pytest
from zaqarserver.errors import SettingsError
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.redis.location import (
    Address,
    Kind,
    RedisCredentials,
    RedisLocation,
    parse_location,
)

LOCAL = Address("localhost", 6379)

GOOD = {
    "redis://": RedisLocation(kind=Kind.STANDALONE, addresses=(LOCAL,)),
    "redis://localhost": RedisLocation(kind=Kind.STANDALONE, addresses=(LOCAL,)),
    "redis://h:1/3": RedisLocation(
        kind=Kind.STANDALONE, addresses=(Address("h", 1),), database=3
    ),
    "redis://[::1]:7": RedisLocation(
        kind=Kind.STANDALONE, addresses=(Address("::1", 7),)
    ),
    "redis://:s3cr%40t@h": RedisLocation(
        kind=Kind.STANDALONE,
        addresses=(Address("h", 6379),),
        credentials=RedisCredentials("", "s3cr@t"),
    ),
    "rediss://me:x@h?ca_file=/ca.pem": RedisLocation(
        kind=Kind.STANDALONE,
        addresses=(Address("h", 6379),),
        credentials=RedisCredentials("me", "x"),
        tls=True,
        ca_file="/ca.pem",
    ),
    "redis:///run/redis.sock?database=2": RedisLocation(
        kind=Kind.STANDALONE, addresses=(Address("/run/redis.sock", 0),), database=2
    ),
    "redis+sentinel://a:1,b/main/4?sentinel_password=y": RedisLocation(
        kind=Kind.SENTINEL,
        addresses=(Address("a", 1), Address("b", 26379)),
        service="main",
        database=4,
        sentinel_credentials=RedisCredentials("", "y"),
    ),
    "redis+cluster://a,b:2?wait_replicas=1&wait_timeout=0.5&prefix=mine": RedisLocation(
        kind=Kind.CLUSTER,
        addresses=(Address("a", 6379), Address("b", 2)),
        wait_replicas=1,
        wait_timeout=0.5,
        prefix="mine",
    ),
}

BAD = {
    "redis:h": "scheme",
    "redis://a,b": "several hosts",
    "redis://h:x": "HOST:PORT",
    "redis://h:99999": "HOST:PORT",
    "redis://h/one": "number of a database",
    "redis+sentinel://h": "name of the service",
    "redis+sentinel:///main": "HOST:PORT",
    "redis+cluster://h/3": "database 0 only",
    "redis+cluster://h?database=3": "database 0 only",
    "redis://h?colour=red": "no option 'colour'",
    "redis://h?timeout=soon": "timeout is 'soon'; it should be seconds, 0.1 to 600",
    "redis://h?timeout=0": "timeout is '0'",
    "redis://h?prefix=a{b": "prefix is 'a{b'",
    "redis://h?tls=perhaps": "tls is 'perhaps'; it should be true or false",
    "redis://h?wait_replicas=-1": "wait_replicas is '-1'",
}


@pytest.mark.parametrize(("uri", "location"), GOOD.items())
def test_a_uri_says_where_the_store_is(uri: str, location: RedisLocation) -> None:
    assert parse_location(uri, {}) == location


@pytest.mark.parametrize(("uri", "why"), BAD.items())
def test_a_uri_that_cannot_be_used_is_refused_with_the_reason(
    uri: str, why: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_location(uri, {})
    assert why in str(caught.value)


def test_options_may_be_given_beside_the_uri() -> None:
    location = parse_location("redis://h?timeout=2", {"prefix": "a.b", "timeout": "3"})
    assert (location.prefix, location.timeout) == ("a.b", 3)
    assert {"prefix", "timeout"} <= RedisStorage.option_names


def test_passwords_are_not_shown() -> None:
    uri = "redis+sentinel://me:s3cret@h?sentinel_password=hush"
    with pytest.raises(SettingsError) as caught:
        parse_location(uri, {})
    assert "s3cret" not in str(caught.value)
    assert "hush" not in str(caught.value)
