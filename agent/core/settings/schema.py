"""Every setting, its type, its default and what it means. The reference in docs/ is made from these texts."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

Network = IPv4Network | IPv6Network
Seconds = Annotated[float, Field(ge=0, le=86_400)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400)]
TcpPort = Annotated[int, Field(ge=1, le=65_535)]
MAIL_ADDRESS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?"
"""What we take for an e-mail address: a plain one, without quotes, comments or white space (RFC 5321 §4.1.2)."""


class Section(BaseModel):
    """A table of the settings file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AgentSettings(Section):
    """[agent] This host and its places on disk."""

    host: str = Field(
        default="",
        max_length=63,
        description="Name of this host in the fleet; empty: the machine's host name.",
    )
    state_dir: Path = Field(
        default=Path("/var/lib/lastmile"), description="Kept over reboots: wishes, PIN tries, the outbox."
    )
    run_dir: Path = Field(default=Path("/run/lastmile"), description="Gone at reboot: data session handles.")
    device_dir: Path = Field(
        default=Path("/dev/modems"), description="Where <serial>/at and <serial>/qmi links are made."
    )
    outbox_rows: int = Field(
        default=100_000,
        ge=100,
        description="Rows kept on disk while the database is away; then the oldest log rows go first.",
    )


class DatabaseSettings(Section):
    """[database] PostgreSQL."""

    url: SecretStr = Field(default=SecretStr("postgresql:///lastmile"), description="libpq connection URI.")
    pool_size: int = Field(default=4, ge=1, le=100, description="Most connections of one process.")
    timeout_seconds: PositiveSeconds = Field(default=5.0, description="Longest wait for a connection or a statement.")


class HotplugSettings(Section):
    """[hotplug] How modems that appear are admitted."""

    collect_seconds: Seconds = Field(
        default=2.0, description="Events of one slot are collected for this long before they count."
    )
    batch_size: int = Field(default=5, ge=1, le=1000, description="Modems admitted at once.")
    batch_interval_seconds: Seconds = Field(default=5.0, description="Wait between two batches.")
    rescan_seconds: PositiveSeconds = Field(
        default=5.0, description="Enumeration repeated as a safety net for lost events."
    )


