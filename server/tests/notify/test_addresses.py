"""The address policy, as seen by the sockets: no connection outside of it."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from receivers import receiving, status
from zaqarserver.notify.addresses import (
    AddressPolicy,
    AddressRefused,
    CheckedResolver,
    networks,
)
from zaqarserver.notify.deliverer import Delivered, Failed, Retry
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.webhook import WebhookDeliverer

from .loops import LOOPS

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    return request.param


CONNECTS: list[tuple] = []


def _audit(event, arguments):
    # Called for each connect() of this interpreter, whoever makes it.
    if event == "socket.connect":
        CONNECTS.append(arguments[1])


sys.addaudithook(_audit)


@pytest.fixture
def connects():
    """The addresses that were connected to since the test began."""
    CONNECTS.clear()
    return CONNECTS


class Names(CheckedResolver):
    """A name server that gives the next of its answers each time it is asked."""

    def __init__(self, policy, *answers):
        super().__init__(policy)
        self.answers = list(answers)
        self.asked = 0

    async def lookup(self, host, port):
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]


@pytest.fixture
async def webhooks():
    """Make open deliverers, with these answers of a name server or the system's."""
    made = []

    async def make(*answers, allowed=(), denied=()):
        deliverer = WebhookDeliverer(
            NotifySettings(allowed_networks=allowed, denied_networks=denied)
        )
        if answers:
            deliverer.resolver = Names(deliverer._policy, *answers)
        await deliverer.open()
        made.append(deliverer)
        return deliverer

    yield make
    for deliverer in made:
        await deliverer.close()


HOSTS = [
    "127.0.0.1",
    "127.8.8.8",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "0",
    "0.0.0.0",  # noqa: S104 -- a destination here
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "%31%32%37.0.0.1",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::1]",
    "[2a00::5efe:127.0.0.1]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[fec0::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[4000::1]",
    "[2001:db8::1]",
    "10.0.0.1",
    "0300.0250.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "user@127.0.0.1",
    "user:word@127.0.0.1",
    "public.invalid@127.0.0.1",
    "public.invalid:80@127.0.0.1",
    "127.0.0.1:80@127.0.0.1",
    "public.invalid%40127.0.0.1",
    "public.invalid\\@127.0.0.1",
    "127.0.0.1\\.public.invalid",
    "127.0.0.1\t",
]


@pytest.mark.parametrize("host", HOSTS)
async def test_no_notation_of_a_host_reaches_an_address_that_is_not_public(
    webhooks, notification, connects, host
):
    deliverer = await webhooks()
    async with receiving() as receiver:
        url = f"http://{host}:{receiver.port}/hook"
        outcome = await deliverer.deliver(notification(url))
    assert isinstance(outcome, Failed | Retry)
    assert connects == []
    assert receiver.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}#@public.invalid/",
        "http://127.0.0.1:{port}?@public.invalid/",
        "http:127.0.0.1:{port}/",
        "http:///127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "http+unix://127.0.0.1:{port}/",
        "ws://127.0.0.1:{port}/",
        "file:///etc/passwd",
        "http://public.invalid@127.0.0.1:{port}#.public.invalid/",
    ],
)
async def test_no_form_of_a_url_reaches_loopback(webhooks, notification, connects, url):
    deliverer = await webhooks()
    async with receiving() as receiver:
        outcome = await deliverer.deliver(notification(url.format(port=receiver.port)))
    assert isinstance(outcome, Failed | Retry)
    assert connects == []


async def test_a_name_is_resolved_once_and_the_checked_address_is_used(
    webhooks, notification, connects
):
    # What a name server says after the check does not count.
    deliverer = await webhooks(["127.0.0.2"], ["127.0.0.1"], allowed=("127.0.0.2/32",))
    async with receiving(host="127.0.0.2") as receiver:
        url = f"http://rebind.example:{receiver.port}/"
        assert await deliverer.deliver(notification(url)) == Delivered()
    assert connects == [("127.0.0.2", receiver.port)]
    assert deliverer.resolver.asked == 1


async def test_a_name_that_changes_is_checked_again_for_the_next_connection(
    webhooks, notification, connects
):
    deliverer = await webhooks(["127.0.0.2"], ["127.0.0.1"], allowed=("127.0.0.2/32",))
    close = status(200, "Connection: close")
    async with receiving(close, host="127.0.0.2") as receiver:
        url = f"http://rebind.example:{receiver.port}/"
        first = await deliverer.deliver(notification(url))
        second = await deliverer.deliver(notification(url))
    assert first == Delivered()
    assert second == Failed("the address is not one that may be notified")
    assert connects == [("127.0.0.2", receiver.port)]


