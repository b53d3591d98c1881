"""What the pages show: the real processes on a database of their own, modems in it, and CPEs that talk to the ACS."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from agent.cli.access_store import access_services
from agent.core.settings.schema import WebSettings
from agent.sim.cpe.cpe import Cpe
from agent.sim.cpe.model import Model
from agent.sim.cpe.model_files import load_model
from agent.sim.cpe.records import SessionReport
from agent.store.database import Database
from agent.store.rows import EVERYTHING, Role, Scope
from tests.acs_live.cpes import CpeMaker
from tests.acs_live.process import Lastmile, free_port, running_acs, running_worker
from tests.acs_live.waiting import until
from tests.store.farm import HOST, rows, serial_of
from tests.web.conftest import QUICK_PASSWORDS, add_modems
from tests.web.people import PASSWORD

MODEM = serial_of(1)
MODEMS = 6
START_SECONDS, SESSION_SECONDS = 60.0, 60.0
ONLINE = (
    "UPDATE modems SET status = 'online', reason = '', reported_at = now(), last_seen = now(),"
    " operator = 'Example Mobile', access_technology = 'lte', registration = 'home', imei = serial,"
    " iccid = '8949020000000000001',"
    " imsi = '262010000000001', model = 'EC25', revision = 'EC25EFAR06A06M4G', rssi_dbm = -61, rsrp_dbm = -92,"
    " rsrq_db = -9, sinr_db = 14, wan_address = '100.64.0.7', proxy_running = true, rx_bytes = 123456789,"
    " tx_bytes = 2345678, path = '/dev/modems/' || serial"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Everything runs; `url` is the pages'."""

    url: str
    database_url: str
    make_cpe: CpeMaker
    web: Lastmile

    def rows(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        """What a statement gives."""
        return rows(self.database_url, sql, *parameters)

    def add_operator(self, name: str, role: Role, scope: Scope = EVERYTHING) -> None:
        """Somebody who may sign in with PASSWORD."""
        with Database(self.database_url) as database:
            access = access_services(database, WebSettings(), QUICK_PASSWORDS)
            access.operators.create(name, role, scope, access.passwords.hash(PASSWORD))

    def meet(self, **options: object) -> Cpe:
        """A CPE whose tree the ACS has read."""
        cpe = self.make_cpe(**options)
        assert self.run_session(cpe).completed
        return cpe

    def run_session(self, cpe: Cpe) -> SessionReport:
        """One session of a CPE, in a thread: in this one the browser's event loop runs."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(cpe.run_session).result(SESSION_SECONDS)

    def keep_agent_alive(self) -> None:
        """The host's agent was heard of just now."""
        self.rows("UPDATE hosts SET last_seen = now() WHERE name = %s", HOST)


@contextmanager
def running_ground(
    database_url: str,
    folder: Path,
    *,
    model: Model | None = None,
    modems: int = MODEMS,
    prepare: Callable[[], None] = lambda: None,
) -> Iterator[Ground]:
    """Modems that are online, operators called as their roles; `lastmile web`, `acs` and `worker` that serve them.

    `prepare` is called when the modems are there, before anything runs."""
    folder.mkdir(parents=True, exist_ok=True)
    add_modems(database_url, folder / "wishes.json", modems)
    rows(database_url, ONLINE)
    prepare()
    with ExitStack() as stack:
        acs = stack.enter_context(running_acs(database_url, folder / "acs"))
        stack.enter_context(running_worker(database_url, folder))
        web, url = stack.enter_context(running_web(database_url, folder))
        maker = CpeMaker(acs.url, model or load_model("tr098").limited(400))
        ground = Ground(url=url, database_url=database_url, make_cpe=maker, web=web)
        for role in Role:
            ground.add_operator(role.value, role)
        yield ground


@contextmanager
def running_web(database_url: str, folder: Path, port: int = 0) -> Iterator[tuple[Lastmile, str]]:
    """`lastmile web`, and its URL; stopped at the end."""
    port = port or free_port()
    environment = {"LASTMILE_DATABASE_URL": database_url, "LASTMILE_WEB_TCP_PORT": str(port)}
    web = Lastmile("web", folder, environment)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert not web.ended, web.log
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/alive", timeout=5).status_code == 204
        return False

    try:
        until(answers, "the pages are served", START_SECONDS)
        yield web, url
    finally:
        if not web.ended:
            web.stop()
        print(web.log)
