"""The configuration language, read strictly."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from agent.host.proxy.directives import (
    AccessRule,
    Auth,
    AuthType,
    Fault,
    Log,
    LogFormat,
    MaximumConnections,
    NameCache,
    Nameserver,
    Operation,
    PasswordKind,
    Service,
    Timeouts,
    User,
    Verdict,
)
from agent.host.proxy.parser import parse, read_directives


@pytest.mark.parametrize(
    ("line", "directive"),
    [
        ("log", Log(line=1)),
        ('logformat "G say ""%U"" "', LogFormat(line=1, text='G say "%U" ')),
        ("nserver 9.9.9.9", Nameserver(line=1, address=ip_address("9.9.9.9"))),
        ("nserver [2620:fe::fe]", Nameserver(line=1, address=ip_address("2620:fe::fe"))),
        ("nscache 4096", NameCache(line=1, family=4, records=4096)),
        ("nscache6 256", NameCache(line=1, family=6, records=256)),
        ("timeouts 1 2 3 4 5 6 7 8 9 10", Timeouts(line=1, seconds=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))),
        ("maxconn 500", MaximumConnections(line=1, connections=500)),
        ("auth strong", Auth(line=1, type=AuthType.STRONG)),
        ('users "a:CL:b$c"', User(line=1, name="a", kind=PasswordKind.CLEAR, secret="b$c")),
        ("deny *", AccessRule(line=1, verdict=Verdict.DENY)),
        (
            "allow a,b 10.0.0.0/8,fd00::/8 192.0.2.0/24 * CONNECT,HTTP",
            AccessRule(
                line=1,
                verdict=Verdict.ALLOW,
                users=("a", "b"),
                sources=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
                targets=(ip_network("192.0.2.0/24"),),
                operations=frozenset((Operation.CONNECT, Operation.HTTP)),
            ),
        ),
        (
            "auto -46 -a -p3128 -i::1",
            Service(line=1, listen=ip_address("::1"), tcp_port=3128, anonymous=True, both_families=True),
        ),
    ],
)
def test_every_directive(line: str, directive: object) -> None:
    assert parse(line + "\n") == (directive,)


@pytest.mark.parametrize(
    "line",
    [
        "log /var/log/x",
        "logformat G say",
        'logformat "G',
        'logformat "G"x',
        "nserver 9.9.9.9:53",
        "nserver [9.9.9.9]",
        "nserver 2620:fe::fe",
        "nserver fe80::1%eth0",
        "nscache 4",
        "timeouts 1 2 3",
        "timeouts 1 2 3 4 5 6 7 8 9 0",
        "maxconn -1",
        "maxconn 5_0",
        "auth none",
        "users a:b",
        'users "a b:CL:c"',
        "deny",
        "deny * * 10.0.0.1/8",
        "deny * * 10.0.0.0",
        "deny * * example.org",
        "deny * * * 80",
        "allow * * * * ADMIN",
        "allow  *",
        "allow * ",
        "auto -p80 -p81",
        "auto -i127.1",
        "auto -s",
        "proxy -p3128",
        "include /etc/x",
        "$/etc/x",
        'plugin "x" y',
    ],
)
def test_everything_else_is_a_fault(line: str) -> None:
    directives, faults = read_directives(f"log\n{line}\n")
    assert directives == (Log(line=1),)
    assert [fault.line for fault in faults] == [2]
    with pytest.raises(ConfigError, match="line 2: "):
        parse(f"log\n{line}\n")


def test_comments_count_as_lines() -> None:
    directives, faults = read_directives("# one\nlog\n#three\nlag\n")
    assert directives == (Log(line=2),)
    assert faults == (Fault(line=4, reason="'lag' is not a directive that lastmile writes"),)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(parse('users "a:CL:secret"\n'))


@given(st.text(alphabet='log auth users allow deny*-i."$:/%\n\t\x00é0123456789abcdef', max_size=80))
def test_no_text_breaks_the_reader(text: str) -> None:
    directives, faults = read_directives(text)
    assert len(directives) + len(faults) <= text.count("\n") + 1
