"""What CPEs write into `Authorization`, and what is written into `WWW-Authenticate`."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.acs.access.headers import (
    HEADER_MOST,
    Basic,
    Digest,
    parse_authorization,
    render_basic_challenge,
    render_digest_challenge,
)
from agent.core.errors import ProtocolError
from tests.acs.access.examples import EXAMPLES, Example

DIGEST = 'Digest username="u", realm="r", nonce="n", uri="/", response="AbC"'
WORDS = ("username", "realm", "nonce", "uri", "response", "qop", "nc", "cnonce", "algorithm", "opaque", "x-1")


def basic(credentials: bytes) -> str:
    return "Basic " + base64.b64encode(credentials).decode()


def digest(header: str) -> Digest:
    shown = parse_authorization(header)
    assert isinstance(shown, Digest)
    return shown


@pytest.mark.parametrize("example_", EXAMPLES, ids=lambda each: each.name)
def test_the_examples_of_the_standards_are_read(example_: Example) -> None:
    shown = digest(example_.authorization)
    assert (shown.username, shown.realm, shown.uri) == (example_.username, example_.realm, example_.uri)
    assert shown.algorithm == ("SHA-256" if "SHA-256" in example_.name else "MD5")
    assert (shown.qop, shown.count) == (("auth", 1) if "qop" in example_.authorization else ("", 0))


class TestDigest:
    @pytest.mark.parametrize(
        "header",
        [
            DIGEST,
            DIGEST.replace(", ", ","),
            DIGEST.replace(", ", " , "),
            DIGEST.replace(", ", ",\r\n\t"),
            DIGEST.replace(", ", ",, "),
            DIGEST.replace("=", " = "),
            DIGEST.replace("Digest ", "  dIGEST   ") + " , ",
            DIGEST.replace("username", "UserName"),
            DIGEST.replace('"u"', "u").replace('"/"', "/"),
            DIGEST.replace('"u"', r'"\u"'),
            DIGEST + ', algorithm="md5"',
            DIGEST + ", x-vendor=",
        ],
    )
    def test_it_may_be_written_in_many_ways(self, header: str) -> None:
        shown = digest(header)
        assert (shown.username, shown.realm, shown.nonce, shown.uri, shown.response) == ("u", "r", "n", "/", "abc")
        assert (shown.algorithm, shown.qop, shown.count, shown.cnonce) == ("MD5", "", 0, "")

    def test_quotation_marks_and_commas_may_be_in_a_quoted_text(self) -> None:
        assert digest(DIGEST.replace('"u"', r'"a\"b\\c, uri=\"/x\""')).username == r'a"b\c, uri="/x"'

    def test_the_count_is_hexadecimal_and_kept_as_it_was_written(self) -> None:
        shown = digest(DIGEST + ', qop="auth", nc=0000001F, cnonce="c"')
        assert (shown.count, shown.count_text, shown.qop, shown.cnonce) == (31, "0000001F", "auth", "c")

    @pytest.mark.parametrize(
        ("header", "why"),
        [
            *((DIGEST.replace(f"{name}=", "x="), f"no {name}") for name in WORDS[:5]),
            (DIGEST + ', username="v"', "twice"),
            (DIGEST + ', USERNAME="v"', "twice"),
            (DIGEST + ", qop=auth", "nonce count"),
            (DIGEST + ", qop=auth, nc=123456789", "nonce count"),
            (DIGEST + ", qop=auth, nc=-1", "nonce count"),
            (DIGEST + ", qop=auth, nc=0x1", "nonce count"),
            (DIGEST + ", qop=auth, nc=1_0", "nonce count"),
            (DIGEST + ", qop=auth, nc=\N{ARABIC-INDIC DIGIT ONE}", "nonce count"),
            (DIGEST + ", qop=auth-int, nc=1", "qop"),
            (DIGEST + ", algorithm=MD5-sess", "algorithm"),
            (DIGEST + ", algorithm=SHA-512-256", "algorithm"),
            (DIGEST + ', realm="', "cannot be read"),
            (DIGEST + ", opaque", "cannot be read"),
            (DIGEST + ' nc="1"', "cannot be read"),
            (DIGEST + ", =1", "cannot be read"),
            ("Digest", "no username"),
        ],
    )
    def test_what_is_not_whole_is_refused(self, header: str, why: str) -> None:
        with pytest.raises(ProtocolError, match=why):
            parse_authorization(header)


class TestBasic:
    @pytest.mark.parametrize(
        ("credentials", "username", "password"),
        [
            (b"u:p", "u", "p"),
            (b"u:", "u", ""),
            (b":", "", ""),
            (b"u:a:b:", "u", "a:b:"),
            ("Aladdin:Sésame öffne dich".encode(), "Aladdin", "Sésame öffne dich"),
            ("Aladdin:Sésame öffne dich".encode("latin-1"), "Aladdin", "Sésame öffne dich"),
            ("ключ:№".encode(), "ключ", "№"),
        ],
    )
    def test_it_is_utf_8_or_else_latin_1(self, credentials: bytes, username: str, password: str) -> None:
        assert parse_authorization(basic(credentials)) == Basic(username=username, password=password)

    def test_the_example_of_the_standard_is_read(self) -> None:
        header = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # RFC 7617 §2
        assert parse_authorization(header) == Basic(username="Aladdin", password="open sesame")
        assert parse_authorization("Basic dGVzdDoxMjPCow==") == Basic(username="test", password="123£")  # §2.1

    @pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic QQ", "Basic QQ==", "Basic dTpw, Basic dTpw"])
    def test_what_is_no_name_with_a_password_is_refused(self, header: str) -> None:
        with pytest.raises(ProtocolError):
            parse_authorization(header)


@pytest.mark.parametrize("header", ["", " ", "Bearer abc", "Digestive x=1", "NTLM TlRM", "Basic\tdTpw", "\x00"])
def test_other_schemes_are_refused(header: str) -> None:
    with pytest.raises(ProtocolError, match="neither Basic nor Digest"):
        parse_authorization(header)


def test_a_header_beyond_reason_is_refused() -> None:
    with pytest.raises(ProtocolError, match="too long"):
        parse_authorization("Basic " + "A" * HEADER_MOST)


_TEXTS = st.text(st.characters(exclude_categories=()), max_size=40)
_PAIRS = st.tuples(
    st.sampled_from(WORDS), st.sampled_from(["=", " =", '="', ""]), _TEXTS, st.sampled_from(['"', "", ","])
)


@given(
    st.one_of(
        _TEXTS,
        st.builds(lambda scheme, rest: f"{scheme} {rest}", st.sampled_from(["Basic", "Digest"]), _TEXTS),
        st.builds(basic, st.binary(max_size=40)),
        st.builds(lambda pairs: "Digest " + ", ".join("".join(pair) for pair in pairs), st.lists(_PAIRS, max_size=9)),
        st.builds(lambda value: DIGEST + f', qop=auth, nc=1, cnonce="{value}"', _TEXTS),
    )
)
@example("Digest " + "a" * 4000)
@example("Digest " + "a=," * 1000)
@example('Digest a="' + "\\" * 4001)
@example("Digest " + " ," * 2000)
@example("Basic " + "\N{FULLWIDTH DIGIT ONE}" * 4)
def test_nothing_but_a_protocol_error_comes_of_garbage(header: str) -> None:
    with contextlib.suppress(ProtocolError):
        parse_authorization(header)


@given(username=st.text(max_size=30), realm=st.text(max_size=30), uri=st.text(max_size=30))
def test_whatever_is_quoted_comes_back(username: str, realm: str, uri: str) -> None:
    texts = {"username": username, "realm": realm, "uri": uri, "nonce": "n", "response": "r"}
    quoted = {name: text.replace("\\", "\\\\").replace('"', '\\"') for name, text in texts.items()}
    shown = digest("Digest " + ", ".join(f'{name}="{text}"' for name, text in quoted.items()))
    assert (shown.username, shown.realm, shown.uri) == (username, realm, uri)


def test_challenges_are_written_as_the_standards_have_them() -> None:
    challenge = render_digest_challenge('a "b" \\c', "n1", algorithm="SHA-256", stale=False)
    assert challenge == r'Digest realm="a \"b\" \\c", qop="auth", nonce="n1", algorithm=SHA-256'
    assert render_digest_challenge("r", "n", algorithm="MD5", stale=True).endswith(", algorithm=MD5, stale=true")
    assert render_basic_challenge('a "b"') == r'Basic realm="a \"b\""'
