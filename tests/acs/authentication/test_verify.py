"""The two steps by which a CPE is let in."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.acs.authentication.challenge import Digest, parse_authorization
from agent.acs.authentication.credentials import Credential, check_basic, check_digest, make_credential
from agent.acs.authentication.nonces import NonceUse, check_nonce, make_nonce
from agent.acs.authentication.policy import Algorithm, AuthenticationPolicy, Scheme
from agent.acs.authentication.verify import (
    REPLAYED,
    Accepted,
    Ask,
    Claim,
    Reason,
    Refused,
    judge,
    read_claim,
    render_refusal,
)
from tests.acs.authentication.proofs import KEY, NONCE, NOW, PASSWORD, POLICY, USERNAME, Proof

CREDENTIAL = make_credential(USERNAME, "lastmile", PASSWORD)
BOTH = replace(POLICY, schemes=frozenset({Scheme.BASIC, Scheme.DIGEST}), sha256=True)


def read(
    header: str | None, policy: AuthenticationPolicy = POLICY, *, later_seconds: int = 0
) -> Claim | Accepted | Refused:
    return read_claim(header, policy=policy, key=KEY, now_microseconds=NOW + later_seconds * 1_000_000)


def verify(
    header: str | None,
    policy: AuthenticationPolicy = POLICY,
    *,
    credential: Credential | None = CREDENTIAL,
    method: str = "POST",
    uri: str = "/acs",
) -> Accepted | Refused:
    claim = read(header, policy)
    return judge(claim, credential, method=method, uri=uri, policy=policy) if isinstance(claim, Claim) else claim


def refusal(verdict: Claim | Accepted | Refused) -> tuple[Reason, Ask]:
    assert isinstance(verdict, Refused)
    return verdict.reason, verdict.ask


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


# The examples of the standards


@pytest.mark.parametrize(
    ("header", "realm", "password"),
    [
        pytest.param(
            'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
            'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", '
            'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"',
            "testrealm@host.com",
            "Circle Of Life",
            id="RFC 2617 §3.5",
        ),
        pytest.param(
            'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5, '
            'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
            'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
            'response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
            "http-auth@example.org",
            "Circle of Life",
            id="RFC 7616 §3.9.1, MD5",
        ),
        pytest.param(
            'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=SHA-256, '
            'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
            'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
            'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", '
            'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
            "http-auth@example.org",
            "Circle of Life",
            id="RFC 7616 §3.9.1, SHA-256",
        ),
        pytest.param(
            'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
            'uri="/dir/index.html", response="1949323746fe6a43ef61f9606e7febea", '
            'opaque="5ccc069c403ebaf9f0171e9517f40e41"',
            "testrealm@host.com",
            "CircleOfLife",
            id="RFC 2069 §2.4, as its errata have it",
        ),
    ],
)
def test_the_examples_of_the_standards(header: str, realm: str, password: str) -> None:
    shown = parse_authorization(header)
    assert isinstance(shown, Digest)

    assert check_digest(make_credential("Mufasa", realm, password), shown, "GET")
    assert not check_digest(make_credential("Mufasa", realm, password), shown, "POST")
    assert not check_digest(make_credential("Mufasa", realm, f"{password}!"), shown, "GET")


# Let in


@pytest.mark.parametrize("algorithm", ["MD5", "md5", "SHA-256"])
def test_a_right_digest_is_let_in_and_its_nonce_is_to_be_recorded(algorithm: str) -> None:
    verdict = verify(Proof(algorithm=algorithm, count="0000000a").header, BOTH)

    assert verdict == Accepted(username=USERNAME, nonce_use=NonceUse(NONCE, 10, NOW))


def test_the_way_of_rfc_2069_is_good_for_one_use() -> None:
    assert verify(Proof(qop="").header) == Accepted(username=USERNAME, nonce_use=NonceUse(NONCE, 0, NOW))


def test_basic_is_let_in_where_it_is_allowed() -> None:
    assert verify(basic(USERNAME, PASSWORD), BOTH) == Accepted(username=USERNAME)
    assert refusal(verify(basic(USERNAME, PASSWORD))) == (Reason.SCHEME, Ask.FRESH)
    assert refusal(verify(basic(USERNAME, "wrong"), BOTH)) == (Reason.WRONG_PASSWORD, Ask.FRESH)


@pytest.mark.parametrize("header", [None, "", "Bearer x", basic("u", "p"), Proof(password="wrong").header])
def test_where_nobody_needs_a_name_nothing_shown_matters(header: str | None) -> None:
    assert verify(header, replace(POLICY, schemes=frozenset({Scheme.NONE}))) == Accepted(username=None)


def test_where_names_are_optional_a_wrong_one_is_refused_all_the_same() -> None:
    policy = replace(POLICY, schemes=frozenset({Scheme.NONE, Scheme.DIGEST}))

    assert verify(None, policy) == Accepted(username=None)
    assert refusal(verify(Proof(password="wrong").header, policy)) == (Reason.WRONG_PASSWORD, Ask.FRESH)


@pytest.mark.parametrize(
    "uri", ["/acs", "/acs/", "http://acs.example.org:7547/acs", "HTTP://[2001:db8::1]/acs?", "/%61cs", "acs"]
)
def test_the_uri_may_be_spelled_as_cpes_and_proxies_spell_it(uri: str) -> None:
    assert isinstance(verify(Proof(uri=uri).header), Accepted)


def test_the_uri_may_leave_the_query_out_but_not_tell_another() -> None:
    assert isinstance(verify(Proof(uri="/acs").header, uri="/acs?a=b"), Accepted)
    assert refusal(verify(Proof(uri="/acs?a=c").header, uri="/acs?a=b")) == (Reason.RESOURCE, Ask.FRESH)


@pytest.mark.parametrize(("shown", "requested"), [("/tr069/acs", "/acs"), ("/acs", "/"), ("/acs", "/inside/acs/")])
def test_a_proxy_may_have_changed_the_start_of_the_path(shown: str, requested: str) -> None:
    header = Proof(uri=shown).header

    assert isinstance(verify(header, replace(POLICY, behind_proxy=True), uri=requested), Accepted)
    assert refusal(verify(header, uri=requested)) == (Reason.RESOURCE, Ask.FRESH)


def test_half_a_segment_is_not_the_end_of_a_path() -> None:
    policy = replace(POLICY, behind_proxy=True)

    assert refusal(verify(Proof(uri="/xacs").header, policy)) == (Reason.RESOURCE, Ask.FRESH)


# Not let in


@pytest.mark.parametrize(
    ("header", "reason", "ask"),
    [
        (None, Reason.NOTHING_SHOWN, Ask.FRESH),
        ("", Reason.NOTHING_SHOWN, Ask.FRESH),
        ("Digest garbage", Reason.MALFORMED, Ask.FRESH),
        ("Digest " + "x" * 5000, Reason.TOO_LONG, Ask.NONE),
        (Proof(password="wrong").header, Reason.WRONG_PASSWORD, Ask.FRESH),
        (Proof(method="GET").header, Reason.WRONG_PASSWORD, Ask.FRESH),
        (Proof(uri="/files/secret").header, Reason.RESOURCE, Ask.FRESH),
        (Proof(realm="other").header, Reason.REALM, Ask.FRESH),
        (Proof(algorithm="SHA-256").header, Reason.ALGORITHM, Ask.FRESH),
        (Proof(nonce="x" * 40).header, Reason.BAD_NONCE, Ask.STALE),
        (Proof(nonce="").header, Reason.BAD_NONCE, Ask.STALE),
        (Proof(nonce=make_nonce(b"the key before", NOW, b"1234567")).header, Reason.BAD_NONCE, Ask.STALE),
        (Proof(nonce=make_nonce(KEY, NOW - 301_000_000, b"1234567")).header, Reason.STALE_NONCE, Ask.STALE),
        (Proof().header.replace("nc=00000001", "nc=00000002"), Reason.WRONG_PASSWORD, Ask.FRESH),
        (Proof().header.replace(Proof().response, "ä" * 32), Reason.WRONG_PASSWORD, Ask.FRESH),
        (Proof().header.replace(Proof().response, ""), Reason.WRONG_PASSWORD, Ask.FRESH),
    ],
)
def test_refusals_tell_why_and_how_to_come_again(header: str | None, reason: Reason, ask: Ask) -> None:
    assert refusal(verify(header)) == (reason, ask)


def test_a_user_that_is_not_known_is_refused_whatever_is_proven() -> None:
    nothing = Proof(username="", realm="lastmile", password="")

    for header in (Proof().header, nothing.header, basic("", "")):
        assert refusal(verify(header, BOTH, credential=None)) == (Reason.UNKNOWN_USER, Ask.FRESH)


def test_a_password_of_another_realm_is_told_apart_for_the_log() -> None:
    old = make_credential(USERNAME, "before", PASSWORD)

    assert refusal(verify(Proof().header, credential=old)) == (Reason.REALM, Ask.FRESH)
    assert verify(basic(USERNAME, PASSWORD), BOTH, credential=old) == Accepted(username=USERNAME)


def test_without_any_scheme_there_is_no_way_in() -> None:
    policy = replace(POLICY, schemes=frozenset())

    for header in (None, Proof().header, basic("u", "p")):
        assert refusal(verify(header, policy)) == (Reason.SCHEME, Ask.NONE)


@given(st.text(max_size=200))
def test_no_header_and_no_lookup_raise_anything(text: str) -> None:
    for header in (text, f"Digest {text}", f"Basic {text}", f"{Proof().header}, {text}"):
        verify(header, BOTH)


@given(password=st.text(max_size=20), other=st.text(max_size=20))
def test_only_the_password_itself_is_right(password: str, other: str) -> None:
    if any(0xD800 <= ord(char) < 0xE000 for char in password + other):
        return
    credential = make_credential("u", "r", password)

    assert check_basic(credential, password)
    assert check_basic(credential, other) == (password == other)
    proof = parse_authorization(Proof(username="u", realm="r", password=other).header)
    assert isinstance(proof, Digest)
    assert check_digest(credential, proof, "POST") == (password == other)


def test_what_is_kept_is_no_password_and_is_not_shown() -> None:
    credential = make_credential("u", "r", "secret")

    assert credential.ha1_md5 == hashlib.md5(b"u:r:secret").hexdigest()
    assert credential.ha1_sha256 == hashlib.sha256(b"u:r:secret").hexdigest()
    assert credential.ha1_md5 not in repr(credential)
    assert credential.ha1_sha256 not in repr(credential)


# What is sent with a refusal


def challenge_of(refused: Refused, policy: AuthenticationPolicy = POLICY) -> tuple[str, ...]:
    return render_refusal(refused, policy=policy, key=KEY, now_microseconds=NOW, random=b"7654321")


def test_a_refusal_has_a_nonce_that_is_good() -> None:
    (header,) = challenge_of(Refused(Reason.NOTHING_SHOWN, Ask.FRESH))
    nonce = header.partition('nonce="')[2].partition('"')[0]

    assert check_nonce(nonce, KEY, now_microseconds=NOW, lifetime_seconds=300) == NOW
    assert "stale" not in header
    assert isinstance(verify(Proof(nonce=nonce).header), Accepted)


def test_a_used_nonce_is_answered_with_another_one() -> None:
    (header,) = challenge_of(REPLAYED)

    assert header.endswith("stale=true")
    assert NONCE not in header


def test_some_refusals_invite_nobody() -> None:
    assert challenge_of(Refused(Reason.TOO_LONG, Ask.NONE)) == ()


def test_each_algorithm_that_is_offered_is_taken() -> None:
    for algorithm in Algorithm:
        assert isinstance(verify(Proof(algorithm=algorithm.value).header, BOTH), Accepted)
