"""The text of a configuration, byte by byte."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import ConfigError, InvariantError
from agent.host.proxy.hazards import find_hazards
from agent.host.proxy.render import ThreeProxyRenderer
from tests.host.proxy.examples import RESOLVERS, USERS, configuration, desired

GOLDEN = Path(__file__).parent / "golden"
CASES: dict[str, dict[str, Any]] = {
    "by_address": {},
    "with_users": {"users": USERS},
    "ipv6": {"listen": ip_address("2001:db8:2::1"), "allow": ("2001:db8:2::/64",), "deny_to": ()},
}


@pytest.mark.parametrize("name", CASES)
def test_the_text_is_the_golden_one(name: str) -> None:
    assert configuration(**CASES[name]) == (GOLDEN / f"{name}.cfg").read_text()


@pytest.mark.parametrize("name", CASES)
def test_what_is_rendered_has_no_hazard(name: str) -> None:
    assert find_hazards(configuration(**CASES[name])) == ()


def test_two_renderers_write_the_same_bytes() -> None:
    assert configuration(users=USERS) == configuration(users=USERS)


def test_the_policys_own_resolvers_come_before_the_carriers() -> None:
    text = configuration(nameservers=(ip_address("9.9.9.9"),))
    assert "nserver 9.9.9.9\n" in text
    assert "203.0.113.53" not in text


def test_no_address_of_the_modem_is_named() -> None:
    assert not any(option in configuration() for option in (" -e", " -D", "external"))


def test_a_network_that_is_denied_already_is_not_repeated() -> None:
    text = configuration()
    assert "deny * * 198.51.100.7/32\n" in text
    assert "deny * * 192.0.2.1/32\n" in text
    assert "10.1.0.0/16" not in text


def test_without_a_resolver_nothing_is_rendered() -> None:
    with pytest.raises(ConfigError, match="no resolver"):
        ThreeProxyRenderer().render(desired(), ())


def test_a_bad_network_is_the_operators_to_mend() -> None:
    with pytest.raises(ConfigError, match="proxy policy"):
        ThreeProxyRenderer().render(desired(allow=("192.0.2.0/abc",)), RESOLVERS)


def test_a_modem_without_allocation_cannot_be_rendered() -> None:
    with pytest.raises(InvariantError):
        ThreeProxyRenderer().render(replace(desired(), allocation=None), RESOLVERS)


def test_a_template_that_names_something_unknown_fails(tmp_path: Path) -> None:
    (tmp_path / "3proxy").mkdir()
    (tmp_path / "3proxy" / "3proxy.cfg.j2").write_text("auto -p{{ tcp_prot }}\n")
    with pytest.raises(InvariantError, match="tcp_prot"):
        ThreeProxyRenderer(tmp_path).render(desired(), RESOLVERS)
