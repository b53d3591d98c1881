"""What a fleet of emulated CPEs is made of."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.errors import ConfigError
from agent.sim.cpe.behaviour import Behaviour
from agent.sim.cpe.cpe import Cpe, CpeOptions
from agent.sim.cpe.device import Timing
from agent.sim.cpe.identity import MOST_CPES
from agent.sim.cpe.model import Model
from agent.sim.cpe.model_files import MODELS, load_model
from agent.sim.cpe.wire import Wire

MIXED = "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """The same options give the same CPEs. `@SERIAL@` in credentials is the CPE's serial number."""

    url: str
    count: int
    model: str = MIXED
    """`tr098`, `tr181`, a file, or `mixed`: every other one."""
    leaves: int | None = None
    seed: str = ""
    first_number: int = 0
    """CPEs of two fleets with one seed differ when their numbers do."""
    interval_seconds: int | None = 300
    username: str = ""
    password: str = ""
    connection_request_username: str = ""
    connection_request_password: str = ""
    listen_host: str = "127.0.0.1"
    """Where connection requests are heard."""
    listen_port: int = 0
    announced_host: str = ""
    """What ConnectionRequestURL says; empty: `listen_host`."""
    start_within_seconds: float = 0.0
    """The CPEs are switched on spread over this time, scaled by `time_scale`."""
    most_sessions: int = 64
    wire: Wire = field(default_factory=Wire)
    behaviour: Behaviour = field(default_factory=Behaviour)
    behaviours: Mapping[int, Behaviour] = field(default_factory=dict)
    """By place in the fleet, for those that behave otherwise."""
    timing: Timing = field(default_factory=Timing)

    def check(self) -> None:
        """ConfigError for numbers that make no sense."""
        if self.count < 0 or self.first_number < 0 or self.first_number + self.count > MOST_CPES:
            raise ConfigError(f"{self.count} CPEs from number {self.first_number} on: at most {MOST_CPES} are possible")
        if self.most_sessions < 1:
            raise ConfigError("a fleet has at least one session at a time")

    def load_models(self) -> tuple[Model, ...]:
        """The models of the CPEs, in turn; ConfigError when there is no such model."""
        names = MODELS if self.model == MIXED else (self.model,)
        return tuple(load_model(name, leaves=self.leaves) for name in names)


def request_path(options: FleetOptions, number: int) -> str:
    """Where CPE `number` hears connection requests: as hard to guess as on the devices that do this."""
    return "/" + hashlib.sha256(f"{options.seed}/{number}".encode()).hexdigest()[:32]


def build_cpes(options: FleetOptions, models: tuple[Model, ...], base_url: str) -> list[Cpe]:
    """The fleet's CPEs; `base_url` is that of the listener, without a path."""
    spread = random.Random(options.seed)
    found = []
    for place in range(options.count):
        number = options.first_number + place
        each = CpeOptions(
            url=options.url,
            model=models[place % len(models)],
            number=number,
            seed=options.seed,
            username=options.username,
            password=options.password,
            connection_request_url=base_url + request_path(options, number),
            connection_request_username=options.connection_request_username,
            connection_request_password=options.connection_request_password,
            interval_seconds=options.interval_seconds,
            wire=options.wire,
            behaviour=options.behaviours.get(place, options.behaviour),
            timing=options.timing,
        )
        wait = spread.uniform(0, options.start_within_seconds) * options.timing.time_scale
        found.append(Cpe(each, starts_in_seconds=wait))
    return found
