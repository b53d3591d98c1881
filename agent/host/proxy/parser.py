"""Reads what `directives` describes, strictly.

3proxy is lenient: an indented line is a comment, `10.0.0.0/abc` is everything, `-pabc` is port 3128. This reader
accepts one spelling of each directive that the template uses; whatever else is there is a fault with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import NoReturn

from agent.core.errors import ConfigError
from agent.host.proxy.directives import (
    AccessRule,
    Address,
    Auth,
    AuthType,
    Directive,
    Fault,
    Log,
    LogFormat,
    MaximumConnections,
    NameCache,
    Nameserver,
    Network,
    Operation,
    PasswordKind,
    Service,
    Timeouts,
    User,
    Verdict,
)

TIMEOUT_COUNT = 10
LONGEST_LINE_CHARACTERS = 4096
_TOKEN = re.compile(r'"((?:[^"]|"")*)"(?= |$)|([^ "$]+)(?= |$)')
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")


class _RefusedError(Exception):
    """A line's reason, on its way to the fault that carries its number."""


def read_directives(text: str) -> tuple[tuple[Directive, ...], tuple[Fault, ...]]:
    """Every line that is understood, in order, and a fault for every other one; comments (`#`) are skipped."""
    directives: list[Directive] = []
    faults: list[Fault] = []
    lines = text.split("\n")
    if lines.pop() != "":
        faults.append(Fault(line=len(lines) + 1, reason="the text does not end with a line end"))
    for number, line in enumerate(lines, start=1):
        try:
            _check_characters(line)
            if not line.startswith("#"):
                directives.append(_parse_line(number, line))
        except _RefusedError as refused:
            faults.append(Fault(line=number, reason=str(refused)))
    return tuple(directives), tuple(faults)


def parse(text: str) -> tuple[Directive, ...]:
    """The directives of `text`, in order; raises ConfigError that names every line which is not understood."""
    directives, faults = read_directives(text)
    if faults:
        raise ConfigError("3proxy configuration: " + "; ".join(str(fault) for fault in faults))
    return directives


def _refuse(reason: str) -> NoReturn:
    raise _RefusedError(reason)


def _check_characters(line: str) -> None:
    if not line:
        _refuse("an empty line")
    if line[0].isspace():
        _refuse("starts with white space: 3proxy takes it for a comment, and what it says does not happen")
    if not (line.isascii() and line.isprintable()):
        _refuse("has a character that is not printable ASCII")
    if len(line) > LONGEST_LINE_CHARACTERS:
        _refuse(f"is longer than {LONGEST_LINE_CHARACTERS} characters")


def _parse_line(number: int, line: str) -> Directive:
    name, *arguments = _split(line)
    parser = _PARSERS.get(name)
    if parser is None:
        _refuse(f"{name!r} is not a directive that lastmile writes")
    return parser(number, arguments)


def _split(line: str) -> list[str]:
    """3proxy's words: parted by one space, quoted as a whole or not at all, `""` for a quote inside quotes."""
    words: list[str] = []
    position = 0
    while position < len(line):
        found = _TOKEN.match(line, position)
        if found is None:
            _refuse(_why_unsplit(line[position:]))
        quoted, bare = found.groups()
        words.append(bare if bare is not None else quoted.replace('""', '"'))
        position = found.end() + 1
    if line.endswith(" "):
        _refuse("ends with a space")
    return words


def _why_unsplit(rest: str) -> str:
    word = rest.partition(" ")[0]
    if "$" in word and '"' not in word:
        return "an unquoted '$' makes 3proxy include a file"
    if rest.startswith(" "):
        return "words must be parted by one space"
    return "its quotes do not match"


def _exactly(arguments: list[str], count: int) -> list[str]:
    if len(arguments) != count:
        _refuse(f"takes {count} argument(s), not {len(arguments)}")
    return arguments


def _number(text: str, least: int, most: int) -> int:
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        _refuse(f"{text!r} is not a number from {least} to {most}")
    return int(text)


def _parse_log(line: int, arguments: list[str]) -> Log:
    _exactly(arguments, 0)
    return Log(line=line)


def _parse_log_format(line: int, arguments: list[str]) -> LogFormat:
    (text,) = _exactly(arguments, 1)
    return LogFormat(line=line, text=text)


def _parse_nameserver(line: int, arguments: list[str]) -> Nameserver:
    (text,) = _exactly(arguments, 1)
    bracketed = text.startswith("[") and text.endswith("]")
    address = _address(text[1:-1] if bracketed else text)
    if bracketed != (address.version == 6):
        _refuse("an IPv6 resolver, and no other, is written in brackets")
    return Nameserver(line=line, address=address)


