"""The examples of the standards: what a user agent sends, and by which password."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    name: str
    username: str
    realm: str
    password: str
    uri: str
    challenge: str
    cnonce: str
    authorization: str
    method: str = "GET"


_RFC7616_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
_RFC7616_OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
_RFC7616_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def _rfc7616(algorithm: str, response: str) -> Example:
    return Example(
        name=f"RFC 7616 §3.9.1 {algorithm}",
        username="Mufasa",
        realm="http-auth@example.org",
        password="Circle of Life",
        uri="/dir/index.html",
        challenge=f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        f'nonce="{_RFC7616_NONCE}", opaque="{_RFC7616_OPAQUE}"',
        cnonce=_RFC7616_CNONCE,
        authorization='Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", '
        f'algorithm={algorithm}, nonce="{_RFC7616_NONCE}", nc=00000001, cnonce="{_RFC7616_CNONCE}", qop=auth, '
        f'response="{response}", opaque="{_RFC7616_OPAQUE}"',
    )


EXAMPLES = (
    _rfc7616("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    _rfc7616("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    Example(
        name="RFC 2617 §3.5",
        username="Mufasa",
        realm="testrealm@host.com",
        password="Circle Of Life",
        uri="/dir/index.html",
        challenge='Digest\r\n realm="testrealm@host.com",\r\n qop="auth,auth-int",\r\n'
        ' nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",\r\n opaque="5ccc069c403ebaf9f0171e9517f40e41"',
        cnonce="0a4f113b",
        authorization='Digest username="Mufasa", realm="testrealm@host.com", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", '
        'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"',
    ),
    Example(
        name="RFC 2069 §2.4, with the response of erratum 749",
        username="Mufasa",
        realm="testrealm@host.com",
        password="CircleOfLife",
        uri="/dir/index.html",
        challenge='Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"',
        cnonce="unused",
        authorization='Digest username="Mufasa", realm="testrealm@host.com", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", '
        'response="1949323746fe6a43ef61f9606e7febea", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"',
    ),
)
