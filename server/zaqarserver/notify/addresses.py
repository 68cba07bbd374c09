"""The addresses that webhooks may reach, checked when a connection is made.

A name is resolved once, and only the allowed addresses of the result are connected to,
so an answer that changes a moment later has no effect. Every socket is made by
:meth:`AddressPolicy.socket`, which checks the address of the connection itself: no
notation of a host gets around it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from zaqarserver.common.tasks import SingleFlight, Threads
from zaqarserver.errors import SettingsError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Networks that are not the public internet, from the IANA special-purpose registries.
# Written out, because the definition of "private" differs between Python releases.
_REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # unspecified, this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared; metadata 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # metadata and platform services, in public space
        "169.254.0.0/16",  # link-local; metadata 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; metadata 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# The public part of IPv6; the rest is loopback, local, multicast or reserved.
_PUBLIC_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")
_ISATAP = (0x00005EFE, 0x02005EFE)

_LOOKUP_THREADS = 64


class AddressRefused(OSError):
    """The policy does not allow the address."""


def networks(name: str, texts: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks that a setting names.

    Raises:
        SettingsError: One is not a network or an address.
    """
    found = []
    for text in texts:
        try:
            found.append(ip_network(text.strip()))
        except ValueError as error:
            raise SettingsError(f"[notification] {name}: {error}.") from error
    return tuple(found)


class AddressPolicy:
    """Decides which addresses may be connected to.

    By default only the public internet: no loopback, link-local, private, multicast,
    unspecified, reserved or metadata address, nor an IPv6 form of one.

    Args:
        allowed: Networks that are allowed although they are not public.
        denied: Networks that are never allowed.
    """

    def __init__(
        self, allowed: Sequence[Network] = (), denied: Sequence[Network] = ()
    ) -> None:
        self._allowed = tuple(allowed)
        self._denied = tuple(denied)

    def allows(self, text: str) -> bool:
        """Return True if an address is allowed.

        Args:
            text: The address as the resolver or a socket shows it.
        """
        try:
            # A zone names an interface, not a destination.
            address = ip_address(text.partition("%")[0])
        except ValueError:
            return False
        # The system connects to the IPv4 address.
        address = getattr(address, "ipv4_mapped", None) or address
        carried = _carried(address)
        forms = [address] if carried is None else [address, carried]
        if any(form in network for form in forms for network in self._denied):
            return False
        if any(address in network for network in self._allowed):
            return True
        return all(map(_is_public, forms))

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Return a socket for an address that is about to be connected to.

        Args:
            info: As :func:`socket.getaddrinfo` gives it.

        Raises:
            AddressRefused: The policy does not allow the address.
        """
        family, kind, protocol, _, address = info
        if not self.allows(str(address[0])):
            raise AddressRefused("the address is not one that may be notified")
        return socket.socket(family, kind, protocol)


def _carried(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that a gateway or tunnel forwards to."""
    if isinstance(address, IPv4Address):
        return None
    number = int(address)
    if address in _6TO4:
        return IPv4Address(number >> 80 & 0xFFFFFFFF)
    if address in _NAT64 or number >> 32 & 0xFFFFFFFF in _ISATAP:
        return IPv4Address(number & 0xFFFFFFFF)
    return None


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    if address in _NAT64:
        return True  # the carried IPv4 address decides
    return address in _PUBLIC_V6 and not any(
        address in network for network in _REFUSED_V6
    )


class CheckedResolver:
    """Resolves names to the addresses that a policy allows.

    Lookups run in separate threads, so that slow name servers delay no other part of
    the server. Concurrent lookups of a name share one query.
    """

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._threads = Threads("notify-lookup", _LOOKUP_THREADS)
        self._lookups: SingleFlight[tuple[str, int], list[Any]] = SingleFlight()

    async def lookup(self, host: str, port: int) -> list[Any]:
        """Return the system's answer for a name, as :func:`socket.getaddrinfo`."""

        def look_up() -> list[Any]:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

        return await self._lookups.join(
            (host, port), lambda: self._threads.run(look_up)
        )

    async def resolve(self, host: str, port: int) -> list[Any]:
        """Return the allowed addresses of a name, as :func:`socket.getaddrinfo`.

        Raises:
            AddressRefused: It has addresses, but no allowed one.
            OSError: It cannot be resolved.
        """
        try:  # an address needs no lookup, which may have to wait for others
            numeric = socket.AI_NUMERICHOST
            found: list[Any] = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=numeric
            )
        except socket.gaierror:
            found = await self.lookup(host, port)
        allowed = [info for info in found if self._policy.allows(info[4][0])]
        if found and not allowed:
            raise AddressRefused("the name resolves to no address that may be notified")
        return allowed

    async def close(self) -> None:
        """Stop waiting for lookups."""
        self._lookups.close()
