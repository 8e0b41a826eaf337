"""Where the gateway may fetch from. Addresses of outputs and of callers' references are data from strangers.

Two looks: ``check_url`` before a request and before each redirect, ``check_address`` on what a name resolves to. The
second happens in ``GuardedResolver``, whose answers are what is connected to, so a name cannot change in between.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urljoin

from aiohttp import DefaultResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from providers.base.errors import AddressRefused

MAX_URL = 8192
"""Characters of the longest address that is taken."""

# Stricter than any parser: what two parsers could read differently (user names, percent signs, backslashes, zones,
# other alphabets) is not in it at all.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:(?P<port>[0-9]{1,5}))?(?P<rest>[/?#].*)?",
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PLAIN = re.compile(r"[!-~]+", re.ASCII)
_INWARD = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "localdomain")
_PORTS = {"http": 80, "https": 443}

# What ``is_global`` of some Python version lets through, or what is global and still next door.
_V4 = tuple(
    IPv4Network(each)
    for each in (
        "100.64.0.0/10",
        "168.63.129.16/32",  # a cloud's metadata on an address that looks public
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
    )
)
_V6_PUBLIC = IPv6Network("2000::/3")
_V6 = tuple(IPv6Network(each) for each in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
_NAT64 = IPv6Network("64:ff9b::/96")

Network = IPv4Network | IPv6Network


class Place(NamedTuple):
    """Whom an address names. ``host`` is in lower case, an IPv6 address without its brackets."""

    scheme: str
    host: str
    port: int


def _refused(host: str, why: str) -> AddressRefused:
    return AddressRefused(f"The address of {host[:100]!r} is not allowed: {why}.")


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is, or ``None`` for a name. Raises for every unusual spelling of a number."""
    if ":" in host:
        try:
            return IPv6Address(host)
        except ValueError:
            raise _refused(host, "not an IPv6 address") from None
    labels = host.split(".")
    if not _NUMBER.fullmatch(labels[-1]):
        return None
    try:
        return IPv4Address(host)
    except ValueError:
        raise _refused(host, "an unusual way to write a number") from None


def is_plain(url: str) -> bool:
    """Whether there is nothing in it but visible ASCII, and no backslash."""
    return _PLAIN.fullmatch(url) is not None and "\\" not in url


def place(url: str) -> Place:
    """Take an address apart. Raises ``AddressRefused`` unless it is plain ``http(s)://host[:port][/...]``."""
    if len(url) > MAX_URL:
        raise AddressRefused(f"The address is longer than {MAX_URL} characters.")
    if not is_plain(url):
        raise AddressRefused("The address has a character that an address cannot have; percent-encode it.")
    match = _URL.fullmatch(url)
    if match is None:
        raise AddressRefused("The address is not of the form https://host/path, with no user name in it.")
    scheme, host = match["scheme"].lower(), match["host"].lower().strip("[]")
    port = int(match["port"] or _PORTS[scheme])
    if not 1 <= port <= 65535:
        raise _refused(host, "no such port")
    if _literal(host) is None and not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise _refused(host, "not a host name")
    return Place(scheme, host, port)


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to this one would reach (mapped, NAT64)."""
    return IPv4Address(int(ip) & 0xFFFFFFFF) if ip.ipv4_mapped is not None or ip in _NAT64 else None


def is_public(ip: IPv4Address | IPv6Address) -> bool:
    """Whether a stranger's address may be there: globally routable, one host, and not a tunnel to elsewhere."""
    if isinstance(ip, IPv6Address):
        inner = _embedded(ip)
        if inner is not None:
            return is_public(inner)
        isatap = (int(ip) >> 32) & 0xFCFFFFFF == 0x5EFE
        return ip in _V6_PUBLIC and ip.is_global and not isatap and not any(ip in each for each in _V6)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved) and not any(ip in each for each in _V4)


def _network(entry: str) -> Network | None:
    try:
        return ip_network(entry.strip("[]"))
    except ValueError:
        return None


