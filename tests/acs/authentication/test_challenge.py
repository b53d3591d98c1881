"""Authorization headers of CPEs, right, odd and hostile."""

from __future__ import annotations

import base64
import contextlib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.acs.authentication.challenge import (
    HEADER_MOST,
    USERNAME_MOST,
    Basic,
    Digest,
    parse_authorization,
    render_challenges,
)
from agent.acs.authentication.policy import Algorithm, AuthenticationPolicy, Scheme
from agent.core.errors import ProtocolError

LEAST = 'username="u", realm="r", nonce="n", uri="/", response="ABC"'


def digest(text: str) -> Digest:
    shown = parse_authorization(f"Digest {text}")
    assert isinstance(shown, Digest)
    return shown


def basic(data: bytes) -> str:
    return "Basic " + base64.b64encode(data).decode()


def test_a_digest_of_rfc_2617_is_taken_apart() -> None:
    shown = parse_authorization(
        'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", '
        'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )

    assert shown == Digest(
        username="Mufasa",
        realm="testrealm@host.com",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        uri="/dir/index.html",
        response="6629fae49393a05397450978507c4ef1",
        algorithm=Algorithm.MD5,
        qop="auth",
        cnonce="0a4f113b",
        count=1,
        count_text="00000001",
    )


def test_without_qop_it_is_a_digest_of_rfc_2069() -> None:
    shown = digest(f'{LEAST}, cnonce="ignored", nc=00000009')

    assert (shown.qop, shown.count) == ("", 0)


@pytest.mark.parametrize(
    "header",
    [
        f"digest {LEAST}",
        f"DIGEST\t  {LEAST}",
        f"Digest ,, {LEAST} , ",
        'Digest username = "u" ,realm="r",nonce="n"\t,uri="/",   response="ABC"',
        'Digest username="u" realm="r" nonce="n" uri="/" response="ABC"',
        "Digest username=u, realm=r, nonce=n, uri=/, response=abc",
        'Digest USERNAME="u", Realm="r", nonce="n", uri="/", response="abc", algorithm="md5", foo="bar", opaque=""',
        r'Digest username="\u", realm="\r", nonce="n", uri="/", response="abc", userhash=false',
    ],
)
def test_spacing_quotes_and_case_do_not_matter(header: str) -> None:
    shown = parse_authorization(header)

    assert isinstance(shown, Digest)
    assert (shown.username, shown.realm, shown.nonce, shown.uri, shown.response) == ("u", "r", "n", "/", "abc")


def test_commas_and_escaped_quotes_are_part_of_a_quoted_value() -> None:
    shown = digest(r'username="a, b=\"c\\", realm="r", nonce="n", uri="/?a,b", response="x", qop="auth", nc="1"')

    assert (shown.username, shown.uri, shown.qop, shown.count) == ('a, b="c\\', "/?a,b", "auth", 1)


@pytest.mark.parametrize("algorithm", ["SHA-256", "sha-256", '"Sha-256"'])
def test_sha_256_is_known_in_any_case(algorithm: str) -> None:
    assert digest(f"{LEAST}, algorithm={algorithm}").algorithm is Algorithm.SHA_256


@pytest.mark.parametrize(
    ("data", "password"),
    [
        (b"u:secret", "secret"),
        (b"u:", ""),
        (b"u:a:b", "a:b"),
        ("u:pä€".encode(), "pä€"),
        ("u:pä".encode("latin-1"), "pä"),
    ],
)
def test_basic_is_read_as_utf_8_or_else_latin_1(data: bytes, password: str) -> None:
    assert parse_authorization(basic(data)) == Basic(username="u", password=password)


def test_basic_without_its_padding_is_read() -> None:
    assert parse_authorization("basic   dTpw") == Basic(username="u", password="p")
    assert parse_authorization("Basic dTpwYQ") == Basic(username="u", password="pa")


def test_what_wsgi_gives_as_latin_1_is_read_as_the_utf_8_that_it_is() -> None:
    name = "Jürgen"
    as_wsgi_has_it = f'Digest username="{name}", realm="r", nonce="n", uri="/", response="x"'.encode().decode("latin-1")

    shown = parse_authorization(as_wsgi_has_it)

    assert shown.username == name


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Digest",
        "Basic",
        "Bearer abc",
        "Negotiate YII=",
        "Digest garbage",
        f"Digest {LEAST}, =",
        f'Digest {LEAST}, x="',
        f'Digest {LEAST}, x="\\"',
        f'Digest {LEAST}, response="other"',
        f'Digest {LEAST}, NONCE="n"',
        f"Digest {LEAST}, algorithm=SHA-512-256",
        f"Digest {LEAST}, algorithm=MD5-sess",
        f"Digest {LEAST}, qop=auth-int, nc=1",
        f"Digest {LEAST}, qop=auth",
        f"Digest {LEAST}, qop=auth, nc=-1",
        f"Digest {LEAST}, qop=auth, nc=000000001",
        f"Digest {LEAST}, qop=auth, nc=1_0",
        f"Digest {LEAST}, qop=auth, nc=\u0661",
        f"Digest {LEAST}, userhash=true",
        'Digest realm="r", nonce="n", uri="/", response="x"',
        'Digest username="u\x00", realm="r", nonce="n", uri="/", response="x"',
        'Digest username="' + "u" * (USERNAME_MOST + 1) + '", realm="r", nonce="n", uri="/", response="x"',
        'Digest username="\ud800", realm="r", nonce="n", uri="/", response="x"',
        basic(b"no separator"),
        basic(b"nul\x00:x"),
        "Basic a",
        "Basic dTpw!",
        "Basic dT pw",
        "Basic dTpw====x",
        "Digest " + "x" * HEADER_MOST,
    ],
)
def test_what_is_not_whole_or_not_clear_is_refused(header: str) -> None:
    with pytest.raises(ProtocolError):
        parse_authorization(header)


