"""Proofs of passwords."""

from __future__ import annotations

import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.acs.access.credentials import Credential, make_credential, proves
from agent.acs.access.headers import Basic, Digest, parse_authorization
from agent.acs.connection_request.answer import Login, answer_challenge
from tests.acs.access.examples import EXAMPLES, Example

CREDENTIAL = make_credential("cpe", "lastmile", "geheim")


def shown(username: str = "cpe", password: str = "geheim", *, challenge: str = "", method: str = "POST") -> Digest:
    """What a CPE sends for a challenge."""
    text = challenge or 'Digest realm="lastmile", qop="auth", nonce="n", algorithm=MD5'
    login = Login(username=username, password=password)
    header = answer_challenge([text], login, method=method, uri="/cwmp", cnonce="c")
    assert header is not None
    parsed = parse_authorization(header)
    assert isinstance(parsed, Digest)
    return parsed


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.name)
def test_the_examples_of_the_standards_prove_their_password(example: Example) -> None:
    credential = make_credential(example.username, example.realm, example.password)
    header = parse_authorization(example.authorization)
    assert proves(header, credential, example.method)
    assert not proves(header, make_credential(example.username, example.realm, "Hakuna Matata"), example.method)
    assert not proves(header, credential, "POST")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", ['qop="auth", ', ""])
def test_what_a_cpe_answers_is_believed(algorithm: str, qop: str) -> None:
    challenge = f'Digest realm="lastmile", {qop}nonce="n", algorithm={algorithm}'
    assert proves(shown(challenge=challenge), CREDENTIAL, "POST")
    assert not proves(shown(password="falsch", challenge=challenge), CREDENTIAL, "POST")
    assert not proves(shown(username="other", challenge=challenge), CREDENTIAL, "POST")


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "m"},
        {"uri": "/files/1"},
        {"cnonce": "d"},
        {"count_text": "00000002"},
        {"realm": "elsewhere"},
        {"qop": ""},
        {"algorithm": "SHA-256"},
        {"response": ""},
        {"response": "é" * 32},
        {"response": "\ud800" * 32},
    ],
)
def test_no_part_of_a_proof_can_be_changed(change: dict[str, str]) -> None:
    assert proves(shown(), CREDENTIAL, "POST")
    assert not proves(replace(shown(), **change), CREDENTIAL, "POST")  # type: ignore[arg-type]


@given(st.text(st.characters(exclude_characters=":", exclude_categories=["Cs", "Cc"]), min_size=1), st.text())
def test_basic_proves_the_same_password(username: str, password: str) -> None:
    credential = make_credential(username, "lastmile", password)
    assert proves(Basic(username=username, password=password), credential, "POST")
    assert not proves(Basic(username=username, password=password + "x"), credential, "POST")
    assert not proves(Basic(username=username + "x", password=password), credential, "POST")


def test_nothing_of_the_password_is_kept() -> None:
    assert "geheim" not in repr(CREDENTIAL)
    assert make_credential("cpe", "lastmile", "geheim") == CREDENTIAL, "the same password gives the same"
    assert CREDENTIAL.ha1_md5 != make_credential("cpe", "elsewhere", "geheim").ha1_md5


@pytest.mark.parametrize("given_", [Basic(username="cpe", password="geheim"), shown()], ids=["basic", "digest"])
@pytest.mark.parametrize("verdict", [True, False])
def test_a_comparison_in_constant_time_decides_alone(
    given_: Basic | Digest, verdict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Credential(username="cpe", realm="lastmile", ha1_md5="0" * 32, ha1_sha256="0" * 64)
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: verdict)
    assert proves(given_, CREDENTIAL, "POST") is verdict
    assert proves(given_, other, "POST") is verdict
