"""Settings come from five places, the later one wins, and everything wrong is said at once."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.core.errors import ConfigError
from agent.core.settings.fields import all_settings, redact_url
from agent.core.settings.load import Loaded, SettingsError, load, render_effective
from agent.core.settings.schema import Settings
from agent.core.settings.sources import find_lines, parse_text

URL = "postgresql://lastmile:s3cret@db.example.org/lastmile"


def write(directory: Path, text: str, name: str = "lastmile.toml") -> Path:
    path = directory / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o640)
    return path


def refused(config: Path | None, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(config, environ or {})
    return str(caught.value).splitlines()


def origins_of(loaded: Loaded, *names: str) -> list[str]:
    return [str(loaded.origins[name]) for name in names]


class TestPrecedence:
    def test_without_any_source_everything_is_the_default(self, tmp_path: Path) -> None:
        loaded = load(write(tmp_path, ""), {})
        assert loaded.settings.web.tcp_port == 8080
        assert set(map(str, loaded.origins.values())) == {"default"}
        assert set(loaded.origins) == set(all_settings())

    def test_each_source_beats_the_one_before(self, tmp_path: Path) -> None:
        config = write(
            tmp_path,
            '[web]\ntcp_port = 1\nthreads = 40\n[database]\nurl = "postgresql:///a"\n[log]\nlevel="error"',
        )
        write(tmp_path, "[web]\ntcp_port = 3\n", "lastmile.d/20-late.toml")
        write(tmp_path, "[web]\ntcp_port = 2\nthreads = 41\n", "lastmile.d/10-early.toml")
        write(tmp_path, "[web]\ntcp_port = 9\n", "lastmile.d/30-ignored.toml.bak")
        write(tmp_path, "postgresql:///c\n", "credentials/database.url")
        environ = {
            "LASTMILE_WEB_TCP_PORT": "4",
            "LASTMILE_DATABASE_URL": "postgresql:///b",
            "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"),
            "PATH": "/usr/bin",
        }
        loaded = load(config, environ)
        assert loaded.settings.web.tcp_port == 4
        assert loaded.settings.web.threads == 41
        assert loaded.settings.database.url == SecretStr("postgresql:///c")
        assert origins_of(loaded, "web.tcp_port", "web.threads", "database.url", "log.level") == [
            "variable LASTMILE_WEB_TCP_PORT",
            f"{tmp_path}/lastmile.d/10-early.toml:3",
            "credential database.url",
            f"{config}:7",
        ]

    def test_a_table_is_replaced_as_a_whole(self, tmp_path: Path) -> None:
        config = write(tmp_path, '[proxy.users]\nann = "one"\n')
        write(tmp_path, '[proxy]\nusers = {bob = "two"}\n', "lastmile.d/a.toml")
        assert set(load(config, {}).settings.proxy.users) == {"bob"}


class TestVariables:
    def test_values_are_parsed_by_the_type_of_the_setting(self, tmp_path: Path) -> None:
        environ = {
            "LASTMILE_MODEM_PIN": "0123",
            "LASTMILE_MODEM_USB_IDS": '["2c7c:0125"]',
            "LASTMILE_HEALTH_INTERVAL_SECONDS": "30",
            "LASTMILE_PROXY_ALLOW": '["192.0.2.0/24"]',
            "LASTMILE_PROXY_USERS": '{bob = "x1"}',
            "LASTMILE_PROXY_NAMESERVERS": "carrier",
            "LASTMILE_AGENT_STATE_DIR": "/srv/lastmile",
        }
        settings = load(write(tmp_path, ""), environ).settings
        assert settings.modem.pin == SecretStr("0123")
        assert settings.modem.usb_ids == ("2c7c:0125",)
        assert settings.health.interval_seconds == 30
        assert settings.proxy.allow == (IPv4Network("192.0.2.0/24"),)
        assert settings.proxy.users == {"bob": SecretStr("x1")}
        assert settings.proxy.nameservers == "carrier"
        assert settings.agent.state_dir == Path("/srv/lastmile")

    def test_a_text_cannot_smuggle_in_a_second_key(self) -> None:
        setting = all_settings()["web.tcp_port"]
        assert parse_text(setting, "1\nother = 2") == "1\nother = 2"

    def test_unknown_variables_are_refused_with_a_hint(self, tmp_path: Path) -> None:
        assert refused(write(tmp_path, ""), {"LASTMILE_DATABASE_URI": URL}) == [
            "variable LASTMILE_DATABASE_URI: unknown variable; did you mean LASTMILE_DATABASE_URL?"
        ]


class TestRefusal:
    def test_every_problem_is_listed_with_its_place(self, tmp_path: Path) -> None:
        config = write(
            tmp_path,
            '# farm\n[web]\ntcp_prot = 1\nthreads = "many"\n\n[dattabase]\nurl = ""\n[modem]\npin = "12"\n'
            '[proxy]\nallow = ["10.1.1.0/abc"]\n[log]\nlevel = "loud"\n',
        )
        write(tmp_path, "[web\n", "lastmile.d/a.toml")
        problems = refused(config, {"LASTMILE_HOTPLUG_BATCH_SIZE": "0"})
        text = "\n".join(problems)
        assert f"{config}:3: web.tcp_prot: unknown key; did you mean tcp_port?" in problems
        assert f"{config}:6: [dattabase]: unknown section; did you mean database?" in problems
        assert (
            f'{config}:4: web.threads = "many": input should be a valid integer (allowed: a whole number from 2 to 512)'
            in problems
        )
        assert f"{config}:9: modem.pin = ***: a PIN is 4 to 8 digits (allowed: a text)" in problems
        assert f'{config}:11: proxy.allow = ["10.1.1.0/abc"]: ' in text
        assert f'{config}:13: log.level = "loud"' in text
        assert 'one of "debug", "info", "warning", "error"' in text
        assert "variable LASTMILE_HOTPLUG_BATCH_SIZE: hotplug.batch_size = 0: " in text
        assert f"{tmp_path}/lastmile.d/a.toml:1: not valid TOML" in text
        assert len(problems) == 8

    def test_an_unknown_key_never_shows_its_value(self, tmp_path: Path) -> None:
        assert "s3cret" not in "\n".join(refused(write(tmp_path, f'[database]\nurll = "{URL}"\n')))

    def test_a_bad_secret_never_shows_its_value(self, tmp_path: Path) -> None:
        config = write(tmp_path, '[modem]\npin = 98765\n[proxy]\nusers = {bob = "se cret"}\n')
        text = "\n".join(refused(config))
        assert "98765" not in text
        assert "se cret" not in text
        assert "modem.pin = ***" in text

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ('[database]\npool_size = "4"\n', ":2: database.pool_size"),
            ("[database]\npool_size = true\n", ":2: database.pool_size"),
            ("[database]\npool_size = 4.5\n", ":2: database.pool_size"),
            ("[database]\npool_size = 1979-05-27\n", ":2: database.pool_size"),
            ("[health]\ninterval_seconds = nan\n", ":2: health.interval_seconds"),
            ("[health]\ninterval_seconds = inf\n", ":2: health.interval_seconds"),
            ("web = 5\n", ":1: web: this is a section"),
            ("[database.url]\na = 1\n", ":1: database.url"),
            ('[proxy]\nlisten = "lan0"\n', ":2: proxy.listen"),
            ('[modem]\nleave_to_modemmanager = ["usb1"]\n', ":2: modem.leave_to_modemmanager"),
            ('[modem]\nleave_to_modemmanager = ["1-1.2/.."]\n', ":2: modem.leave_to_modemmanager"),
            (
                "[proxy]\ntcp_port_last = 3000\n",
                ":2: proxy.tcp_port_last = 3000: tcp_port_last must not be below",
            ),
        ],
    )
    def test_types_are_strict(self, tmp_path: Path, text: str, place: str) -> None:
        config = write(tmp_path, text)
        problems = refused(config)
        assert len(problems) == 1
        assert problems[0].startswith(f"{config}{place}")

    def test_a_file_that_was_asked_for_must_exist(self, tmp_path: Path) -> None:
        assert refused(tmp_path / "no.toml") == [f"{tmp_path}/no.toml: there is no such file"]

    def test_what_is_no_text_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "lastmile.toml").write_bytes(b"[web]\n\xff = 1\n")
        assert "is not UTF-8" in refused(tmp_path / "lastmile.toml")[0]

    def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        assert "cannot be read" in refused(tmp_path)[0]

    def test_credentials_are_for_secrets(self, tmp_path: Path) -> None:
        config = write(tmp_path, "")
        write(tmp_path, "8081", "credentials/web.tcp_port")
        problems = refused(config, {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")})
        assert problems == [
            "credential web.tcp_port: unknown credential (allowed: database.url, modem.pin, proxy.users, "
            "acs.connection_request_password, alerts.smtp_password)"
        ]

    def test_it_is_a_config_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError):
            load(tmp_path / "no.toml", {})


class TestShowing:
    def test_secrets_are_hidden_and_origins_named(self, tmp_path: Path) -> None:
        config = write(
            tmp_path,
            f'[database]\nurl = "{URL}"\n[modem]\npin = "4321"\n[proxy]\nusers = {{bob = "hunter2"}}\n',
        )
        rows = {row.key: row for row in render_effective(load(config, {}), origin=True)}
        assert list(rows) == list(all_settings())
        assert rows["database.url"].value == '"postgresql://lastmile:***@db.example.org/lastmile"'
        assert rows["database.url"].origin == f"{config}:2"
        assert rows["modem.pin"].value == "***"
        assert rows["proxy.users"].value == '{"bob" = "***"}'
        assert rows["web.tcp_port"].value == "8080"
        assert rows["web.tcp_port"].origin == "default"
        assert not {"s3cret", "4321", "hunter2"} & set("\n".join(row.value for row in rows.values()).split())

    def test_origins_are_left_out_unless_asked_for(self, tmp_path: Path) -> None:
        assert {row.origin for row in render_effective(load(write(tmp_path, ""), {}))} == {""}

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("postgresql:///lastmile", "postgresql:///lastmile"),
            ("postgresql://db/lastmile", "postgresql://db/lastmile"),
            ("postgresql://ann@db:5432/x", "postgresql://ann@db:5432/x"),
            ("postgresql://ann:p%40w@db/x", "postgresql://ann:***@db/x"),
            ("postgresql://ann:p@s/w@db/x", "postgresql://ann:***@db/x"),
            (
                "postgres://db/x?user=a&password=s3&sslmode=require",
                "postgres://db/x?user=a&password=***&sslmode=require",
            ),
            ("postgres://db/x?sslpassword=s3", "postgres://db/x?sslpassword=***"),
            ("host=db password=s3 user=x", "host=db password=*** user=x"),
            ("host=db password = 's 3' user=x", "host=db password = *** user=x"),
            ("s3cret", "***"),
        ],
    )
    def test_passwords_in_database_urls(self, url: str, shown: str) -> None:
        assert redact_url(url) == shown


class TestPermissions:
    def test_a_secret_that_everybody_can_read_is_warned_of(self, tmp_path: Path) -> None:
        config = write(tmp_path, f'[database]\nurl = "{URL}"\n')
        assert load(config, {}).warnings == ()
        config.chmod(0o644)
        (warning,) = load(config, {}).warnings
        assert "database.url" in warning
        assert "0644" in warning
        assert "s3cret" not in warning

    def test_a_url_without_password_is_no_secret(self, tmp_path: Path) -> None:
        config = write(tmp_path, '[database]\nurl = "postgresql:///lastmile"\n')
        config.chmod(0o644)
        assert load(config, {}).warnings == ()

    def test_a_file_that_everybody_can_change_is_warned_of(self, tmp_path: Path) -> None:
        config = write(tmp_path, "")
        config.chmod(0o666)
        assert "can change it" in load(config, {}).warnings[0]


def test_lines_are_found_past_long_strings_and_dotted_keys() -> None:
    text = (
        'web.tcp_port = 1\n[agent] # here\nhost = """\n[log]\nlevel = 1\n"""\n"run_dir" = 1\n[proxy.users]\na = "b"\n'
    )
    assert find_lines(text) == {
        "web": 1,
        "web.tcp_port": 1,
        "agent": 2,
        "agent.host": 3,
        "agent.run_dir": 7,
        "proxy": 8,
        "proxy.users": 8,
    }


def test_the_defaults_satisfy_the_schema_themselves() -> None:
    document = Settings().model_dump()
    document["database"]["url"] = Settings().database.url.get_secret_value()
    assert Settings.model_validate(document) == Settings()