@dataclass(frozen=True)
class Egress:
    """Which addresses may be fetched. Equal policies are equal objects.

    ``allow``: host names, ``*.suffix`` (names below it), addresses and networks that the operator opens for everything.
    ``trusted``: the ``host[:port]`` of a deployment's own server, for what that deployment makes; without a port the
    scheme's own one is meant. Either also opens plain http; a network does so for addresses written as numbers.
    """

    allow: Sequence[str] = ()
    trusted: Collection[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "allow", tuple(sorted({each.strip().lower() for each in self.allow})))
        object.__setattr__(self, "trusted", frozenset(each.strip().lower() for each in self.trusted))

    @cached_property
    def _networks(self) -> tuple[Network, ...]:
        return tuple(net for net in map(_network, self.allow) if net is not None)

    def check_url(self, url: str) -> None:
        """Raise ``AddressRefused`` unless ``url`` is plain https to a name or a public address (or is allowed)."""
        where = place(url)
        if self._named(where.host, where.port):
            return
        literal = _literal(where.host)
        if where.scheme != "https" and not (literal and self._in_networks(literal)):
            raise _refused(where.host, "https only")
        if literal is not None:
            self.check_address(where.host, where.host, where.port)
        elif "." not in where.host or where.host.endswith(tuple(f".{each}" for each in _INWARD)):
            raise _refused(where.host, "a name of a private network")

    def check_address(self, host: str, ip: str, port: int | None = None) -> None:
        """Raise ``AddressRefused`` unless ``ip``, which ``host`` resolves to, is public (or is allowed)."""
        if self._named(host.lower(), port):
            return
        try:
            address = ip_address(ip)
        except ValueError:
            raise _refused(host, "it leads to no address") from None
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            raise _refused(host, "it leads into a private network")
        if not is_public(address) and not self._in_networks(address):
            raise _refused(host, "it leads into a private network")

    def follow(self, url: str, location: str) -> str:
        """Where a redirect leads. Raises ``AddressRefused`` where it may not."""
        # ``urljoin`` drops tabs and line ends without a word: what it is given must have none.
        if not is_plain(location):
            raise AddressRefused("The address redirects to something that is not an address.")
        try:
            target = urljoin(url, location)
        except ValueError:
            raise AddressRefused("The address redirects to something that is not an address.") from None
        self.check_url(target)
        return target

    def _named(self, host: str, port: int | None) -> bool:
        """Whether the name itself (or the number as it is written) is allowed or trusted."""
        written = f"[{host}]" if ":" in host else host
        if f"{written}:{port}" in self.trusted or (port in (80, 443, None) and {host, written} & set(self.trusted)):
            return True
        return any(host == each or (each[:2] == "*." and host.endswith(each[1:])) for each in self.allow)

    def _in_networks(self, ip: IPv4Address | IPv6Address) -> bool:
        forms = (ip, _embedded(ip)) if isinstance(ip, IPv6Address) else (ip,)
        return any(form in each for form in forms if form is not None for each in self._networks)


class GuardedResolver(AbstractResolver):
    """Names to addresses, every one of them checked. One forbidden address among them refuses the name.

    ``egress=None`` checks nothing (the operator's own addresses); ``seconds`` is the longest a lookup may take.
    """

    def __init__(self, egress: Egress | None, inner: AbstractResolver | None = None, seconds: float = 5.0) -> None:
        self._egress = egress
        self._inner = inner or DefaultResolver()
        self._seconds = seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises ``AddressRefused``, ``OSError`` for an unknown name, ``TimeoutError``."""
        async with asyncio.timeout(self._seconds):
            found = await self._inner.resolve(host, port, family)
        if self._egress is not None:
            for each in found:
                self._egress.check_address(host, each["host"], port)
        return found

    async def close(self) -> None:
        """Give the inner resolver's threads and sockets back."""
        await self._inner.close()
