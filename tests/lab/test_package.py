"""The middle form: the Debian package under a real systemd, with a real PostgreSQL, in a container (no USB)."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from agent.core.identifiers import Serial
from agent.host.proxy.render import ThreeProxyRenderer
from agent.host.proxy.systemd_units import drop_in_text
from agent.modem.model import Allocation, Desired, ProxyPolicy
from tests.lab.container import LabContainer
from tests.lab.grounds import package_under_test
from tests.lab.product import Product
from tests.lab.standin import install_3proxy
from tests.packaging.repack import with_version

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
SERIAL, UID = "867586040000010", 70_000
DROP_IN = f"/run/systemd/system/3proxy@{SERIAL}.service.d/50-lastmile.conf"
CONFIG = f"/etc/lastmile/3proxy/{SERIAL}.cfg"
MODEM_ROW = (
    "INSERT INTO modems (serial, host, proxy_port, uid, fib_table, status) "
    f"SELECT '{SERIAL}', name, 3128, {UID}, 20000, 'offline' FROM hosts"
)
BROKEN_MIGRATION = "ALTER TABLE no_such_table ADD COLUMN nothing text;\n"
SERVICES = "lastmile-agent.service lastmile-web.service"


@pytest.fixture
def product(container: LabContainer) -> Product:
    """A container with 3proxy; lastmile is not installed yet."""
    install_3proxy(container)
    return Product(container)


def start_a_proxy(product: Product) -> str:
    """Have one instance run, as the agent starts them, for a modem that is away; its process id."""
    product.sh(f'psql -XAtq lastmile -c "{MODEM_ROW}"')
    product.machine.put(DROP_IN, drop_in_text(UID).encode())
    wishes = Desired(
        serial=Serial(SERIAL),
        allocation=Allocation(tcp_port=3128, uid=UID, table=20_000),
        proxy=ProxyPolicy(
            listen=ip_address("127.0.0.1"), allow=("127.0.0.0/8",), nameservers=(ip_address("203.0.113.53"),)
        ),
    )
    product.machine.put(CONFIG, ThreeProxyRenderer().render(wishes, ()).encode(), 0o640)
    product.sh(f"chown 0:{UID} {CONFIG}; systemctl start 3proxy@{SERIAL}")
    product.wait(lambda: bool(listening(product)), 30, "the proxy listens")
    return pid_of(product, f"3proxy@{SERIAL}")


def listening(product: Product) -> str:
    return product.sh("ss -Hltn sport = 3128").out


def pid_of(product: Product, unit: str) -> str:
    pid = product.sh(f"systemctl show -P MainPID {unit}").out.strip()
    assert pid != "0", product.story()
    return pid


def active(product: Product) -> list[str]:
    return product.sh(f"systemctl is-active {SERVICES}", check=False).out.split()


def test_declined_it_waits_for_a_database_and_says_so(product: Product) -> None:
    product.sh("echo 'lastmile lastmile/database-create boolean false' | debconf-set-selections")
    said = product.install(package_under_test()).out
    assert "next step: set database.url" in said, said
    assert active(product) == ["inactive", "inactive"]
    assert product.sh("systemctl is-enabled lastmile.target").out == "enabled\n"
    assert product.sh("runuser -u postgres -- psql -XAtc 'SELECT rolname FROM pg_roles'").out.count("lastmile") == 0
    product.sh("echo 'lastmile lastmile/database-create boolean true' | debconf-set-selections")
    product.sh("DEBIAN_FRONTEND=noninteractive dpkg-reconfigure lastmile 2>&1", timeout=120)
    assert active(product) == ["active", "active"]


def test_a_life_from_installation_to_purge(product: Product, tmp_path: Path) -> None:
    package = package_under_test()
    said = product.install(package).out
    assert "next step: plug a modem in" in said, said
    assert active(product) == ["active", "active"], product.story()
    assert product.sh("psql -XAtq lastmile -c 'SELECT session_user, current_user'").out == "root|lastmile\n"
    proxy, agent = start_a_proxy(product), pid_of(product, "lastmile-agent")

    # An upgrade goes over to the new version, and the proxy does not notice.
    product.install(with_version(package, "97.0~lab1", tmp_path))
    assert active(product) == ["active", "active"], product.story()
    assert pid_of(product, "lastmile-agent") != agent
    assert pid_of(product, f"3proxy@{SERIAL}") == proxy
    assert "/97.0~lab1." in product.sh("readlink /usr/lib/lastmile/current").out

    # A migration that fails leaves the old version running, also after a restart, and says so.
    agent = pid_of(product, "lastmile-agent")
    broken = with_version(package, "98.0~lab2", tmp_path, migration=BROKEN_MIGRATION)
    product.machine.put("/root/broken.deb", broken.read_bytes())
    failed = product.sh(
        "DEBIAN_FRONTEND=noninteractive apt-get install -y /root/broken.deb 2>&1", check=False, timeout=180
    )
    assert failed.rc != 0
    assert "97.0~lab1 goes on running" in failed.out, failed.out
    assert pid_of(product, "lastmile-agent") == agent
    product.sh("systemctl restart lastmile-agent lastmile-web", timeout=60)
    assert active(product) == ["active", "active"], product.story()
    assert "/97.0~lab1." in product.sh("readlink /usr/lib/lastmile/current").out
    product.install(with_version(package, "99.0~lab3", tmp_path))
    assert "/99.0~lab3." in product.sh("readlink /usr/lib/lastmile/current").out
    assert pid_of(product, f"3proxy@{SERIAL}") == proxy

    # Removed, it keeps settings and data; purged, nothing is left.
    product.sh("DEBIAN_FRONTEND=noninteractive apt-get remove -y lastmile 2>&1", timeout=120)
    assert listening(product) == ""
    assert product.sh("ls /etc/lastmile/lastmile.toml /var/lib/lastmile/created-by-package").rc == 0
    product.install(package)
    assert active(product) == ["active", "active"], product.story()
    product.sh("DEBIAN_FRONTEND=noninteractive apt-get purge -y lastmile 2>&1", timeout=120)
    assert product.leftovers() == []