class ModemSettings(Section):
    """[modem] What is wanted of every modem, unless its own row says otherwise."""

    apn: str = Field(default="", max_length=100, description="Access point name; empty: the SIM's default profile.")
    pin: SecretStr | None = Field(default=None, description="SIM PIN, tried once per SIM, ever.")
    boot_seconds: PositiveSeconds = Field(
        default=60.0, description="How long a modem may take from its first event to its first answer."
    )
    at_timeout_seconds: PositiveSeconds = Field(default=5.0, description="Deadline of an ordinary AT command.")
    qmi_timeout_seconds: PositiveSeconds = Field(default=20.0, description="Deadline of a qmicli call.")
    usb_ids: tuple[str, ...] = Field(
        default=("2c7c:0125", "2c7c:0121"), description="USB vendor:product of the modems to manage."
    )
    leave_to_modemmanager: tuple[str, ...] = Field(
        default=(),
        description=(
            'Slots, such as "1-1.2", whose modems are not lastmile\'s: ModemManager may have them. A modem that thus '
            "changes hands is detached from the bus and attached again when the agent starts."
        ),
    )

    @field_validator("pin")
    @classmethod
    def _pin_is_digits(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[0-9]{4,8}", value.get_secret_value()):
            raise ValueError("a PIN is 4 to 8 digits")
        return value

    @field_validator("apn")
    @classmethod
    def _apn_is_a_name(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", value):
            raise ValueError("an APN has letters, digits, '.', '-' and '_' only")
        return value

    @field_validator("leave_to_modemmanager")
    @classmethod
    def _slots_are_slots(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for slot in value:
            if not re.fullmatch(r"[0-9]+-[0-9]+(\.[0-9]+)*", slot):
                raise ValueError(f"{slot!r} is not a slot, such as 1-1.2 (see SLOT in lastmile status)")
        return value

    @field_validator("usb_ids")
    @classmethod
    def _usb_ids_are_pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pair in value:
            if not re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", pair):
                raise ValueError(f"{pair!r} is not vendor:product in lower-case hexadecimal, such as 2c7c:0125")
        return value


class ProxySettings(Section):
    """[proxy] The 3proxy instance of every modem."""

    listen: str = Field(
        default="auto",
        description=('Address the proxies listen on; "auto": the address of the link that has the default route.'),
    )
    allow: tuple[Network, ...] | Literal["auto"] = Field(
        default="auto", description='Networks of the clients; "auto": the network of the listen address.'
    )
    deny_to: tuple[Network, ...] = Field(
        default=(),
        description=("Destinations denied besides the built-in list (loopback, private, link-local, multicast)."),
    )
    users: dict[str, SecretStr] = Field(
        default={}, description="name = password; when there are any, clients must log in."
    )
    nameservers: tuple[str, ...] | Literal["carrier"] = Field(
        default="carrier",
        description=('Resolvers the proxies ask, through their modem; "carrier": those of the modem\'s own bearer.'),
    )
    tcp_port_first: TcpPort = Field(default=3128, description="First TCP port given to a modem.")
    tcp_port_last: TcpPort = Field(default=3627, description="Last TCP port given to a modem.")
    uid_first: int = Field(
        default=70_000,
        ge=1000,
        le=4_000_000_000,
        description="uid of the first modem's proxy; one uid per modem.",
    )
    table_first: int = Field(
        default=20_000,
        ge=1000,
        le=4_000_000_000,
        description="Routing table of the first modem; one table per modem.",
    )
    rule_priority: int = Field(default=2_000, ge=100, le=30_000, description="Priority of the modems' routing rules.")
    maximum_connections: int = Field(default=500, ge=1, le=100_000, description="Most connections of one proxy.")
    config_dir: Path = Field(default=Path("/etc/lastmile/3proxy"), description="Where <serial>.cfg is written.")
    runner: Literal["systemd", "process"] = Field(
        default="systemd",
        description="systemd: units 3proxy@<serial>; process: plain processes (demo, tests).",
    )
    command: str = Field(default="3proxy", description='Program for runner = "process".')

    @model_validator(mode="after")
    def _port_range_is_a_range(self) -> ProxySettings:
        if self.tcp_port_last < self.tcp_port_first:
            raise ValueError("tcp_port_last must not be below tcp_port_first")
        return self

    @field_validator("listen")
    @classmethod
    def _listen_is_an_address(cls, value: str) -> str:
        if value != "auto":
            ip_address(value)
        return value

    @field_validator("nameservers")
    @classmethod
    def _nameservers_are_addresses(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        if isinstance(value, tuple):
            for address in value:
                ip_address(address)
            if not value:
                raise ValueError('name at least one resolver, or "carrier"')
        return value

    @field_validator("users")
    @classmethod
    def _users_are_safe(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, password in value.items():
            if not re.fullmatch(r"[A-Za-z0-9._@-]{1,64}", name):
                raise ValueError(f"user name {name!r} may have letters, digits and ._@- only")
            if not re.fullmatch(r"[!#%&()*+,./0-9<=>?@A-Z^_a-z{|}~-]{1,128}", password.get_secret_value()):
                raise ValueError(
                    f"the password of {name!r} must be 1 to 128 printable characters, "
                    "without space, quote, colon, $, [, ], ; and backslash"
                )
        return value


class HealthSettings(Section):
    """[health] How modems are watched and healed."""

    interval_seconds: PositiveSeconds = Field(
        default=30.0, description="Time between two looks at a modem that is well."
    )
    probe_target: str = Field(
        default="1.1.1.1:443", description="ADDRESS:TCP-PORT that must be reachable through every modem."
    )
    probe_name: str = Field(default="one.one.one.one", description="Name that the modem's resolver must answer.")
    probe_timeout_seconds: PositiveSeconds = Field(default=5.0, description="Deadline of one probe.")
    failures_before_recovery: int = Field(
        default=3, ge=1, le=100, description="Failed looks in a row before recovery starts."
    )
    grace_seconds: Seconds = Field(
        default=120.0,
        description="How long a modem may take to register and connect before that counts as failing.",
    )
    minimum_uptime_seconds: Seconds = Field(default=120.0, description="Least time between two recovery steps.")
    recovery_wait_seconds: PositiveSeconds = Field(
        default=30.0, description="Wait after the first recovery step; it doubles with every further one."
    )
    recovery_wait_most_seconds: PositiveSeconds = Field(
        default=900.0, description="Longest wait between two recovery steps."
    )
    port_power_command: tuple[str, ...] = Field(
        default=(),
        description="Program and arguments that switch a USB port's power off and on; the slot is added at the end.",
    )
    quarantine_score: float = Field(
        default=5.0, gt=0, description="Recovery steps, decaying, after which a modem is quarantined."
    )
    score_half_life_seconds: PositiveSeconds = Field(default=3600.0, description="Time in which the score halves.")

    @field_validator("probe_target")
    @classmethod
    def _target_is_address_and_port(cls, value: str) -> str:
        address, separator, port = value.rpartition(":")
        if not separator or not port.isdigit() or not 1 <= int(port) <= 65_535:
            raise ValueError("ADDRESS:TCP-PORT is wanted, such as 1.1.1.1:443 or [2606:4700:4700::1111]:443")
        ip_address(address.strip("[]"))
        return value


class WebSettings(Section):
    """[web] The REST API and the pages."""

    listen: str = Field(
        default="127.0.0.1",
        description=(
            "Address the web process listens on, unless systemd listens for it (lastmile-web.socket, as installed): "
            "then that unit's counts, `systemctl edit lastmile-web.socket` changes it, and a difference is logged."
        ),
    )
    tcp_port: TcpPort = Field(
        default=8080, description="TCP port the web process listens on, unless lastmile-web.socket does it."
    )
    threads: int = Field(default=32, ge=2, le=512, description="Requests served at once; the rest wait their turn.")
    event_streams: int = Field(
        default=200,
        ge=1,
        le=900,
        description="Most live event streams at once, pages that are open among them; they take no thread.",
    )
    command_timeout_seconds: PositiveSeconds = Field(
        default=30.0, description="Longest wait for the agent's answer to a command."
    )
    host_names: tuple[str, ...] = Field(
        default=(),
        description=(
            "Names that browsers and clients may call this server by, besides its addresses, localhost and "
            "the machine's own name."
        ),
    )
    allowed_origins: tuple[str, ...] = Field(
        default=(),
        description=("Web origins (https://pages.example.org) whose scripts may call the API; none by default."),
    )

    trusted_proxies: tuple[Network, ...] = Field(
        default=(), description="Reverse proxies whose Forwarded or X-Forwarded-For header is believed."
    )
    behind_tls: bool = Field(
        default=False,
        description="A reverse proxy in front speaks TLS with browsers: cookies and headers are then as for TLS.",
    )
    tls: Literal["off", "given", "self-made"] = Field(
        default="off",
        description=(
            "TLS of the web process. given: with tls_certificate and tls_key; self-made: with a certificate that it "
            "makes, renews, and keeps in state_dir."
        ),
    )
    state_dir: Path = Field(
        default=Path("/var/lib/lastmile-web"), description="Where the self-made certificate and its key are kept."
    )
    tls_certificate: Path | None = Field(default=None, description='Certificate chain (PEM) for tls = "given".')
    tls_key: Path | None = Field(default=None, description="Key of the certificate (PEM).")
    session_idle_minutes: int = Field(
        default=60, ge=5, le=1440, description="An operator who does nothing for so long is signed out."
    )
    session_hours: int = Field(
        default=12, ge=1, le=720, description="An operator is signed out after so long, whatever they do."
    )

    @field_validator("listen")
    @classmethod
    def _listen_is_an_address(cls, value: str) -> str:
        ip_address(value)
        return value

    @field_validator("host_names")
    @classmethod
    def _host_names_are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name):
                raise ValueError(f"{name!r} is not a host name (without scheme and TCP port)")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins_are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?", origin):
                raise ValueError(
                    f"{origin!r} is not an origin: scheme://host[:port] in lower case, and nothing behind it"
                )
        return value

    @model_validator(mode="after")
    def _tls_is_whole(self) -> WebSettings:
        given = self.tls_certificate is not None, self.tls_key is not None
        if any(given) != all(given):
            raise ValueError("tls_certificate and tls_key go together")
        if all(given) != (self.tls == "given"):
            raise ValueError('tls = "given" takes tls_certificate and tls_key, and they take it')
        return self

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by TLS."""
        return self.tls != "off" or self.behind_tls


class AcsSettings(Section):
    """[acs] The auto-configuration server that CPEs talk TR-069 with."""

    listen: str = Field(
        default="127.0.0.1:7547",
        description=(
            "ADDRESS:TCP-PORT the ACS listens on, unless systemd listens for it (lastmile-acs.socket, as installed): "
            "then that unit's counts."
        ),
    )
    workers: int = Field(default=1, ge=0, le=256, description="Worker processes; 0: one per processor core.")
    threads: int = Field(default=16, ge=1, le=256, description="Requests that one worker works on at once.")
    authentication: tuple[Literal["none", "basic", "digest"], ...] = Field(
        default=("digest",),
        description=(
            "How CPEs may authenticate themselves; digest alone by default. none: whoever reaches the TCP port is "
            "taken for the device that it says it is."
        ),
    )
    realm: str = Field(default="lastmile", min_length=1, max_length=64, description="Realm of the CPEs' credentials.")
    nonce_seconds: PositiveSeconds = Field(default=300.0, description="How long a nonce of digest is good.")
    new_devices: Literal["accept", "hold", "refuse"] = Field(
        default="accept",
        description="What a device that was never seen gets; hold: an operator must accept it first.",
    )
    new_devices_per_minute: int = Field(
        default=600, ge=0, le=1_000_000, description="Most devices that are registered in a minute."
    )
    session_idle_seconds: PositiveSeconds = Field(
        default=30.0, description="A session in which the CPE was silent for so long is over."
    )
    retry_after_seconds: int = Field(
        default=10, ge=1, le=3600, description="What a CPE that must wait is told (Retry-After)."
    )
    body_bytes_most: int = Field(
        default=16 * 1024 * 1024, ge=65_536, le=1_073_741_824, description="Largest message of a CPE, unpacked."
    )
    fault_retries: int = Field(default=5, ge=0, le=100, description="How often a task is tried again after a fault.")
    fault_retry_seconds: PositiveSeconds = Field(
        default=300.0, description="Wait before the first of these tries; it doubles with each."
    )
    task_hours: int = Field(default=168, ge=1, le=8760, description="A task that nothing took up for so long expires.")
    session_days: int = Field(default=30, ge=1, le=3650, description="Days that the history of sessions is kept.")
    trusted_proxies: tuple[Network, ...] = Field(
        default=(), description="Reverse proxies whose Forwarded or X-Forwarded-For header is believed."
    )
    client_certificate_header: str = Field(
        default="",
        max_length=64,
        description=(
            "Header in which a trusted proxy gives the subject of the CPE's certificate (such as X-SSL-Client-S-DN); "
            "empty: certificates say nothing."
        ),
    )
    tls_certificate: Path | None = Field(default=None, description="Certificate chain (PEM); none: plain HTTP.")
    tls_key: Path | None = Field(default=None, description="Key of the certificate (PEM).")
    tls_client_ca: Path | None = Field(
        default=None, description="Authorities (PEM); when set, a CPE must show a certificate that one of them signed."
    )
    connection_request_username: str = Field(
        default="", max_length=256, description="User name for connection requests; empty: the device id."
    )
    connection_request_password: SecretStr | None = Field(
        default=None, description="Password for connection requests; none: devices that ask for one cannot be woken."
    )
    connection_request_allow: tuple[Network, ...] = Field(
        default=(),
        description=(
            "Networks that connection requests may go to although they are loopback, link-local or this host's own."
        ),
    )
    connection_request_deny: tuple[Network, ...] = Field(
        default=(), description="Networks that connection requests never go to."
    )
    session_wait_seconds: PositiveSeconds = Field(
        default=30.0, description="How long a device has to begin its session after a connection request."
    )
    file_dir: Path = Field(
        default=Path("/var/lib/lastmile-files"), description="Where firmware, configurations and uploads are kept."
    )
    file_url: str = Field(
        default="",
        max_length=200,
        description="URL by which CPEs reach this server for files, such as http://acs.example.org:7547; empty: as in "
        "their request.",
    )
    file_bytes_most: int = Field(
        default=512 * 1024 * 1024, ge=1024, le=64 * 1024**3, description="Largest file that is taken."
    )

    @field_validator("listen")
    @classmethod
    def _listen_is_address_and_port(cls, value: str) -> str:
        address, separator, port = value.rpartition(":")
        if not separator or not port.isdigit() or not 1 <= int(port) <= 65_535:
            raise ValueError("ADDRESS:TCP-PORT is wanted, such as 0.0.0.0:7547 or [::]:7547")
        ip_address(address.strip("[]"))
        return value

    @field_validator("authentication")
    @classmethod
    def _some_way_in(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one way: none, basic or digest")
        if "none" in value and len(value) > 1:
            raise ValueError("none goes with nothing else: whoever may come without a name needs none")
        return value

    @model_validator(mode="after")
    def _tls_is_whole(self) -> AcsSettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Address, without brackets, and TCP port."""
        address, _, port = self.listen.rpartition(":")
        return address.strip("[]"), int(port)


class LogSettings(Section):
    """[log] What is written where."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity that is logged."
    )
    modem_log_days: int = Field(
        default=30, ge=1, le=3650, description="Days that modem_logs and modem_samples are kept."
    )
    audit_days: int = Field(
        default=730, ge=90, le=36_500, description="Days that the audit log is kept, in whole months."
    )


class HistorySettings(Section):
    """[history] How long measurements are kept once they are made coarser; log.modem_log_days is about the samples."""

    fine_days: int = Field(default=90, ge=7, le=3650, description="Days that steps of 5 minutes are kept, in months.")
    hour_days: int = Field(
        default=1095, ge=30, le=36_500, description="Days that steps of an hour are kept, in months."
    )
    day_days: int = Field(default=3650, ge=365, le=36_500, description="Days that steps of a day are kept, in years.")


class AlertSettings(Section):
    """[alerts] How people are told of alerts; the rules and whom to tell are in the database."""

    days: int = Field(default=365, ge=1, le=3650, description="Days that alerts which are over are kept.")
    page_url: str = Field(
        default="",
        max_length=200,
        description="URL of the pages, such as https://lastmile.example.org, for links in messages; empty: no links.",
    )
    smtp_host: str = Field(default="", max_length=253, description="Server that takes our e-mail; empty: none.")
    smtp_tcp_port: TcpPort = Field(default=587, description="TCP port of that server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="starttls: TLS is begun on the way; tls: from the first byte; none: never."
    )
    smtp_username: str = Field(default="", max_length=256, description="User name at that server; empty: no login.")
    smtp_password: SecretStr | None = Field(default=None, description="Password at that server.")
    mail_from: str = Field(
        default="lastmile@localhost", min_length=3, max_length=254, description="Address that e-mail comes from."
    )
    target_allow: tuple[Network, ...] = Field(
        default=(),
        description=(
            "Networks that webhooks and syslog may go to although they are loopback, link-local or this host's own."
        ),
    )
    target_deny: tuple[Network, ...] = Field(default=(), description="Networks that webhooks and syslog never go to.")

    @field_validator("page_url")
    @classmethod
    def _page_url_is_one(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?", value):
            raise ValueError(f"{value!r} is not an http or https URL")
        return value

    @field_validator("mail_from")
    @classmethod
    def _mail_from_is_an_address(cls, value: str) -> str:
        if not re.fullmatch(MAIL_ADDRESS, value):
            raise ValueError(f"{value!r} is not an e-mail address")
        return value

    @model_validator(mode="after")
    def _login_is_whole(self) -> AlertSettings:
        if bool(self.smtp_username) != (self.smtp_password is not None):
            raise ValueError("smtp_username and smtp_password go together")
        return self


class Settings(Section):
    """All settings of lastmile."""

    agent: AgentSettings = AgentSettings()
    database: DatabaseSettings = DatabaseSettings()
    hotplug: HotplugSettings = HotplugSettings()
    modem: ModemSettings = ModemSettings()
    proxy: ProxySettings = ProxySettings()
    health: HealthSettings = HealthSettings()
    web: WebSettings = WebSettings()
    acs: AcsSettings = AcsSettings()
    log: LogSettings = LogSettings()
    history: HistorySettings = HistorySettings()
    alerts: AlertSettings = AlertSettings()
