"""The middle form: the Debian package under a real systemd, with a real PostgreSQL, in a container (no USB)."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from agent.core.identifiers import Serial
from agent.host.proxy.render import ThreeProxyRenderer
from agent.host.proxy.systemd_units import drop_in_text
from agent.modem.model import Allocation, Desired, ProxyPolicy
from tests.lab.container import LabContainer
from tests.lab.grounds import package_under_test
from tests.lab.machine import Result
from tests.lab.product import Product
from tests.lab.standin import install_3proxy
from tests.packaging.repack import with_version

pytestmark = [pytest.mark.systemd, pytest.mark.root, pytest.mark.timeout(1800)]
SERIAL, UID = "867586040000010", 70_000
DROP_IN = f"/run/systemd/system/3proxy@{SERIAL}.service.d/50-lastmile.conf"
CONFIG = f"/etc/lastmile/3proxy/{SERIAL}.cfg"
MODEM_ROW = (
    "INSERT INTO modems (serial, host, proxy_port, uid, fib_table, status) "
    f"SELECT '{SERIAL}', name, 3128, {UID}, 20000, 'offline' FROM hosts"
)
NUMBERS = f"SELECT proxy_port, uid, fib_table FROM modems WHERE serial = '{SERIAL}'"
FAILING_MIGRATION = "ALTER TABLE wanted_by_the_lab ADD COLUMN noted text;\n"
"""Fails until somebody has made that table."""
SERVICES = ("lastmile-agent", "lastmile-web")
ELSEWHERE = '[database]\nurl = "postgresql://elsewhere:secret@127.0.0.1/elsewhere"\n'
EDITED = "# edited by the operator"
COMMAND_SECONDS = 600.0


@pytest.fixture
def bare(container: LabContainer) -> Product:
    """A container; neither 3proxy nor lastmile is installed yet."""
    return Product(container)


@pytest.fixture
def product(bare: Product) -> Product:
    """A container with 3proxy; lastmile is not installed yet."""
    install_3proxy(bare.machine)
    return bare


def dpkg(product: Product, command: str, *, check: bool = True) -> Result:
    """A command of apt's or dpkg's that asks nobody; what it says is all in `out`."""
    return product.sh(f"DEBIAN_FRONTEND=noninteractive {command} 2>&1", check=check, timeout=COMMAND_SECONDS)


def install_failing(product: Product, package: Path) -> Result:
    """Install what cannot be configured."""
    product.machine.put(f"/root/{package.name}", package.read_bytes())
    failed = dpkg(product, f"apt-get install -y --no-install-recommends /root/{package.name}", check=False)
    assert failed.rc != 0, failed.out
    return failed


def answer(product: Product, *, create_database: bool) -> None:
    value = "true" if create_database else "false"
    product.sh(f"echo 'lastmile lastmile/database-create boolean {value}' | debconf-set-selections")


def as_postgres(product: Product, sql: str) -> str:
    """One statement; its rows."""
    return product.sh(f'runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -c "{sql}"').out


def next_steps(said: str) -> list[str]:
    # apt runs dpkg on a terminal, whose lines end in another way.
    return re.findall(r"^lastmile: next step: (.*?)\r?$", said, re.MULTILINE)


def active(product: Product) -> list[str]:
    return product.sh(f"systemctl is-active {' '.join(SERVICES)}", check=False).out.split()


def pid_of(product: Product, unit: str) -> str:
    pid = product.sh(f"systemctl show -P MainPID {unit}").out.strip()
    assert pid != "0", product.story()
    return pid


def pids(product: Product) -> list[str]:
    """The agent's and the web side's."""
    return [pid_of(product, unit) for unit in SERVICES]


def versions(product: Product) -> set[str]:
    """What the services run by, and what a new start of them would."""
    paths = [product.sh(f"tr '\\0' ' ' </proc/{pid}/cmdline").out for pid in pids(product)]
    paths.append(product.sh("readlink /usr/lib/lastmile/current").out.strip() + "/")
    found = [re.search(r"/versions/([^/]+)\.\w{6}/", path) for path in paths]
    assert all(found), paths
    return {each[1] for each in found if each is not None}


def start_a_proxy(product: Product) -> str:
    """Have one instance run, as the agent starts them, for a modem that is away; its process id."""
    product.sh(f'psql -XAtq lastmile -c "{MODEM_ROW}"')
    product.machine.put(DROP_IN, drop_in_text(UID).encode())
    wishes = Desired(
        serial=Serial(SERIAL),
        allocation=Allocation(tcp_port=3128, uid=UID, table=20_000),
        proxy=ProxyPolicy(
            listen=ip_address("10.213.0.2"), allow=("10.213.0.0/24",), nameservers=(ip_address("203.0.113.53"),)
        ),
    )
    product.machine.put(CONFIG, ThreeProxyRenderer().render(wishes, ()).encode(), 0o640)
    product.sh(f"chown 0:{UID} {CONFIG}; systemctl start 3proxy@{SERIAL}")
    product.wait(lambda: bool(listening(product)), 30, "the proxy listens")
    return pid_of(product, f"3proxy@{SERIAL}")


def listening(product: Product) -> str:
    return product.sh("ss -Hltn sport = 3128").out


def confined(product: Product) -> bool:
    """Whether what the proxy's uid sends leaves by its modem or not at all, in both families."""
    rules = product.sh("ip rule; echo; ip -6 rule").out.split("\n\n")
    return all(f"uidrange {UID}-{UID}" in each for each in rules)