def _address(text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError:
        _refuse(f"{text!r} is not an address")
    if "%" in text:
        _refuse(f"{text!r} has a zone")
    return address


def _parse_name_cache(family: int) -> Callable[[int, list[str]], NameCache]:
    def parse_name_cache(line: int, arguments: list[str]) -> NameCache:
        (records,) = _exactly(arguments, 1)
        return NameCache(line=line, family=family, records=_number(records, 256, 1_048_576))

    return parse_name_cache


def _parse_timeouts(line: int, arguments: list[str]) -> Timeouts:
    _exactly(arguments, TIMEOUT_COUNT)
    return Timeouts(line=line, seconds=tuple(_number(each, 1, 86_400) for each in arguments))


def _parse_maximum_connections(line: int, arguments: list[str]) -> MaximumConnections:
    (connections,) = _exactly(arguments, 1)
    return MaximumConnections(line=line, connections=_number(connections, 1, 100_000))


def _parse_auth(line: int, arguments: list[str]) -> Auth:
    (name,) = _exactly(arguments, 1)
    if name == "none":
        _refuse("'auth none' ignores every access rule")
    if name not in list(AuthType):
        _refuse(f"'auth {name}' is not known; only iponly and strong are")
    return Auth(line=line, type=AuthType(name))


def _parse_user(line: int, arguments: list[str]) -> User:
    (text,) = _exactly(arguments, 1)
    name, _, rest = text.partition(":")
    kind, colon, secret = rest.partition(":")
    if not _NAME.fullmatch(name):
        _refuse("the user's name may have letters, digits and ._@- only")
    if not colon or kind not in list(PasswordKind):
        _refuse(f"the password of {name!r} must be written as CL:… or CR:…")
    return User(line=line, name=name, kind=PasswordKind(kind), secret=secret)


def _parse_access_rule(verdict: Verdict) -> Callable[[int, list[str]], AccessRule]:
    def parse_access_rule(line: int, arguments: list[str]) -> AccessRule:
        if not 1 <= len(arguments) <= 5:
            _refuse(f"takes 1 to 5 arguments, not {len(arguments)}")
        users, sources, targets, ports, operations = [*arguments, *["*"] * (5 - len(arguments))]
        if ports != "*":
            _refuse(f"{ports!r}: rules by port are not written by lastmile")
        return AccessRule(
            line=line,
            verdict=verdict,
            users=_names(users),
            sources=_networks(sources),
            targets=_networks(targets),
            operations=_operations(operations),
        )

    return parse_access_rule


def _names(text: str) -> tuple[str, ...]:
    names = () if text == "*" else tuple(text.split(","))
    for name in names:
        if not _NAME.fullmatch(name):
            _refuse(f"{name!r} is not a user's name")
    return names


def _networks(text: str) -> tuple[Network, ...]:
    return () if text == "*" else tuple(_network(each) for each in text.split(","))


def _network(text: str) -> Network:
    _, slash, mask = text.partition("/")
    if not slash or not _NUMBER.fullmatch(mask):
        _refuse(f"{text!r} has no proper mask (3proxy would read a bad one as /0)")
    try:
        return ip_network(text)
    except ValueError:
        _refuse(f"{text!r} is not a network")


def _operations(text: str) -> frozenset[Operation]:
    names = [] if text == "*" else text.split(",")
    for name in names:
        if name not in list(Operation):
            _refuse(f"operation {name!r} is not one that lastmile allows")
    return frozenset(Operation(name) for name in names)


def _parse_service(line: int, arguments: list[str]) -> Service:
    listen: Address | None = None
    tcp_port: int | None = None
    for option in arguments:
        if arguments.count(option) > 1 or not option.startswith("-"):
            _refuse(f"option {option!r} is repeated or is none")
        match option[:2], option[2:]:
            case "-i", address if listen is None:
                listen = _address(address)
            case "-p", port if tcp_port is None:
                tcp_port = _number(port, 1, 65_535)
            case ("-a", "") | ("-4", "6"):
                pass
            case (("-e" | "-D" | "-N" | "-n"), _):
                _refuse(f"option {option!r} names an external address, link or namespace; the uid's rule decides that")
            case _:
                _refuse(f"option {option!r} is not one that lastmile writes")
    return Service(
        line=line, listen=listen, tcp_port=tcp_port, anonymous="-a" in arguments, both_families="-46" in arguments
    )


_PARSERS: Mapping[str, Callable[[int, list[str]], Directive]] = {
    "log": _parse_log,
    "logformat": _parse_log_format,
    "nserver": _parse_nameserver,
    "nscache": _parse_name_cache(4),
    "nscache6": _parse_name_cache(6),
    "timeouts": _parse_timeouts,
    "maxconn": _parse_maximum_connections,
    "auth": _parse_auth,
    "users": _parse_user,
    "allow": _parse_access_rule(Verdict.ALLOW),
    "deny": _parse_access_rule(Verdict.DENY),
    "auto": _parse_service,
}
