"""Renders what the Debian package says about the program: man pages, the settings file, the list of what is bundled.

`render_documents.py ROOT`, run by the package's own interpreter: every page is made from what it describes (click's
commands, the schema of the settings, the metadata of the wheels), so none of them can fall behind.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from agent.cli.main import COMMANDS, EPILOG, lastmile
from agent.core.settings.fields import Setting, all_settings, render_value, section_titles
from agent.version import __version__

NOT_PACKAGED = {"demo": "Not part of the Debian package: run it from a checkout, with `make demo`."}
FILES = {
    "/etc/lastmile/lastmile.toml": "The settings: lastmile.toml(5).",
    "/etc/lastmile/lastmile.d/*.toml": "Settings that replace those of the file, in the order of their names.",
    "/etc/lastmile/3proxy/": "The proxies' configurations, written by the agent.",
    "/var/lib/lastmile/": "What the agent must remember without the database.",
    "/var/lib/lastmile-web/": "The certificate that `lastmile web` has made itself, and its key.",
    "/var/lib/lastmile-files/": "Firmware and configurations for CPEs, and what they have uploaded.",
    "/run/lastmile/": "Data sessions of this boot.",
    "/dev/modems/": "Links to the modems' ports.",
    "/usr/share/doc/lastmile/": "How to run lastmile (operations.md), every setting, the API.",
}
SETTINGS_HEAD = """\
# The settings of lastmile; lastmile.toml(5) says more. Every value here is the default: to change one, take the # off
# its line and off the section's name above it. Then: lastmile config check && systemctl reload lastmile-agent
"""
SETTINGS_TEXT = """\
A file in TOML: sections in brackets, and `key = value` below them. A later one of these places replaces what an earlier
one says of the same key, as a whole: the defaults below; lastmile.toml; the files of lastmile.d, in the order of their
names; environment variables LASTMILE_<SECTION>_<KEY>; for secrets, systemd credentials named <section>.<key> (see
LoadCredential= in systemd.exec(5)).

What is not known or not allowed is refused, all of it at once. `lastmile config check` says so without starting
anything; `lastmile config show --origin` prints what is in force and where it was set. A file that holds a secret
should have mode 0640, owner root and group lastmile.

