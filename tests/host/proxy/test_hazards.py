"""No slip in a configuration that opens the proxy goes unseen."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from agent.host.proxy.hazards import DENIED_NETWORKS, find_hazards, refuse_hazards
from tests.host.proxy.examples import POLICY, USERS, configuration
from tests.host.proxy.lenient import read

BY_ADDRESS = configuration()
WITH_USERS = configuration(users=USERS)
GOOD = (BY_ADDRESS, WITH_USERS)
MUST_DENY = tuple(ip_network(each) for each in POLICY.deny_to)
MUST_NOT_REACH = (*DENIED_NETWORKS, *MUST_DENY, ip_network("192.0.2.1"))
LAN = ip_address("192.0.2.20")
STRANGERS = tuple(ip_address(each) for each in ("198.18.0.9", "192.0.2.200", "8.8.8.8", "2001:db8:77::1", "10.9.9.9"))
INTERNET = ip_address("203.0.113.10")


def opens(text: str, with_users: bool) -> bool:
    """Whether 3proxy, having read the text, lets in or out what it should not."""
    proxy = read(text)
    if not proxy.listens:
        return False
    logins: list[tuple[str | None, str | None]] = [(None, None), ("alice", ""), ("mallory", "x"), ("", "")]
    if any(proxy.grants(user, password, each, INTERNET) for each in STRANGERS for user, password in (*logins, *USERS)):
        return True
    if with_users and any(proxy.grants(user, password, LAN, INTERNET) for user, password in logins):
        return True
    inside = [each[place] for each in MUST_NOT_REACH for place in (0, each.num_addresses // 2, -1)]
    if any(proxy.grants(*login, LAN, target) for target in inside for login in (*logins, *USERS)):
        return True
    return not proxy.nameservers or not proxy.anonymous or proxy.listen is None or proxy.listen.is_unspecified


def caught(text: str) -> bool:
    return bool(find_hazards(text, MUST_DENY))


@pytest.mark.parametrize("text", GOOD)
def test_a_good_configuration_is_closed_and_has_no_hazard(text: str) -> None:
    assert not opens(text, text is WITH_USERS)
    assert find_hazards(text, MUST_DENY) == ()


@pytest.mark.parametrize("text", GOOD)
def test_the_oracle_knows_an_open_proxy(text: str) -> None:
    assert opens(text.replace("\ndeny * * 127.0.0.0/8", ""), text is WITH_USERS)
    assert opens(text.replace("\nauth ", "\n auth "), text is WITH_USERS)
    assert opens(text.replace("/25", "/abc"), text is WITH_USERS)


@pytest.mark.parametrize("text", GOOD)
@pytest.mark.parametrize("prefix", [None, " ", "\t", "#", "\r"])
def test_every_line_that_is_dropped_or_hidden(text: str, prefix: str | None) -> None:
    lines = text.splitlines(keepends=True)
    opened = 0
    for position, line in enumerate(lines):
        replaced = [] if prefix is None else [prefix + line]
        mutated = "".join([*lines[:position], *replaced, *lines[position + 1 :]])
        if opens(mutated, text is WITH_USERS):
            opened += 1
            assert caught(mutated), mutated
    assert opened >= 15


@pytest.mark.parametrize("text", GOOD)
def test_every_line_that_is_moved_or_doubled(text: str) -> None:
    lines = text.splitlines(keepends=True)
    opened = 0
    for position, line in enumerate(lines):
        rest = lines[:position] + lines[position + 1 :]
        for place in range(len(lines)):
            for mutated in (
                "".join([*rest[:place], line, *rest[place:]]),
                "".join([*lines[:place], line, *lines[place:]]),
            ):
                if opens(mutated, text is WITH_USERS):
                    opened += 1
                    assert caught(mutated), mutated
    assert opened >= 50


@given(
    text=st.sampled_from(GOOD),
    place=st.integers(min_value=0, max_value=10_000),
    length=st.integers(min_value=0, max_value=12),
    instead=st.text(alphabet=' \n\t*/,.:-"$0123456789abcdef', max_size=3),
)
@example(text=WITH_USERS, place=WITH_USERS.index("correct/horse=1"), length=15, instead="")
@example(text=BY_ADDRESS, place=BY_ADDRESS.index("/25"), length=3, instead="/x")
@example(text=BY_ADDRESS, place=BY_ADDRESS.index("192.0.2.0/25"), length=12, instead="*")
@example(text=BY_ADDRESS, place=BY_ADDRESS.index("-i192.0.2.1"), length=11, instead="")
def test_any_edit_that_opens_the_proxy_is_seen(text: str, place: int, length: int, instead: str) -> None:
    place %= len(text)
    mutated = text[:place] + instead + text[place + length :]
    if opens(mutated, text is WITH_USERS):
        assert caught(mutated)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("auth iponly\n", "", "no auth line"),
        ("auth iponly", "auth none", "ignores every access rule"),
        ("auth iponly", "auth strong", "without a user"),
        ("auth iponly", "auth iponly strong", r"takes 1 argument\(s\), not 2"),
        ("\nallow ", "\n allow ", "starts with white space"),
        ("\ndeny * * 10.0.0.0/8", "\n\tdeny * * 10.0.0.0/8", "starts with white space"),
        ("deny * * 127.0.0.0/8\n", "", "destination 127.0.0.0/8 is not denied"),
        ("deny * * 192.0.2.1/32\n", "", "destination 192.0.2.1/32 is not denied"),
        ("deny * * 198.51.100.7/32\n", "", "destination 198.51.100.7/32 is not denied"),
        ("10.0.0.0/8", "10.0.0.0/abc", "no proper mask"),
        ("10.0.0.0/8", "10.0.0.0", "no proper mask"),
        ("10.0.0.0/8", "10.0.0.0/33", "is not a network"),
        ("192.0.2.0/25,fd00:2::/64", "*", "clients from everywhere"),
        ("192.0.2.0/25", "0.0.0.0/0", "wider than any local network"),
        ("192.0.2.0/25", "192.0.0.0/4", "wider than any local network"),
        ("CONNECT,UDPASSOC,HTTP,HTTPS", "*", "every operation is allowed"),
        ("CONNECT,", "BIND,CONNECT,", "'BIND' is not one that lastmile allows"),
        ("\ndeny *\n", "\n", "the last rule is not 'deny"),
        (" -i192.0.2.1", "", "no -i"),
        ("-i192.0.2.1", "-i0.0.0.0", "listen on every address"),
        ("-i192.0.2.1", "-i::", "listen on every address"),
        ("-p3128", "-pabc", "'abc' is not a number"),
        ("-p3128", "-p99999", "'99999' is not a number"),
        ("-p3128", "-p03128", "'03128' is not a number"),
        (" -p3128", "", "no -p"),
        (" -a ", " ", "no -a"),
        (" -a ", " -a1 ", "'-a1' is not one"),
        ("auto ", "auto -e203.0.113.9 ", "names an external address"),
        ("auto ", "auto -Dewwan0 ", "names an external address"),
        ("auto ", "external 203.0.113.9\nauto ", "'external' is not a directive"),
        ("auto ", "socks -p1080\nauto ", "'socks' is not a directive"),
        ("nserver 203.0.113.53\nnserver [2001:db8::53]\n", "", "no nserver"),
        ("nserver 203.0.113.53", "nserver 127.0.0.53", "host's own"),
        ("maxconn 500", "maxconn $500", "unquoted '\\$'"),
        ("maxconn 500", "monitor /etc/passwd", "'monitor' is not a directive"),
        ("maxconn 500\n", "maxconn 500\n\n", "an empty line"),
        ("maxconn 500", "maxconn 500\r", "not printable"),
        ("log\n", "log /tmp/x\n", r"takes 0 argument\(s\)"),
        ("-p3128 -i192.0.2.1\n", "-p3128 -i192.0.2.1", "does not end with a line end"),
        ('logformat "-""\\+_G', 'logformat "G', "does not filter"),
    ],
)
def test_each_hazard_is_named(old: str, new: str, reason: str) -> None:
    assert old in BY_ADDRESS
    with pytest.raises(ConfigError, match=reason):
        refuse_hazards(BY_ADDRESS.replace(old, new, 1), MUST_DENY)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"bob:CL:battery-staple"', '"bob:CL:"', "'bob' has an empty password"),
        ('"bob:CL:battery-staple"', '"bob:CR:$6$salt$hash"', "never matches"),
        ('"bob:CL:battery-staple"', "bob:CR:$1$salt$hash", "unquoted '\\$'"),
        ('"bob:CL:battery-staple"', '"bob:battery-staple"', "must be written as CL"),
        ('"bob:CL:battery-staple"', '"alice:CL:other"', "given twice"),
        ('"bob:CL:battery-staple"', '"bob:CL:battery-staple', "quotes do not match"),
        ("auth strong", "auth iponly", "never asks for a password"),
        ("allow alice,bob", "allow *", "not the users that are known"),
        ("allow alice,bob", "allow alice,bob,mallory", "not the users that are known"),
    ],
)
def test_each_hazard_of_users_is_named(old: str, new: str, reason: str) -> None:
    assert old in WITH_USERS
    with pytest.raises(ConfigError, match=reason):
        refuse_hazards(WITH_USERS.replace(old, new, 1), MUST_DENY)


def test_a_hash_that_works_is_no_hazard() -> None:
    text = WITH_USERS.replace('"bob:CL:battery-staple"', '"bob:CR:$3$salt$hash"')
    assert find_hazards(text, MUST_DENY) == ()


def test_a_rule_after_its_service_is_named_with_its_line() -> None:
    lines = BY_ADDRESS.splitlines()
    text = "\n".join([*lines[:-3], lines[-1], *lines[-3:-1]]) + "\n"
    hazards = find_hazards(text, MUST_DENY)
    assert any(each.line == len(lines) and "after Service" in each.reason for each in hazards)


def test_iponly_without_any_rule() -> None:
    text = "".join(line for line in BY_ADDRESS.splitlines(keepends=True) if not line.startswith(("allow", "deny")))
    with pytest.raises(ConfigError, match="with no rule at all everybody"):
        refuse_hazards(text)


def test_every_hazard_is_told_at_once() -> None:
    text = BY_ADDRESS.replace("auth iponly\n", "").replace(" -i192.0.2.1", "")
    with pytest.raises(ConfigError, match=r"(?s)no auth line.*no -i|no -i.*no auth line"):
        refuse_hazards(text)
