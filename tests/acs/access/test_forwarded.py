"""Whose address it is, behind proxies that may be believed and headers that may not."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.acs.access.forwarded import HEADER_MOST, parse_address, peer_of

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))
PROXY, INNER = "10.0.0.1", "10.0.0.2"
CPE, VICTIM = "198.51.100.7", "192.0.2.66"


def x(header: str, remote: str = PROXY) -> str | None:
    return peer_of(remote, "", header, TRUSTED)


def forwarded(header: str, remote: str = PROXY) -> str | None:
    return peer_of(remote, header, "", TRUSTED)


class TestWalk:
    def test_without_a_proxy_the_sender_is_who_connects(self) -> None:
        assert peer_of(CPE, "", "", TRUSTED) == CPE
        assert peer_of(PROXY, "", "", TRUSTED) == PROXY

    def test_an_untrusted_sender_can_write_what_it_likes(self) -> None:
        assert peer_of(CPE, f"for={VICTIM}", VICTIM, TRUSTED) == CPE
        assert peer_of(PROXY, f"for={VICTIM}", VICTIM, ()) == PROXY

    def test_it_ends_at_the_first_that_is_no_proxy_of_ours(self) -> None:
        assert x(CPE) == CPE
        assert x(f"{VICTIM}, {CPE}") == CPE
        assert x(f"{VICTIM},{CPE} , {INNER}") == CPE
        assert forwarded(f"for={VICTIM}, for={CPE};proto=https;by={INNER}, for={INNER}") == CPE

    def test_a_request_of_a_proxy_itself_is_the_farthest_proxys(self) -> None:
        assert x(f"{INNER}, {PROXY}") == INNER

    @pytest.mark.parametrize("text", ["unknown", "_hidden", "", "1.2.3", "evil", '"', "[", "1.2.3.4.5"])
    def test_behind_an_obfuscated_hop_nobody_can_see(self, text: str) -> None:
        assert forwarded(f'for={VICTIM}, for="{text}"' if '"' not in text else f"for={VICTIM}, for={text}") == PROXY
        if text:
            assert x(f"{VICTIM}, {text}, {INNER}") == INNER

    @pytest.mark.parametrize(
        ("text", "address"),
        [
            (CPE, CPE),
            (f"{CPE}:49152", CPE),
            ('"[2001:db8::7]"', "2001:db8::7"),
            ('"[2001:DB8:0::7]:4711"', "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("2001:db8::7", "2001:db8::7"),
            (f'"{CPE}:80"', CPE),
            (f"::ffff:{CPE}", CPE),
            (f'"[::ffff:{CPE}]:80"', CPE),
        ],
    )
    def test_addresses_are_written_in_many_ways(self, text: str, address: str) -> None:
        assert x(text) == address
        assert forwarded(f"For={text} ; Proto=http") == address

    def test_a_mapped_address_is_the_proxys_own(self) -> None:
        assert x(CPE, remote="::ffff:10.0.0.1") == CPE
        assert x(f"{CPE}, ::ffff:10.0.0.2") == CPE
        assert x(CPE, remote="2001:db8:ffff::1") == CPE

    @pytest.mark.parametrize("remote", ["", "unix:", "localhost", "/run/acs.sock"])
    def test_who_has_no_address_has_none(self, remote: str) -> None:
        assert peer_of(remote, f"for={VICTIM}", VICTIM, TRUSTED) is None


class TestSpoofing:
    """The proxy of these tests adds the address of the CPE, as it should; the CPE has written the rest."""

    def test_the_header_that_the_proxy_does_not_write_is_not_believed(self) -> None:
        assert peer_of(PROXY, f"for={VICTIM}", CPE, TRUSTED) == PROXY
        assert peer_of(PROXY, f"for={CPE}", VICTIM, TRUSTED) == PROXY

    def test_two_headers_that_agree_are_believed(self) -> None:
        assert peer_of(PROXY, f"for={VICTIM}, for={CPE}", f"{INNER}, {CPE}", TRUSTED) == CPE

    @pytest.mark.parametrize(
        "header",
        [
            pytest.param(f'for={CPE};host="evil,for={VICTIM}"', id="a Host with a comma"),
            pytest.param(f'for={CPE};host="evil,for={VICTIM};proto="', id="a Host with a comma and more"),
            pytest.param(f'for={CPE};host=",for=\\"{VICTIM}\\""', id="a Host with quotation marks"),
        ],
    )
    def test_what_is_inside_a_quoted_text_is_no_hop(self, header: str) -> None:
        assert forwarded(header) == CPE

    @pytest.mark.parametrize(
        "prefix",
        ['for="', 'for="x\\', f'for={VICTIM};a="', "for=a b", f"for={VICTIM};=", "\x00", f'for="{VICTIM}"x'],
    )
    def test_a_malformed_beginning_cannot_move_the_end(self, prefix: str) -> None:
        for added in (f"for={CPE}", f'for="{CPE}:80"', f'for={CPE};host="h,for={VICTIM};h=";by="[::1]"'):
            assert forwarded(f"{prefix}, {added}") == PROXY

    def test_a_header_beyond_reason_is_cut_at_the_end_of_the_sender(self) -> None:
        many = f"{VICTIM}, " * 500
        assert x(many + CPE) == CPE
        assert forwarded(f"for={VICTIM}, " * 500 + f"for={CPE}") == PROXY
        assert len(many) > HEADER_MOST


_WORDS = st.sampled_from(
    ["for=", "by=", '"', "\\", ",", ";", "=", " ", CPE, VICTIM, INNER, "[::1]", "unknown", "\n", "é"]
)
_HEADERS = st.lists(_WORDS, max_size=12).map("".join)


@given(_HEADERS, _HEADERS)
@example("for=" + " " * 2000 + "x", "")
@example('for="' + "\\" * 2001, "")
@example("a=" * 900, "," * 4000)
def test_whatever_is_written_an_address_comes_out(header: str, x_header: str) -> None:
    found = peer_of(PROXY, header, x_header, TRUSTED)
    assert found is not None
    assert str(ip_address(found)) == found
    assert peer_of(CPE, header, x_header, TRUSTED) == CPE


@given(_HEADERS)
def test_the_sender_cannot_be_anybody_but_itself_or_the_proxy(header: str) -> None:
    own = str(ip_address(CPE))
    assert x(f"{header}, {CPE}") == own
    assert forwarded(f"{header}, for={CPE}") in (own, PROXY)
    assert peer_of(PROXY, header, f"{header}, {CPE}", TRUSTED) in (own, PROXY)


@given(st.text(max_size=40))
def test_a_text_is_an_address_or_none(text: str) -> None:
    found = parse_address(text)
    assert found is None or parse_address(str(found)) == found
