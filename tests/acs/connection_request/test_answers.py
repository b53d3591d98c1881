"""What we answer to a CPE's challenges."""

from __future__ import annotations

import hashlib
import http.client

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.acs.access.credentials import make_credential, proves
from agent.acs.access.headers import Digest, parse_authorization
from agent.acs.connection_request.answer import Login, answer_challenge
from tests.acs.access.examples import EXAMPLES, Example

LOGIN = Login(username="acs", password="geheim")
BASIC = 'Basic realm="cpe"'
MD5 = 'Digest realm="cpe", nonce="n5", qop="auth", algorithm=MD5'
SHA = 'Digest realm="cpe", nonce="n256", qop="auth", algorithm=SHA-256'
SHA_512 = 'Digest realm="cpe", nonce="n512", qop="auth", algorithm=SHA-512-256'
OLD = 'Digest realm="cpe", nonce="old"'


def answer(*headers: str, login: Login = LOGIN) -> str | None:
    return answer_challenge(list(headers), login, method="GET", uri="/cr?x", cnonce="cn")


def digest(*headers: str) -> Digest:
    header = answer(*headers)
    assert header is not None
    shown = parse_authorization(header)
    assert isinstance(shown, Digest)
    return shown


def fields_of(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    assert scheme == "Digest"
    pairs = (pair.partition("=") for pair in rest.split(", "))
    return {name: value.strip('"') for name, _, value in pairs}


@pytest.mark.parametrize("example_", EXAMPLES, ids=lambda each: each.name)
def test_the_examples_of_the_standards_are_answered(example_: Example) -> None:
    login = Login(username=example_.username, password=example_.password)
    header = answer_challenge([example_.challenge], login, method="GET", uri=example_.uri, cnonce=example_.cnonce)
    assert header is not None
    assert fields_of(header) == fields_of(example_.authorization)


@pytest.mark.parametrize("challenge", [MD5, SHA, OLD, MD5.replace(", algorithm=MD5", "")])
def test_the_answer_proves_the_password(challenge: str) -> None:
    shown = digest(challenge)
    assert proves(shown, make_credential("acs", "cpe", "geheim"), "GET")
    assert not proves(shown, make_credential("acs", "cpe", "falsch"), "GET")
    assert shown.uri == "/cr?x"


@pytest.mark.parametrize("qop", ['qop="auth", ', ""])
def test_a_session_key_is_made_as_rfc_7616_has_it(qop: str) -> None:
    header = answer(f'Digest realm="cpe", nonce="n", {qop}algorithm=MD5-sess')
    assert header is not None
    fields = fields_of(header)

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    ha1 = md5(f"{md5('acs:cpe:geheim')}:n:cn")
    middle = "n:00000001:cn:auth" if qop else "n"
    assert fields["response"] == md5(f"{ha1}:{middle}:{md5('GET:/cr?x')}")
    assert fields["algorithm"] == "MD5-sess"
    assert fields["cnonce"] == "cn", "without qop too: the CPE needs it for the key"
    assert ("qop" in fields, "nc" in fields) == (bool(qop), bool(qop))


def test_without_qop_it_is_the_way_of_rfc_2069() -> None:
    assert set(fields_of(answer(OLD) or "")) == {"username", "realm", "nonce", "uri", "response"}


def test_what_was_not_asked_is_not_said_and_what_was_is_given_back() -> None:
    fields = fields_of(answer('Digest realm="cpe", nonce="n", opaque="o=1", stale=TRUE, domain="/"') or "")
    assert fields["opaque"] == "o=1"
    assert not {"algorithm", "stale", "domain", "qop"} & set(fields)


class TestSeveralChallenges:
    @pytest.mark.parametrize(
        "headers",
        [
            (BASIC, MD5),
            (MD5, BASIC),
            (f"{BASIC}, {MD5}",),
            (f"{MD5}, {BASIC}",),
            (f"{SHA_512}, {MD5}",),
            (f"{MD5}, {SHA_512}",),
            (SHA_512, MD5),
            (f"Negotiate, {MD5}",),
            (f"Negotiate YII=, {MD5}",),
            (f"NTLM, {BASIC} , ,{MD5}",),
            ("garbage", "", MD5, "Digest"),
            (f'Digest realm="cpe", qop="auth-int", nonce="x", {MD5}',),
        ],
    )
    def test_the_one_that_we_know_is_answered(self, headers: tuple[str, ...]) -> None:
        assert (digest(*headers).nonce, digest(*headers).algorithm) == ("n5", "MD5")

    @pytest.mark.parametrize("headers", [(MD5, SHA), (SHA, MD5), (f"{MD5}, {SHA}",), (f"{SHA}, {BASIC}, {MD5}",)])
    def test_the_stronger_one_is_preferred(self, headers: tuple[str, ...]) -> None:
        assert (digest(*headers).nonce, digest(*headers).algorithm) == ("n256", "SHA-256")

    def test_of_two_alike_the_first_is_taken(self) -> None:
        assert digest(OLD, MD5).nonce == "old"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("",),
        (BASIC,),
        ("Bearer", "NTLM", "Negotiate YII="),
        (SHA_512,),
        ('Digest realm="cpe", qop="auth"',),
        ('Digest realm="cpe", nonce="n", qop="auth-int"',),
        ('Digest realm="cpe", nonce="n", algorithm=token',),
        (f"X{MD5}",),
        ('Digest realm="\u20ac", nonce="n"',),
        ('Digest realm="a\x01b", nonce="n"',),
        ('realm="cpe", nonce="n"',),
    ],
)
def test_what_would_give_the_password_away_or_cannot_be_met_is_not_answered(headers: tuple[str, ...]) -> None:
    assert answer(*headers) is None