_PIECES = st.sampled_from(
    [
        "Digest ",
        "Basic ",
        "username",
        "nonce",
        "=",
        '"',
        "\\",
        ",",
        " ",
        "\t",
        "\x00",
        "auth",
        "qop",
        "nc",
        "ä",
        "€",
        "1",
    ]
)


@given(st.text(max_size=300) | st.lists(_PIECES, max_size=60).map("".join))
@example("Digest " + '"' * 300)
def test_a_parser_of_headers_only_ever_raises_its_own_error(text: str) -> None:
    for header in (text, f"Digest {text}", f"Basic {text}"):
        with contextlib.suppress(ProtocolError):
            parse_authorization(header)


@given(st.binary(max_size=200))
def test_no_bytes_of_basic_raise_anything_else(data: bytes) -> None:
    try:
        shown = parse_authorization(basic(data))
    except ProtocolError:
        return
    assert isinstance(shown, Basic)


_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@given(username=_VALUES, realm=_VALUES, uri=_VALUES)
def test_whatever_is_quoted_comes_back(username: str, realm: str, uri: str) -> None:
    def quote(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    shown = digest(f'username={quote(username)},realm={quote(realm)}, uri={quote(uri)} nonce=n, response="x"')

    assert (shown.username, shown.realm, shown.uri) == (username, realm, uri)


@pytest.mark.parametrize(
    "garbage",
    [
        "\\" * 4000,
        '"' * 4000,
        '="' * 2000,
        "a=" * 2000,
        " " * 4000,
        "," * 4000,
        'a="\\' * 1000,
        "a" * 4000,
        "a " * 2000,
    ],
)
def test_garbage_costs_no_more_than_its_length(garbage: str) -> None:
    start = time.perf_counter()
    for _ in range(10):
        with pytest.raises(ProtocolError):
            parse_authorization(f"Digest {garbage}")

    assert time.perf_counter() - start < 1.0


def test_a_password_is_not_shown_by_repr() -> None:
    assert "secret" not in repr(Basic(username="u", password="secret"))


def test_the_challenge_of_digest_is_one_that_a_cpe_of_old_understands() -> None:
    assert render_challenges(AuthenticationPolicy(realm="lastmile"), "NONCE", stale=False) == (
        'Digest realm="lastmile", qop="auth", nonce="NONCE", algorithm=MD5',
    )


def test_all_that_is_allowed_is_offered_and_md5_comes_first() -> None:
    policy = AuthenticationPolicy(
        realm='a "b"', schemes=frozenset({Scheme.BASIC, Scheme.DIGEST}), sha256=True, opaque="o"
    )

    assert render_challenges(policy, "N", stale=True) == (
        r'Digest realm="a \"b\"", qop="auth", nonce="N", algorithm=MD5, opaque="o", stale=true',
        r'Digest realm="a \"b\"", qop="auth", nonce="N", algorithm=SHA-256, opaque="o", stale=true',
        r'Basic realm="a \"b\"", charset="UTF-8"',
    )


def test_nothing_is_offered_where_nobody_needs_a_name() -> None:
    policy = AuthenticationPolicy(realm="r", schemes=frozenset({Scheme.NONE}))

    assert render_challenges(policy, "N", stale=False) == ()
