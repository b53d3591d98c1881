"""What 3proxy would make of a text, in its own lenient way: the oracle of the hazard tests.

Written from what was seen of the program, not from our parser: a line that starts with white space is nothing, a mask
is read as far as it has digits, an unknown directive ends the reading, what comes after the service has no effect.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address


@dataclass
class Rule:
    """`allow` or `deny`, as raw lists; None is any."""

    allows: bool
    users: list[str] | None
    sources: list[tuple[Address, int]] | None
    targets: list[tuple[Address, int]] | None

    def matches(self, user: str | None, source: Address, target: Address) -> bool:
        if self.users is not None and user not in self.users:
            return False
        return _among(self.sources, source) and _among(self.targets, target)


@dataclass
class Lenient:
    """A 3proxy that has read a text."""

    auth: str | None = None
    passwords: dict[str, str] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    nameservers: int = 0
    listen: Address | None = None
    listens: bool = False
    anonymous: bool = False

    def grants(self, user: str | None, password: str | None, source: Address, target: Address) -> bool:
        if self.auth is None or self.auth == "none":
            return True
        if self.auth == "strong" and (user is None or self.passwords.get(user) != password):
            return False
        known = user if self.auth == "strong" else None
        for rule in self.rules:
            if rule.matches(known, source, target):
                return rule.allows
        return not self.rules


def read(text: str) -> Lenient:
    """What runs after the text was read up to its service, or up to its first error."""
    proxy = Lenient()
    for line in text.split("\n"):
        if not line or line[0].isspace() or line[0] == "#":
            continue
        try:
            words = shlex.split(line.replace('""', "'"), posix=True)
        except ValueError:
            return proxy
        if not words or not _obey(proxy, words):
            return proxy
        if proxy.listens:
            return proxy
    return proxy


def _obey(proxy: Lenient, words: list[str]) -> bool:
    name, *arguments = words
    match name:
        case "auth":
            if not arguments or arguments[0] not in ("none", "iponly", "strong"):
                return False
            proxy.auth = arguments[0]
        case "users":
            for word in arguments:
                user, _, password = word.partition(":")
                proxy.passwords[user] = password.removeprefix("CL:")
        case "allow" | "deny":
            lists = [*arguments, *["*"] * (3 - len(arguments))]
            try:
                proxy.rules.append(
                    Rule(
                        name == "allow",
                        None if lists[0] == "*" else lists[0].split(","),
                        _ranges(lists[1]),
                        _ranges(lists[2]),
                    )
                )
            except ValueError:
                return False
        case "nserver":
            proxy.nameservers += 1
        case "auto":
            return _serve(proxy, arguments)
        case "log" | "logformat" | "nscache" | "nscache6" | "timeouts" | "maxconn":
            pass
        case _:
            return False
    return True


def _serve(proxy: Lenient, options: list[str]) -> bool:
    for option in options:
        if option.startswith("-i"):
            try:
                proxy.listen = ip_address(option[2:])
            except ValueError:
                return False
        elif option == "-a":
            proxy.anonymous = True
        elif not re.fullmatch(r"-p.*|-4.*|-6.*", option):
            return False
    proxy.listens = True
    return True


def _ranges(text: str) -> list[tuple[Address, int]] | None:
    if text == "*":
        return None
    found = []
    for each in text.split(","):
        address, slash, mask = each.partition("/")
        parsed = ip_address(address)
        digits = re.match(r"\d*", mask)
        bits = int(digits[0] or 0) if slash and digits else parsed.max_prefixlen
        if bits > parsed.max_prefixlen:
            raise ValueError(each)
        found.append((parsed, bits))
    return found


def _among(ranges: list[tuple[Address, int]] | None, address: Address) -> bool:
    if ranges is None:
        return True
    return any(
        each.version == address.version and (int(each) ^ int(address)) >> (address.max_prefixlen - bits) == 0
        for each, bits in ranges
    )