@pytest.mark.parametrize("username", ["acs\r\nX-Evil: 1", "acs\x00", "\x7f"])
def test_a_login_cannot_begin_a_header_of_its_own(username: str) -> None:
    assert answer(MD5, login=Login(username=username, password="geheim")) is None


def test_a_password_is_not_shown() -> None:
    assert "geheim" not in repr(LOGIN)


@pytest.mark.parametrize(
    ("challenge", "realm"),
    [
        ('Digest realm="cpe" nonce="n"', "cpe"),
        ('Digest realm=cpe,nonce="n"', "cpe"),
        ('DIGEST Realm = "cpe" ,\r\n\tNONCE="n"', "cpe"),
        ('Digest nonce="n"', ""),
        ('Digest realm="", nonce="n"', ""),
        ('Digest realm="a, Basic realm=b", nonce="n"', "a, Basic realm=b"),
        (r'Digest realm="a \"b\" \\c", nonce="n"', r'a "b" \c'),
        ('Digest qop=auth, realm="cpe", nonce="n"', "cpe"),
        ('Digest qop="AUTH-INT, AUTH" , realm="cpe", nonce="n"', "cpe"),
        ('Digest realm="cpe", nonce="n", algorithm="md5"', "cpe"),
    ],
)
def test_sloppy_challenges_are_understood(challenge: str, realm: str) -> None:
    shown = digest(challenge)
    assert (shown.realm, shown.nonce) == (realm, "n")
    assert proves(shown, make_credential("acs", realm, "geheim"), "GET")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "gb18030"])
def test_a_realm_comes_back_byte_by_byte(encoding: str) -> None:
    realm = "Gerät" if encoding != "gb18030" else "家庭网关"
    wire = f'Digest realm="{realm}", nonce="n"'.encode(encoding)
    header = answer(wire.decode("latin-1"), login=Login(username="Jürgen", password="ключ"))
    assert header is not None
    sent = header.encode("latin-1")
    assert realm.encode(encoding) in sent
    ha1 = hashlib.md5("Jürgen:".encode() + realm.encode(encoding) + ":ключ".encode()).hexdigest()
    ha2 = hashlib.md5(b"GET:/cr?x").hexdigest()
    assert hashlib.md5(f"{ha1}:n:{ha2}".encode()).hexdigest().encode() in sent


@given(
    st.lists(
        st.one_of(
            st.text(max_size=60),
            st.text(alphabet=st.sampled_from('Dd="\\,; \r\n\tanéx'), max_size=60).map(lambda rest: f'{OLD}, a="{rest}'),
            st.lists(st.sampled_from([BASIC, MD5, SHA, OLD, ",", '"', "x=", "realm="]), max_size=6).map(", ".join),
        ),
        max_size=4,
    )
)
@example(["Digest " + "a" * 4000])
@example(['Digest a="' + "\\" * 4001])
@example(['Digest realm="a\r\nX-Evil: 1", nonce="n"'])
@example(['Digest realm="a\r\n b", nonce="n"'])
@example([OLD + ', opaque="\x00"'])
def test_garbage_is_answered_by_a_line_or_not_at_all(headers: list[str]) -> None:
    header = answer(*headers)
    if header is not None:
        assert isinstance(parse_authorization(header.replace("MD5-sess", "MD5")), Digest)
        assert "\r" not in header
        assert "\n" not in header
        connection = http.client.HTTPConnection("192.0.2.7")
        connection.putrequest("GET", "/")
        connection.putheader("Authorization", header)