def test_declined_it_waits_until_its_database_may_be_created(bare: Product) -> None:
    answer(bare, create_database=False)
    (step,) = next_steps(bare.install(package_under_test()).out)
    assert step.startswith("set database.url in /etc/lastmile/lastmile.toml"), step
    assert step.endswith("then: dpkg-reconfigure lastmile"), step
    assert active(bare) == ["inactive", "inactive"]
    assert bare.sh("systemctl is-enabled lastmile.target").out == "enabled\n"
    assert "lastmile" not in as_postgres(bare, "SELECT rolname FROM pg_roles UNION SELECT datname FROM pg_database")

    answer(bare, create_database=True)
    (step,) = next_steps(dpkg(bare, "dpkg-reconfigure lastmile").out)
    assert step.startswith("install 3proxy"), step
    assert active(bare) == ["active", "active"], bare.story()
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'lastmile'"
    assert as_postgres(bare, owner) == "lastmile\n"
    assert bare.sh("psql -XAtq lastmile -c 'SELECT session_user, current_user'").out == "root|lastmile\n"
    assert as_postgres(bare, "SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = 'root'") == "f|f\n"


def test_it_works_with_a_database_elsewhere_and_leaves_that_alone(bare: Product) -> None:
    as_postgres(bare, "CREATE ROLE elsewhere LOGIN PASSWORD 'secret'")
    as_postgres(bare, "CREATE DATABASE elsewhere OWNER elsewhere")
    answer(bare, create_database=False)
    bare.install(package_under_test())
    drop_in = "/etc/lastmile/lastmile.d/database.toml"
    bare.machine.put(drop_in, ELSEWHERE.encode(), 0o640)
    bare.sh(f"chgrp lastmile {drop_in}")
    (step,) = next_steps(dpkg(bare, "dpkg-reconfigure lastmile").out)
    assert step.startswith("install 3proxy"), step
    assert active(bare) == ["active", "active"], bare.story()

    # Settings that nobody can read are no obstacle to a purge, and what the package did not create is not its to drop.
    bare.machine.put(drop_in, b"[database\n", 0o640)
    said = dpkg(bare, "apt-get purge -y lastmile").out
    assert "the settings cannot be read" in said, said
    assert bare.leftovers() == []
    assert as_postgres(bare, "SELECT datname FROM pg_database WHERE datname = 'elsewhere'") == "elsewhere\n"


