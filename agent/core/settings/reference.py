"""Renders docs/configuration.md from the schema.

`python -m agent.core.settings.reference > docs/configuration.md`
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from agent.core.settings.fields import Setting, all_settings, render_value, section_titles

INTRODUCTION = """\
# Settings

<!-- Made from agent/core/settings/schema.py by `python -m agent.core.settings.reference`: edit there. -->

`lastmile` reads its settings from these places; a later one replaces what an earlier one says of the same
key, as a whole (tables and lists are not mixed):

1. the defaults below;
2. `/etc/lastmile/lastmile.toml`, or the file given with `--config`;
3. `lastmile.d/*.toml` beside that file, in the order of their names;
4. environment variables `LASTMILE_<SECTION>_<KEY>`, such as `LASTMILE_DATABASE_URL`. Texts stand as they are;
   numbers, lists and tables are written as in TOML or JSON: `LASTMILE_PROXY_ALLOW='["192.0.2.0/24"]'`;
5. for secrets only, systemd credentials named `<section>.<key>`. The units take them from the files
   `lastmile.database.url`, `lastmile.modem.pin` and `lastmile.proxy.users` in `/etc/credstore` (mode 0600, owned by
   root) as far as they exist. They come last because they are given to one service on purpose, while variables are
   inherited. Commands that people run do not see them: give those `LASTMILE_DATABASE_URL`. For encrypted ones
   (`systemd-creds encrypt --name=database.url`), `systemctl edit` each unit and say
   `LoadCredentialEncrypted=database.url:FILE`.

A section, key, variable or credential that does not exist, and a value that is not allowed, is refused with
its place, the value (never a secret's) and what is allowed: all of them at once. `lastmile config check`
says so without starting anything; `lastmile config show --origin` prints what is in force and where it was
set. A file that holds a secret should have mode 0640, owned by root and the group `lastmile`; a looser one
is warned of.
"""


def render_reference() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for section, title in section_titles().items():
        settings = [each for each in all_settings().values() if each.section == section]
        parts.append(f"\n## [{section}]\n\n{title}\n\n" + "\n".join(_rows(settings)) + "\n")
    return "".join(parts)


def _rows(settings: list[Setting]) -> Iterator[str]:
    yield "| key | default | allowed | meaning |"
    yield "|---|---|---|---|"
    for setting in settings:
        meaning = setting.description + (" Secret." if setting.secret else "")
        cells = (f"`{setting.key}`", f"`{render_value(setting, setting.default)}`", setting.allowed, meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(render_reference())
