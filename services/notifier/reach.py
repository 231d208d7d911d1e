"""Where webhooks may go: to public addresses over https, and to what the installation names of its own. PURE.

Somebody who may choose the address of a webhook, or answer for its name, must not reach through the notifier what only
the notifier's network can reach: databases, consoles, the metadata of a cloud. So it is the addresses that are judged,
every one that a name has, and not the name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal, NamedTuple

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Nature = Literal[
    "public", "loopback", "private", "shared", "link-local", "metadata", "multicast", "unspecified", "reserved"
]
OPENED_BY_NAME: Final[frozenset[Nature]] = frozenset({"public", "loopback", "private", "shared"})
"""What naming a host opens; the rest is nowhere a receiver lives, so it takes the network itself to open it."""

_HOST: Final = re.compile(r"^(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$")
_NUMBER: Final = re.compile(r"^(0x[0-9a-f]*|[0-9]+)$")

_METADATA: Final = frozenset(
    map(ip_address, ("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"))
)
_SHARED: Final = IPv4Network("100.64.0.0/10")  # between a provider and its customers

# What the standard library of Python 3.11 calls global, and is not anybody's on the internet.
_RESERVED: Final = tuple(
    map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "100::/64", "2001::/23", "3fff::/20"))
)
_ALLOCATED: Final = IPv6Network("2000::/3")  # all other unicast of IPv6 is not given out

# IPv6 addresses that are delivered to an IPv4 address, and how many bits stand behind it.
_CARRIERS: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped: the kernel itself connects to the IPv4 address
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64: in a network of IPv6 alone, every IPv4 address looks like this
    (IPv6Network("2002::/16"), 80),  # 6to4
)


class Destination(NamedTuple):
    """Where a connection is to go, before its name is looked up."""

    scheme: str
    host: str
    port: int


def nature(address: Address) -> Nature:
    """What kind of address it is; one that carries an IPv4 address is what that one is."""
    carried = _carried(address)
    if carried is not None:
        return nature(carried)
    return next((kind for kind, holds in _KINDS.items() if holds(address)), "public")


def _is_nobodys(address: Address) -> bool:
    if address.is_reserved or any(address in network for network in _RESERVED):
        return True
    outside = address not in _ALLOCATED if isinstance(address, IPv6Address) else not address.is_global
    return outside and not address.is_private


_KINDS: Final[Mapping[Nature, Callable[[Address], bool]]] = {  # the first that holds
    "metadata": lambda address: address in _METADATA,
    "unspecified": lambda address: address.is_unspecified,
    "multicast": lambda address: address.is_multicast,
    "loopback": lambda address: address.is_loopback,
    "link-local": lambda address: address.is_link_local,
    "shared": lambda address: address in _SHARED,
    "reserved": _is_nobodys,
    "private": lambda address: not address.is_global,
}


def _carried(address: Address) -> IPv4Address | None:
    for network, behind in _CARRIERS:
        if address in network:
            return IPv4Address(int(address) >> behind & 0xFFFF_FFFF)
    return None


@dataclass(frozen=True, slots=True)
class Reach:
    """What an installation allows beyond public addresses over https, and at which ports (any, where none is named)."""

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset()

    def objection(self, to: Destination, addresses: Sequence[Address]) -> str | None:
        """Why no connection may be opened to *addresses*, all those that *to* has; None when it may.

        One address that may not be reached is enough: which of them is used is nobody's choice.
        """
        if self.ports and to.port not in self.ports:
            return f"port {to.port} is not one of WEBHOOK_PORTS"
        named = bare(to.host) in self.hosts
        return next((said for each in addresses if (said := self._objection(to, each, named=named))), None)

    def _objection(self, to: Destination, address: Address, *, named: bool) -> str | None:
        plain = getattr(address, "ipv4_mapped", None) or address
        if any(plain in network for network in self.networks):
            return None
        kind = nature(address)
        if named and kind in OPENED_BY_NAME:
            return None
        if kind != "public":
            return f"{_place(to.host, address)}, which is {kind}: WEBHOOK_ALLOW does not name it"
        if to.scheme != "https":
            return f"{to.host} is asked over {to.scheme}: only https, or what WEBHOOK_ALLOW names"
        return None


def _place(host: str, address: Address) -> str:
    return host if bare(host) == str(address) else f"{host} has the address {address}"


def bare(host: str) -> str:
    """*host* as it is compared: in small letters, without the dot at its end or the brackets of an address."""
    return host.lower().strip("[]").removesuffix(".")


def is_disguised(host: str) -> bool:
    """Whether *host* is a number that old resolvers take for an address: `2130706433`, `0x7f.1`, `0177.0.0.1`."""
    text = bare(host)
    try:
        ip_address(text)
    except ValueError:
        return bool(_NUMBER.match(text.rpartition(".")[2]))
    return False


def allowed(entries: Iterable[str]) -> tuple[tuple[Network, ...], frozenset[str]]:
    """The networks and hosts that *entries* name; an address is a network of one.

    Raises:
        ValueError: names every entry that is neither.
    """
    networks: list[Network] = []
    hosts: set[str] = set()
    wrong: list[str] = []
    for entry in entries:
        try:
            networks.append(ip_network(entry))
        except ValueError:
            host = bare(entry)
            good = "/" not in entry and _HOST.match(host) and not is_disguised(host)
            hosts.add(host) if good else wrong.append(entry)
    if wrong:
        raise ValueError(f"expected networks like 10.1.0.0/16 or hosts like hooks.internal, got {', '.join(wrong)}")
    return tuple(networks), frozenset(hosts)