def test_a_life_from_installation_to_purge(product: Product, tmp_path: Path) -> None:
    package = package_under_test()
    product.configure()
    (step,) = next_steps(product.install(package).out)
    assert step.startswith("plug a modem in"), step
    assert active(product) == ["active", "active"], product.story()
    assert product.sh("systemctl --failed --no-legend").out == ""
    assert versions(product) == {product.sh("dpkg-query -W -f='${Version}' lastmile").out}
    proxy, old = start_a_proxy(product), pids(product)
    product.sh(f"echo '{EDITED}' >> /etc/lastmile/lastmile.toml")

    # An upgrade goes over to the new version, and the proxy does not notice.
    product.install(with_version(package, "97.0~lab1", tmp_path))
    assert active(product) == ["active", "active"], product.story()
    assert versions(product) == {"97.0~lab1"}
    assert not set(pids(product)) & set(old)
    assert pid_of(product, f"3proxy@{SERIAL}") == proxy
    product.wait(lambda: confined(product), 30, "the agent has met the modem's row, and its rules are there")

    # A migration that fails leaves the old version running, also after a restart, and says so.
    old = pids(product)
    failed = install_failing(product, with_version(package, "98.0~lab2", tmp_path, migration=FAILING_MIGRATION))
    assert "wanted_by_the_lab" in failed.out, failed.out
    assert "97.0~lab1 goes on running" in failed.out, failed.out
    assert "then: dpkg --configure lastmile" in failed.out, failed.out
    assert product.sh("dpkg-query -W -f='${db:Status-Status}' lastmile").out == "half-configured"
    assert pids(product) == old
    product.sh(f"systemctl restart {' '.join(SERVICES)}")
    assert active(product) == ["active", "active"], product.story()
    assert not set(pids(product)) & set(old)
    assert versions(product) == {"97.0~lab1"}

    # A better version mends it, and so does taking away what the migration stumbled over.
    product.install(with_version(package, "98.1~lab3", tmp_path))
    assert versions(product) == {"98.1~lab3"}
    last = with_version(package, "99.0~lab4", tmp_path, migration=FAILING_MIGRATION)
    install_failing(product, last)
    product.sh("psql -XAtq lastmile -c 'CREATE TABLE wanted_by_the_lab ()'")
    dpkg(product, "dpkg --configure lastmile")
    assert active(product) == ["active", "active"], product.story()
    assert versions(product) == {"99.0~lab4"}
    assert product.sh("psql -XAtq lastmile -c 'SELECT noted FROM wanted_by_the_lab'").out == ""
    assert product.sh("systemctl --failed --no-legend").out == ""
    assert pid_of(product, f"3proxy@{SERIAL}") == proxy

    # A removal that fails does not leave the proxies to themselves.
    folder = str(Path(DROP_IN).parent)
    product.sh(f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}")
    failed = dpkg(product, "apt-get remove -y lastmile", check=False)
    assert failed.rc != 0
    assert "the package stays" in failed.out, failed.out
    assert confined(product)
    assert active(product) == ["active", "active"], product.story()
    product.sh(f"umount {folder}")

    # Removed, it keeps settings and data; purged, nothing is left.
    dpkg(product, "apt-get remove -y lastmile")
    assert listening(product) == ""
    assert "uidrange" not in product.sh("ip rule; ip -6 rule").out
    (step,) = next_steps(product.install(last).out)
    assert step.startswith("plug a modem in"), step
    assert active(product) == ["active", "active"], product.story()
    assert EDITED in product.sh("cat /etc/lastmile/lastmile.toml").out
    assert product.sh(f'psql -XAtq lastmile -c "{NUMBERS}"').out == f"3128|{UID}|20000\n"
    dpkg(product, "apt-get purge -y lastmile")
    assert product.leftovers() == []
