"""Which addresses a webhook may reach."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.endpoints.webhook import Webhook
from services.notifier.reach import Destination, Nature, Reach, allowed, is_disguised, nature
from services.notifier.settings import Settings
from shared.configuration import load
from shared.errors import Refused

PUBLIC = "93.184.215.14"
LEAST = {"KAFKA_BOOTSTRAP": "k:9092", "DATABASE_URL": "postgresql://h/d", "NOTIFY_ROUTES": "notify.yaml"}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (PUBLIC, "public"),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", "public"),
        # this machine
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),  # on Linux, another name of this machine
        ("::", "unspecified"),
        ("0.1.2.3", "private"),
        # this network
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("fc00::1", "private"),
        ("fd12:3456:789a::1", "private"),
        ("100.64.0.1", "shared"),  # behind a provider's NAT
        ("100.127.255.255", "shared"),
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "reserved"),  # site-local, as it was once
        # what clouds tell about themselves
        ("169.254.169.254", "metadata"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),  # public by its number
        ("192.0.0.192", "metadata"),
        ("fd00:ec2::254", "metadata"),
        # many at once
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "reserved"),
        # nobody's
        ("240.0.0.1", "reserved"),
        ("192.0.0.8", "reserved"),
        ("192.88.99.1", "reserved"),
        ("198.18.0.1", "private"),  # for measuring networks
        ("192.0.2.1", "private"),  # for examples
        ("198.51.100.1", "private"),
        ("203.0.113.1", "private"),
        ("2001:db8::1", "private"),
        ("3fff::1", "reserved"),
        ("100::1", "reserved"),
        ("4000::1", "reserved"),
        # an IPv4 address in an IPv6 one
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:169.254.169.254", "metadata"),
        (f"::ffff:{PUBLIC}", "public"),
        ("::ffff:0:10.0.0.1", "private"),
        ("::127.0.0.1", "reserved"),
        ("64:ff9b::10.0.0.1", "private"),
        (f"64:ff9b::{PUBLIC}", "public"),
        ("64:ff9b:1::10.0.0.1", "reserved"),  # a NAT64 of this network
        ("2002:a00:1::1", "private"),
        ("2002:7f00:1::", "loopback"),
        ("2001:0:5ef5:79fb::1", "reserved"),  # Teredo
    ],
)
def test_every_kind_of_address_is_known(address: str, expected: Nature) -> None:
    assert nature(ip_address(address)) == expected


@given(st.ip_addresses(v=4))
def test_an_address_is_the_same_in_whatever_it_is_wrapped(address: IPv4Address) -> None:
    mapped, translated = ip_address(f"::ffff:{address}"), ip_address(f"64:ff9b::{address}")
    assert nature(mapped) == nature(translated) == nature(address)


@given(st.ip_addresses())
def test_what_is_public_is_global_by_the_standard_library_too(address: IPv4Address) -> None:
    if nature(address) == "public" and address.version == 4:
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize(
    ("allow", "url", "addresses", "expected"),
    [
        # public, over https
        ([], ("https", "example.com", 443), [PUBLIC], None),
        ([], ("https", PUBLIC, 443), [PUBLIC], None),
        # inside, and not named
        ([], ("https", "example.com", 443), ["10.0.0.1"], "example.com has the address 10.0.0.1, which is private"),
        ([], ("https", "10.0.0.1", 443), ["10.0.0.1"], "10.0.0.1, which is private: WEBHOOK_ALLOW does not name it"),
        # one address of several is enough, wherever it stands
        ([], ("https", "example.com", 443), [PUBLIC, "127.0.0.1"], "127.0.0.1, which is loopback"),
        ([], ("https", "example.com", 443), ["127.0.0.1", PUBLIC], "127.0.0.1, which is loopback"),
        # over http
        ([], ("http", "example.com", 80), [PUBLIC], "only https, or what WEBHOOK_ALLOW names"),
        (["example.com"], ("http", "example.com", 80), [PUBLIC], None),
        (["10.0.0.0/8"], ("http", "hooks.internal", 80), ["10.0.0.1"], None),
        # by network
        (["10.0.0.0/8"], ("https", "hooks.internal", 443), ["10.0.0.1"], None),
        (["10.0.0.0/8"], ("https", "hooks.internal", 443), ["::ffff:10.0.0.1"], None),
        (["10.0.0.0/8"], ("https", "hooks.internal", 443), ["192.168.0.1"], "which is private"),
        (["::1"], ("https", "localhost", 443), ["::1"], None),
        (["169.254.0.0/16"], ("https", "printer", 443), ["169.254.7.7"], None),
        # by name, however it is written
        (["hooks.internal"], ("https", "hooks.internal", 443), ["10.0.0.1"], None),
        (["hooks.internal"], ("https", "HOOKS.internal.", 443), ["10.0.0.1"], None),
        (["Hooks.Internal."], ("https", "hooks.internal", 443), ["10.0.0.1"], None),
        (["hooks.internal"], ("https", "x.hooks.internal", 443), ["10.0.0.1"], "which is private"),
        (["localhost"], ("http", "localhost", 9000), ["::1", "127.0.0.1"], None),
        # a name opens nothing where no receiver lives
        (["hooks.internal"], ("https", "hooks.internal", 443), ["169.254.169.254"], "which is metadata"),
        (["hooks.internal"], ("https", "hooks.internal", 443), ["224.0.0.1"], "which is multicast"),
        (["hooks.internal"], ("https", "hooks.internal", 443), ["0.0.0.0"], "which is unspecified"),
    ],
)
def test_what_may_be_reached(
    allow: list[str], url: tuple[str, str, int], addresses: list[str], expected: str | None
) -> None:
    said = Reach(*allowed(allow)).objection(Destination(*url), [ip_address(each) for each in addresses])
    assert said is None if expected is None else expected in (said or "")


def test_only_the_ports_that_are_named_are_reached() -> None:
    reach = Reach(ports=frozenset({443, 8443}))
    assert reach.objection(Destination("https", "example.com", 8443), [ip_address(PUBLIC)]) is None
    said = reach.objection(Destination("https", "example.com", 22), [ip_address(PUBLIC)])
    assert said == "port 22 is not one of WEBHOOK_PORTS"


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "1.2.3.4.5", "a.0x1"])
def test_a_number_that_is_no_address_is_refused_in_the_url(host: str) -> None:
    assert is_disguised(host)
    with pytest.raises(ValueError, match="expected a name or an address"):
        Webhook(url=f"https://{host}/hook", secret_env="HOOK")


@pytest.mark.parametrize("host", ["127.0.0.1", "example.com", "10minutes.example", "1.example", "[::1]", "localhost."])
def test_names_and_addresses_stay(host: str) -> None:
    assert Webhook(url=f"https://{host}/hook", secret_env="HOOK").url


def test_the_settings_say_what_may_be_reached() -> None:
    given = {"WEBHOOK_ALLOW": "10.1.0.0/16, hooks.internal", "WEBHOOK_PORTS": "443,8443"}
    reach = load(Settings, {**LEAST, **given}).reach
    assert [str(each) for each in reach.networks] == ["10.1.0.0/16"]
    assert reach.hosts == {"hooks.internal"}
    assert reach.ports == {443, 8443}


@pytest.mark.parametrize("entry", ["10.1.0.1/16", "http://hooks.internal", "*", "2130706433", "hooks.internal:80"])
def test_an_entry_that_is_neither_network_nor_host_is_named(entry: str) -> None:
    with pytest.raises(Refused, match="WEBHOOK_ALLOW: expected networks") as caught:
        load(Settings, {**LEAST, "WEBHOOK_ALLOW": f"10.0.0.0/8,{entry}"})
    assert str(caught.value).endswith(f"got {entry}")