async def test_of_several_addresses_only_the_allowed_ones_are_tried(
    webhooks, notification, connects
):
    deliverer = await webhooks(
        ["127.0.0.1", "10.0.0.1", "127.0.0.2"], allowed=("127.0.0.2/32",)
    )
    async with receiving(host="127.0.0.2") as receiver:
        url = f"http://mixed.example:{receiver.port}/"
        assert await deliverer.deliver(notification(url)) == Delivered()
    assert connects == [("127.0.0.2", receiver.port)]


async def test_the_socket_is_checked_even_if_the_resolver_is_wrong(
    webhooks, notification, connects
):
    # Stands for whatever may go wrong between the lookup and the connection.
    deliverer = await webhooks()
    deliverer.resolver._policy = AddressPolicy(networks("x", ["0.0.0.0/0", "::/0"]))
    async with receiving() as receiver:
        url = f"http://localhost:{receiver.port}/"
        outcome = await deliverer.deliver(notification(url))
    assert outcome == Failed("the address is not one that may be notified")
    assert connects == []


async def test_a_redirect_to_a_forbidden_address_is_not_followed(
    webhooks, notification, connects
):
    deliverer = await webhooks(allowed=("127.0.0.2/32",))
    async with receiving() as victim:
        answer = status(307, f"Location: {victim.url()}")
        async with receiving(answer, host="127.0.0.2") as receiver:
            url = receiver.url(host="127.0.0.2")
            assert await deliverer.deliver(notification(url)) == Failed("status 307")
    assert connects == [("127.0.0.2", receiver.port)]


async def test_what_is_denied_wins_over_what_is_allowed(
    webhooks, notification, connects
):
    deliverer = await webhooks(allowed=("127.0.0.0/8",), denied=("127.0.0.1/32",))
    async with receiving() as receiver:
        outcome = await deliverer.deliver(notification(receiver.url()))
    assert outcome == Failed("the address is not one that may be notified")
    assert connects == []


async def test_a_lookup_that_is_asked_twice_is_made_once(monkeypatch):
    asked = []
    answer = socket.getaddrinfo

    def getaddrinfo(*arguments, **named):
        asked.append(arguments)
        return answer(*arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = CheckedResolver(AddressPolicy(networks("x", ["127.0.0.0/8"])))
    first = resolver.lookup("127.0.0.1", 80)
    second = resolver.lookup("127.0.0.1", 80)
    one, two = await asyncio.gather(first, second)
    await resolver.close()
    assert one == two
    assert len(asked) == 1


# -- the policy by itself ---------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8",
        "1.1.1.1",
        "172.32.0.1",
        "192.0.1.1",
        "2606:4700::1111",
        "2a00:1450::8",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
async def test_public_addresses_are_allowed(text):
    assert AddressPolicy().allows(text)


@pytest.mark.parametrize("text", ["", "x", "127.1", "2130706433", "1.2.3.4.5", "::x"])
async def test_what_is_no_address_is_refused(text):
    assert not AddressPolicy(networks("x", ["0.0.0.0/0", "::/0"])).allows(text)


@pytest.mark.parametrize(
    ("allowed", "denied", "text", "verdict"),
    [
        (["10.0.0.0/8"], [], "10.1.2.3", True),
        (["10.0.0.0/8"], [], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], [], "64:ff9b::a01:203", False),
        (["64:ff9b::/96"], [], "64:ff9b::a01:203", True),
        (["64:ff9b::/96"], ["10.0.0.0/8"], "64:ff9b::a01:203", False),
        (["fe80::/10"], [], "fe80::1%eth0", True),
        ([], ["8.8.8.0/24"], "8.8.8.8", False),
        ([], ["8.8.8.0/24"], "::ffff:8.8.8.8", False),
        ([], ["8.8.8.0/24"], "2002:808:808::1", False),
        (["127.0.0.1"], [], "127.0.0.1", True),
        (["127.0.0.1"], [], "127.0.0.2", False),
    ],
)
async def test_networks_of_the_settings_count(allowed, denied, text, verdict):
    policy = AddressPolicy(networks("a", allowed), networks("d", denied))
    assert policy.allows(text) is verdict


@given(st.ip_addresses(v=4))
def test_every_ipv6_form_of_a_refused_address_is_refused(address):
    policy = AddressPolicy()
    number = int(address)
    forms = [
        ipaddress.IPv6Address(0xFFFF << 32 | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1),
    ]
    expected = policy.allows(str(address))
    assert [policy.allows(str(form)) for form in forms] == [expected] * 3
    if expected:
        assert address.is_global


async def test_a_refused_socket_is_never_made():
    info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))
    with pytest.raises(AddressRefused):
        AddressPolicy().socket(info)