A running agent takes changes over with `systemctl reload lastmile-agent`; its log names those that need a restart.
"""


def main(root: Path) -> None:
    for name, text in man_pages().items():
        (root / "usr/share/man" / f"man{name[-1]}" / name).write_text(text, encoding="utf-8")
    (root / "etc/lastmile/lastmile.toml").write_text(render_settings_file(), encoding="utf-8")
    (root / "usr/share/doc/lastmile/bundled").write_text(render_bundled(), encoding="utf-8")


def man_pages() -> dict[str, str]:
    """File name (without .gz) and text of each page."""
    context = click.Context(lastmile, info_name="lastmile")
    pages = {"lastmile.8": "".join(_overview(context)), "lastmile.toml.5": "".join(_settings_page())}
    for name in COMMANDS:
        command = lastmile.get_command(context, name)
        assert command is not None
        pages[f"lastmile-{name}.8"] = "".join(_command_page(context, name, command))
    return pages


def _overview(context: click.Context) -> Iterator[str]:
    yield _title("LASTMILE", 8)
    yield _section("NAME") + "lastmile \\- LTE modems that serve as proxies\n"
    yield _section("SYNOPSIS") + f".B lastmile\n{_text('[OPTIONS] COMMAND [ARGUMENTS]')}"
    yield _section("DESCRIPTION") + _paragraphs(lastmile.help or "")
    yield _text("Each command has a page of its own, such as lastmile-status(8).")
    yield _section("OPTIONS") + "".join(_options(lastmile, context))
    yield _section("COMMANDS")
    yield "".join(_item(f"lastmile-{name}(8)", text) for name, (_, text) in COMMANDS.items())
    yield _section("EXIT STATUS") + _text(EPILOG.removeprefix("Exit status: "))
    yield _section("FILES") + "".join(_item(path, text) for path, text in FILES.items())
    yield _section("SEE ALSO") + _text("lastmile.toml(5), journalctl(1), systemctl(1), qmicli(1)")


def _command_page(parent: click.Context, name: str, command: click.Command) -> Iterator[str]:
    yield _title(f"LASTMILE-{name.upper()}", 8)
    yield _section("NAME") + f"lastmile\\-{_escape(name)} \\- {_escape(COMMANDS[name][1])}\n"
    yield from _command(parent, name, command, top=True)
    if name in NOT_PACKAGED:
        yield _section("NOTES") + _text(NOT_PACKAGED[name])
    yield _section("SEE ALSO") + _text("lastmile(8), lastmile.toml(5)")


def _command(parent: click.Context, name: str, command: click.Command, *, top: bool = False) -> Iterator[str]:
    """Synopsis, description, options, and the same of every command below it."""
    context = click.Context(command, info_name=name, parent=parent)
    synopsis = " ".join(command.collect_usage_pieces(context))
    if top:
        yield _section("SYNOPSIS")
    yield f".B {_escape(context.command_path)}\n{_text(synopsis)}"
    yield (_section("DESCRIPTION") if top else ".PP\n") + _paragraphs(command.help or "")
    options = "".join(_options(command, context))
    yield (_section("OPTIONS") if top else "") + options
    if isinstance(command, click.Group):
        yield _section("COMMANDS")
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield f".SS {_escape(below)}\n"
            yield from _command(context, below, found)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield _item(record[0], record[1])


def _settings_page() -> Iterator[str]:
    yield _title("LASTMILE.TOML", 5)
    yield _section("NAME") + "lastmile.toml \\- the settings of lastmile\n"
    yield _section("SYNOPSIS") + _text("/etc/lastmile/lastmile.toml, /etc/lastmile/lastmile.d/*.toml")
    yield _section("DESCRIPTION")
    yield _paragraphs(SETTINGS_TEXT)
    for section, title in section_titles().items():
        yield _section(f"[{section}]") + _text(title)
        for setting in _of_section(section):
            default = render_value(setting, setting.default)
            secret = " Secret." if setting.secret else ""
            yield _item(f"{setting.key} = {default}", f"{setting.description}{secret}\n\nAllowed: {setting.allowed}.")
    yield _section("EXAMPLE") + '.nf\n[modem]\napn = "internet"\n\n[proxy]\nallow = ["192.0.2.0/24"]\n.fi\n'
    yield _section("SEE ALSO") + _text("lastmile(8), lastmile-config(8)")


def render_settings_file() -> str:
    """The file as it is installed: every setting with its default, commented out."""
    parts = [SETTINGS_HEAD]
    for section, title in section_titles().items():
        parts.append(f"\n# {title}\n#[{section}]\n")
        for setting in _of_section(section):
            default = render_value(setting, setting.default)
            value = f" {default}" if setting.default is not None else ""
            parts.append(f"# {setting.description}\n#{setting.key} ={value}\n")
    return "".join(parts)


def render_bundled() -> str:
    """Name, version and licence of every Python package in the environment."""
    found = sorted(importlib.metadata.distributions(), key=lambda each: each.name.lower())
    lines = [f"{each.name} {each.version}: {_licence(each.metadata)}\n" for each in found]
    return "Python packages in /usr/lib/lastmile, with the licences that they state.\n\n" + "".join(lines)


def _licence(metadata: importlib.metadata.PackageMetadata) -> str:
    stated = next((metadata[key] for key in ("License-Expression", "License") if key in metadata), "")
    if stated and "\n" not in stated:
        return stated
    classifiers = [each for each in metadata.get_all("Classifier") or [] if each.startswith("License ::")]
    return ", ".join(each.rsplit(" :: ", 1)[-1] for each in classifiers) or "see its dist-info folder"


def _of_section(section: str) -> list[Setting]:
    return [each for each in all_settings().values() if each.section == section]


# -- roff (groff_man(7)) ----------------------------------------------------------------------------------------------


def _title(name: str, number: int) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    return f'.TH "{_escape(name)}" {number} {day} "lastmile {__version__}" "lastmile"\n'


def _section(name: str) -> str:
    return f".SH {_escape(name)}\n"


def _item(term: str, text: str) -> str:
    first, *others = text.split("\n\n")
    more = "".join(f".IP\n{_text(each)}" for each in others)
    return f".TP\n.B {_escape(term)}\n{_text(first)}{more}"


def _paragraphs(text: str) -> str:
    parts = [part for part in text.replace("\b", "").split("\n\n") if part.strip()]
    return ".PP\n".join(_text(part) for part in parts)


def _text(text: str) -> str:
    line = _escape(" ".join(text.split()))
    return (f"\\&{line}" if line.startswith((".", "'")) else line) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
