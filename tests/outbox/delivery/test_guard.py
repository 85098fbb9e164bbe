"""The guard without a socket: tables of addresses and URLs, and what holds for all of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outbox.delivery.guard import Guard, NetworkError, Refusal, Target, check_url, forbidden, parse_networks
from tests.outbox.network import corpus

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.32.0.1",
    "100.128.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00::1",
]
FORBIDDEN = {
    "0.0.0.0": "this host",
    "10.255.255.255": "private",
    "100.64.0.0": "private",
    "127.255.255.255": "loopback",
    "168.63.129.16": "metadata",
    "169.254.169.254": "link-local",
    "172.31.255.255": "private",
    "192.0.0.9": "special",
    "192.88.99.1": "relay",
    "192.168.1.1": "private",
    "198.19.255.255": "benchmarks",
    "203.0.113.7": "documentation",
    "224.0.0.1": "multicast",
    "255.255.255.255": "reserved",
    "::": "this host",
    "::1": "loopback",
    "::ffff:10.0.0.1": "private",
    "::ffff:127.0.0.1": "loopback",
    "::127.0.0.1": "reserved",
    "::ffff:0:127.0.0.1": "reserved",
    "64:ff9b::a00:1": "NAT64",
    "64:ff9b::101:101": "NAT64",
    "64:ff9b:1::a00:1": "NAT64",
    "2002:a00:1::": "6to4",
    "2001:0:a00:1::1": "Teredo",
    "2001:10::1": "special",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "5f00::1": "segment",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "fe80::1": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "4000::1": "reserved",
    "100::1": "black hole",
    "2606:4700::5efe:10.0.0.1": "private",
    "2606:4700::200:5efe:10.0.0.1": "private",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open_to_all(address: str) -> None:
    assert forbidden(ip_address(address), ()) is None


@pytest.mark.parametrize(("address", "reason"), FORBIDDEN.items())
def test_everything_else_is_not(address: str, reason: str) -> None:
    assert reason in (forbidden(ip_address(address), ()) or "")


@given(st.ip_addresses())
def test_whatever_python_calls_private_is_forbidden(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert forbidden(address, ())


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_what_it_maps(address: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    assert forbidden(mapped, ()) == forbidden(address, ())
    assert forbidden(mapped, parse_networks(["127.0.0.0/8"])) == forbidden(address, parse_networks(["127.0.0.0/8"]))


@given(st.ip_addresses(), st.integers(0, 32))
@example(IPv6Address("::1"), 0)
@example(IPv6Address("::"), 0)
def test_an_allowed_network_opens_its_own_addresses(address: IPv4Address | IPv6Address, bits: int) -> None:
    """All that an IPv6 address may carry is allowed here too; the next test is about that."""
    network = ip_network(f"{address}/{bits}", strict=False)
    assert forbidden(address, (network, ip_network("0.0.0.0/0"))) is None


def test_an_allowed_tunnel_does_not_open_what_it_leads_to() -> None:
    allowed = parse_networks(["64:ff9b::/96", "2002::/16", "2001::/32", "::/96"])
    for address in ("64:ff9b::a00:1", "2002:a00:1::1", "2001:0:a00:1::1", "::10.0.0.1"):
        assert "10.0.0.0/8" in (forbidden(ip_address(address), allowed) or "")
    assert forbidden(ip_address("64:ff9b::101:101"), allowed) is None


def test_one_forbidden_address_spoils_a_name() -> None:
    assert Guard().refusal(["1.1.1.1", "2606:4700::1111"]) == ""
    for addresses in (["1.1.1.1", "10.0.0.1"], ["10.0.0.1", "1.1.1.1"], ["::ffff:10.0.0.1"]):
        refusal = Guard().refusal(addresses)
        assert "10.0.0.0/8" in refusal
        assert "ORCHEST_ALLOWED_NETWORKS" in refusal
        assert Guard(parse_networks(["10.0.0.0/8"])).refusal(addresses) == ""


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/", "")),
        ("HTTP://Example.COM/Path", Target("http", "example.com", 80, "/Path", "")),
        ("https://example.com./a/../b?c=d?e", Target("https", "example.com.", 443, "/a/../b", "c=d?e")),
        ("https://example.com:8443?x=%0a#part", Target("https", "example.com", 8443, "/", "x=%0a")),
        (
            "https://hooks_1.xn--bcher-kva.example/%2e%2e/@x:y",
            Target("https", "hooks_1.xn--bcher-kva.example", 443, "/%2e%2e/@x:y", ""),
        ),
        ("http://93.184.216.34:8080/", Target("http", "93.184.216.34", 8080, "/", "")),
        ("http://[2606:4700:0:0::1111]/", Target("http", "2606:4700::1111", 80, "/", "")),
    ],
)
def test_a_plain_url_is_read_into_its_parts(url: str, target: Target) -> None:
    assert check_url(url) == target


def test_an_origin_is_all_that_is_shown() -> None:
    assert check_url("https://example.com:443/secret?token=x").origin == "https://example.com"  # type: ignore[union-attr]
    assert check_url("http://[2606:4700::1]:8080/secret").origin == "http://[2606:4700::1]:8080"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("url", "mend"),
    [
        ("", "http://"),
        ("example.com", "http://"),
        ("ftp://example.com/", "http://"),
        ("http:/example.com/", "http://"),
        ("http:///example.com/", "no host"),
        ("http://:80/", "no host"),
        (" http://example.com/", "space"),
        ("http://exam\tple.com/", "control"),
        ("http://example.com\\@evil.example/", "backslash"),
        ("http://bücher.example/", "xn--"),
        ("http://example.com/\r\nX: y", "percent-encode"),
        ("http://user:hunter2@example.com/", "custom header"),
        ("http://%31%32%37.0.0.1/", "percent"),
        ("http://[fe80::1%25eth0]/", "percent"),
        ("http://[::1/", "no host"),
        ("http://[127.0.0.1]/", "usual spelling"),
        ("http://[::g]/", "usual spelling"),
        ("http://2130706433/", "usual spelling"),
        ("http://0x7f.1/", "usual spelling"),
        ("http://0177.0.0.1/", "usual spelling"),
        ("http://127.1/", "usual spelling"),
        ("http://8.8.8.8./", "usual spelling"),
        ("http://example.0x/", "usual spelling"),
        ("http://a..b/", "no name"),
        ("http://example.com../", "no name"),
        ("http://-a.example/", "no name"),
        (f"http://{'a' * 64}.example/", "no name"),
        (f"http://{'a.' * 130}example/", "no name"),
        ("http://exa$mple.com/", "no name"),
        ("http://example.com:/", "port"),
        ("http://example.com:0/", "port"),
        ("http://example.com:080/", "port"),
        ("http://example.com:65536/", "port"),
        ("http://example.com:+80/", "port"),
        ("http://example.com:25/", "free one"),
        ("http://example.com:22/", "free one"),
        ("http://example.com:6379/", "free one"),
        ("http://example.com:10250/", "free one"),
        ("http://example.com/" + "a" * 2048, "2048"),
    ],
)
def test_what_two_parsers_may_read_differently_is_refused_with_the_mend(url: str, mend: str) -> None:
    refusal = check_url(url)
    assert isinstance(refusal, Refusal)
    assert mend in refusal.reason
    assert "hunter2" not in refusal.reason
    assert "\n" not in refusal.reason


def test_an_address_written_out_is_judged_without_a_name_server() -> None:
    refusal = Guard().check("http://10.1.2.3/secret")
    assert isinstance(refusal, Refusal)
    assert "10.0.0.0/8" in refusal.reason
    assert "ORCHEST_ALLOWED_NETWORKS" in refusal.reason
    assert "secret" not in refusal.reason
    assert isinstance(Guard(parse_networks(["10.0.0.0/8"])).check("http://10.1.2.3/"), Target)


def test_of_the_whole_corpus_only_names_and_public_addresses_pass_the_text() -> None:
    """The addresses of the names are judged when they are known: tests/outbox/network."""
    urls = corpus.urls()
    assert len(urls) > 1000
    for url in urls:
        target = Guard().check(url)
        if isinstance(target, Target):
            assert target.host == corpus.PUBLIC_4 or target.host.removesuffix(".") in corpus.ZONE, url


@given(st.text(max_size=80).map(lambda text: "http://" + text) | st.text(max_size=80))
def test_any_text_is_either_read_or_refused(text: str) -> None:
    read = check_url(text)
    if isinstance(read, Target):
        again = check_url(f"{read.origin}{read.path}" + (f"?{read.query}" if read.query else ""))
        assert again == read


def test_networks_are_read() -> None:
    assert parse_networks(["10.0.0.0/8", "fd00::/8", "192.168.1.7"]) == (
        ip_network("10.0.0.0/8"),
        ip_network("fd00::/8"),
        ip_network("192.168.1.7/32"),
    )


@pytest.mark.parametrize("text", ["10.0.0.5/8", "10.0.0.0/33", "localhost", "", "10.0.0.0-10.0.0.9"])
def test_a_network_that_is_none_says_what_to_write(text: str) -> None:
    with pytest.raises(NetworkError, match=r"ORCHEST_ALLOWED_NETWORKS: .*10\.0\.0\.0/8"):
        parse_networks([text])
