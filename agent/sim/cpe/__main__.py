"""A fleet of emulated CPEs as a process: `python -m agent.sim.cpe --url http://127.0.0.1:7547/ --count 200`.

It says `ready` when it listens for connection requests, then a line of figures every so often, and ends on SIGTERM or
SIGINT with status 0; 1 when the emulator itself failed, 78 when the options make no sense.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections import Counter

from agent.core.errors import ConfigError
from agent.sim.cpe.fleet import CpeFleet
from agent.sim.cpe.fleet_options import MIXED, FleetOptions
from agent.sim.cpe.http_auth import Auth
from agent.sim.cpe.wire import Wire

_CONFIG_STATUS = 78


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal; the exit status."""
    given = _parser().parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        fleet = CpeFleet(_options(given))
        with fleet:
            print("ready", flush=True)
            while not ended.wait(given.report_seconds or None):
                print(_figures(fleet), flush=True)
    except ConfigError as error:
        print(f"cpe: {error}", file=sys.stderr)
        return _CONFIG_STATUS
    print(_figures(fleet), flush=True)
    for failure in fleet.failures():
        print(f"cpe: {failure}", file=sys.stderr)
    return 1 if fleet.failures() else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agent.sim.cpe", description="Emulated CPEs")
    parser.add_argument("--url", required=True, help="of the ACS")
    parser.add_argument("--count", type=int, default=1, help="how many CPEs")
    parser.add_argument("--model", default=MIXED, help="tr098, tr181, mixed or a file")
    parser.add_argument("--leaves", type=int, help="limit the model to that many parameters")
    parser.add_argument("--interval", type=int, default=300, help="PeriodicInformInterval in seconds")
    parser.add_argument("--seed", default="", help="other serial numbers")
    parser.add_argument("--first-number", type=int, default=0, help="number of the first CPE")
    parser.add_argument("--start-within", type=float, default=10.0, help="seconds over which they are switched on")
    parser.add_argument("--sessions", type=int, default=64, help="at most that many at a time")
    parser.add_argument("--auth", choices=[each.value for each in Auth], default=Auth.NONE.value)
    parser.add_argument("--user", default="", help="for the ACS; @SERIAL@ is the serial number")
    parser.add_argument("--password", default="", help="for the ACS; @SERIAL@ is the serial number")
    parser.add_argument("--connection-request-user", default="")
    parser.add_argument("--connection-request-password", default="")
    parser.add_argument("--listen", default="127.0.0.1", help="address for connection requests")
    parser.add_argument("--announce", default="", help="host that ConnectionRequestURL says, if another")
    parser.add_argument("--listen-port", type=int, default=0, help="TCP port for connection requests")
    parser.add_argument("--cwmp", default="1.2", help="version, 1.0 to 1.4")
    parser.add_argument("--report-seconds", type=float, default=10.0, help="0: no figures while it runs")
    return parser


def _options(given: argparse.Namespace) -> FleetOptions:
    return FleetOptions(
        url=given.url,
        count=given.count,
        model=given.model,
        leaves=given.leaves,
        seed=given.seed,
        first_number=given.first_number,
        interval_seconds=given.interval,
        username=given.user,
        password=given.password,
        connection_request_username=given.connection_request_user,
        connection_request_password=given.connection_request_password,
        listen_host=given.listen,
        listen_port=given.listen_port,
        announced_host=given.announce,
        start_within_seconds=given.start_within,
        most_sessions=given.sessions,
        wire=Wire(auth=Auth(given.auth), cwmp_version=given.cwmp),
    )


def _figures(fleet: CpeFleet) -> str:
    states = fleet.status()
    outcomes = Counter(each.last_outcome.value for each in states if each.last_outcome is not None)
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    completed, failed = sum(each.sessions_completed for each in states), sum(each.sessions_failed for each in states)
    rpcs = sum(each.rpcs_answered for each in states)
    return f"{len(states)} CPEs; {completed} sessions, {failed} failed, {rpcs} RPCs; last: {told or 'none yet'}"


if __name__ == "__main__":
    sys.exit(main())
