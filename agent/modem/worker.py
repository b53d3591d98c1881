"""One modem's thread: observe, plan, execute, report; again at once while there is something to do, else after a wait.

There is no other way to bring a modem up: a new one, one that was up all along and one that has just dropped its
connection go through the same pass.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from agent.core.clock import BackOff, Deadline, Instant, now
from agent.core.errors import AgentError, DeviceError, TransientError
from agent.core.identifiers import Serial, Slot
from agent.modem import ec25
from agent.modem.actions import Action, SwitchToQmi
from agent.modem.at_session import AtSession
from agent.modem.command_runner import CommandRunner
from agent.modem.executor import Bench, Executor
from agent.modem.health import Health, Verdict, due_step, observe_verdict
from agent.modem.machine import Conduct, Machine
from agent.modem.model import Desired, Hardware, ModemState, Observed
from agent.modem.observer import Observer
from agent.modem.planner import Intent, Plan, plan
from agent.modem.ports import AtPort, CommandRequest, CommandResult, Qmi
from agent.modem.registry import Registry
from agent.modem.reporting import Reporter, describe

logger = logging.getLogger(__name__)

COMMANDS_WAITING = 16
RAPID_PASSES = 40
"""Passes in a row that all found something to do, after which the modem is given a rest: they do not converge."""
REST_SECONDS = 30.0
HANGUPS_BEFORE_RESTART = 3
OPEN_BACK_OFF = BackOff(first_seconds=0.5, most_seconds=15.0)
FAILURE_BACK_OFF = BackOff(first_seconds=1.0, most_seconds=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all workers share."""

    machine: Machine
    registry: Registry
    conduct: Callable[[], Conduct]
    occupied: Callable[[Slot], bool]
    """Whether a modem sits in a slot now."""
    beat: Callable[[str], None]
    """Called at every turn: the loop is alive."""
    restart_qmi_proxy: Callable[[Qmi], None]
    """Asks for qmi-proxy to be restarted; it is done seldom, since it concerns all modems."""


class ModemWorker:
    """Looks after the modem in one slot, from admission until it is unplugged."""

    def __init__(self, hardware: Hardware, surroundings: Surroundings) -> None:
        self.slot = hardware.slot
        self.serial: Serial | None = None
        self._around = surroundings
        self._machine = surroundings.machine
        self._hardware: Hardware | None = hardware
        self._action_failures = 0
        self._rapid_passes = 0
        self._health = Health()
        self._looked_at: Instant = float("-inf")
        self._reporter = Reporter(self._machine.recorder)
        self._session = AtSession(
            slot=hardware.slot,
            opener=self._machine.at_ports,
            record=partial(self._record_exchange, "at"),
            on_urc=self._take_urc,
        )
        self._qmi = self._machine.qmi_for(partial(self._record_exchange, "qmi"))
        self._observer = Observer(self._machine, self._qmi, surroundings.conduct().timing)
        self._commands: queue.Queue[CommandRequest] = queue.Queue(COMMANDS_WAITING)
        self._awake = threading.Condition()
        self._woken = True
        self._stopping = False
        self._ended = False
        self._hardware_changed = True
        self._thread = threading.Thread(target=self._run, name=f"modem-{self.slot}", daemon=True)

    # -- from other threads --------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Have the next pass now."""
        with self._awake:
            self._woken = True
            self._awake.notify()

    def replace_hardware(self, hardware: Hardware | None) -> None:
        """The modem has other ports now, or (None) is gone: then a last pass runs, and the thread ends."""
        with self._awake:
            self._hardware = hardware
            self._hardware_changed = True
        self.wake()

    def submit(self, request: CommandRequest) -> bool:
        """Queue an operator's command; False when too many wait already, or the thread has ended. One that was taken is
        answered, whatever happens."""
        with self._awake:
            if self._ended:
                return False
            try:
                self._commands.put_nowait(request)
            except queue.Full:
                return False
        self.wake()
        return True

    def stop(self) -> None:
        """End the thread without touching the modem."""
        self._stopping = True
        self.wake()

    def join(self, deadline: Deadline) -> bool:
        """Wait for the thread; False when it did not end in time (it is abandoned)."""
        self._thread.join(deadline.remaining_seconds)
        return not self._thread.is_alive()

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._around.beat(self._thread.name)
                wait_seconds = self._guarded_turn()
                if wait_seconds is None:
                    break
                self._sleep(wait_seconds)
        finally:
            self._session.drop()
            if self.serial is not None:
                self._around.registry.release(self.serial, self)
            self._refuse_waiting_commands()

    def _guarded_turn(self) -> float | None:
        """One turn; whatever goes wrong in it is this modem's affair alone."""
        try:
            return self._turn()
        except (TransientError, DeviceError) as error:
            logger.warning("pass was cut off", extra={"MODEM": self.serial or self.slot, "ERROR": str(error)})
        except AgentError:
            logger.exception("pass failed", extra={"MODEM": self.serial or self.slot})
        except Exception:
            # The supervisor's boundary: one modem's bug must not stop the other modems.
            logger.exception("bug in a modem's pass", extra={"MODEM": self.serial or self.slot})
        self._action_failures += 1
        return FAILURE_BACK_OFF.wait_seconds(self._action_failures)

    def _mend_control_channel(self) -> None:
        """A control channel that hangs up although its node is there: qmi-proxy holds a dead handle of it."""
        node = self._hardware.qmi_node if self._hardware is not None else None
        if node is not None and self._qmi.hangups_in_a_row(node) >= HANGUPS_BEFORE_RESTART:
            self._around.restart_qmi_proxy(self._qmi)

    def _sleep(self, seconds: float) -> None:
        with self._awake:
            if not self._woken and not self._stopping:
                self._awake.wait(seconds)
            self._woken = False

    def _turn(self) -> float | None:
        """Take in what changed, then one pass. None: the modem has gone, and the thread ends."""
        hardware = self._take_hardware()
        conduct = self._around.conduct()
        self._observer.timing = conduct.timing
        if hardware is None:
            # A successor may look after the modem already, when this thread was long busy: then all is the successor's.
            if self.serial is not None and self._around.registry.holds(self.serial, self):
                # Its data session went with it; asking for it would cost the modem's return a QMI time-out.
                self._machine.sessions.save(self.serial, None)
                self._pass(self.serial, None, None, conduct)
            return None
        at = self._session.open(hardware, Deadline.after(conduct.timing.open_seconds))
        if self.serial is None and (at is None or not self._identify(at)):
            return self._wait_for_identity(hardware, conduct)
        assert self.serial is not None
        self._answer_commands(self.serial, hardware, at, conduct)
        return self._pass(self.serial, hardware, at, conduct)

    def _take_hardware(self) -> Hardware | None:
        with self._awake:
            changed, hardware = self._hardware_changed, self._hardware
            self._hardware_changed = False
        if changed:
            self._session.drop()
            self._observer.forget()
            self._session.trust(hardware)
            if self.serial is not None and hardware is not None:
                self._machine.device_links.make(self.serial, hardware)
            if self.serial is not None and hardware is None and self._around.registry.holds(self.serial, self):
                self._machine.device_links.remove(self.serial)
        return hardware

    # -- the AT port and the modem's identity --------------------------------------------------------------------

    def _record_exchange(self, channel: str, command: str, answer: str, outcome: str, seconds: float) -> None:
        self._reporter.exchange(self.serial, channel, command, answer, outcome, seconds)

    def _take_urc(self, line: str) -> None:
        """Called in the port's thread."""
        self._reporter.urc(self.serial, line)
        if ec25.urc_calls_for_a_look(line):
            if ec25.urc_means_restart(line):
                self._observer.forget()
            self.wake()

    def _identify(self, at: AtPort) -> bool:
        try:
            ec25.settle(at, Deadline.after(self._around.conduct().timing.at_seconds))
            identity = self._observer.identify(at)
        except (TransientError, DeviceError) as error:
            logger.info("modem has not said who it is yet", extra={"SLOT": self.slot, "ERROR": str(error)})
            if isinstance(error, TransientError):
                self._session.drop()
            return False
        serial = ec25.serial_of(identity, self._hardware.usb_serial if self._hardware is not None else None)
        if serial is None:
            logger.warning("modem has no IMEI and no serial of its own", extra={"SLOT": self.slot})
            return False
        self._take_identity(serial, identity.imei)
        return True

    def _take_identity(self, serial: Serial, imei: str | None) -> None:
        wishes, registry = self._machine.wishes, self._around.registry
        home = wishes.home_slot(serial)
        claimed = registry.claim(serial, self.slot, self, home=home, occupied=self._around.occupied)
        if claimed != serial:
            self._reporter.event(
                claimed,
                "duplicate identity",
                f"a modem in another slot also calls itself {serial}; this one is {claimed}",
            )
        self.serial = claimed
        self._health = registry.recall_health(claimed, now())
        wishes.register(claimed, self.slot, imei)
        if self._hardware is not None:
            self._machine.device_links.make(claimed, self._hardware)
        logger.info("modem identified", extra={"MODEM": claimed, "SLOT": self.slot})

    def _wait_for_identity(self, hardware: Hardware, conduct: Conduct) -> float:
        """A modem that does not even say its name can only be helped over the bus."""
        self._health = observe_verdict(self._health, Verdict.PENDING, now(), conduct.health)
        self._health, step = due_step(
            self._health, now(), conduct.health, mildest=ec25.FIRST_STEP_WITHOUT_AT, connected=False
        )
        known = next((each for each in self._machine.wishes.known() if self._is_believed_here(each)), None)
        if known is not None:
            self._reporter.silent(known, hardware, recovering=step is not None)
        if step is not None:
            logger.warning("resetting a modem that never answered", extra={"SLOT": self.slot, "ACTION": step.value})
            self._machine.usb.reset(hardware)
            self._session.trust(hardware)
        self._session.failures = max(self._session.failures, 1)
        return min(OPEN_BACK_OFF.wait_seconds(self._session.failures), conduct.timing.unwell_look_seconds)

    def _is_believed_here(self, desired: Desired) -> bool:
        """Whether this is the slot where the modem was last seen, and it has not turned up elsewhere."""
        at_home = self._machine.wishes.home_slot(desired.serial) == self.slot
        return at_home and desired.serial not in self._around.registry.present()

    # -- one pass ------------------------------------------------------------------------------------------------

    def _pass(self, serial: Serial, hardware: Hardware | None, at: AtPort | None, conduct: Conduct) -> float:
        desired = self._desired(serial, hardware)
        timing = conduct.timing
        due = now() - self._looked_at >= timing.look_seconds or self._health.ailing
        observed = self._observer.observe(desired, hardware, at, probe=due)
        if at is not None and not observed.responsive:
            self._session.drop()
        if due and observed.probe is not None:
            self._looked_at = now()
        decided = plan(observed, self._intent(desired, observed, conduct), self._health, now())
        failure = self._execute(decided, Bench(desired=desired, hardware=hardware, at=self._session.port), conduct)
        self._health = decided.health
        self._around.registry.remember_health(serial, self._health)
        self._reporter.report(desired, observed, decided, failure, sample=observed.probe is not None)
        self._mend_control_channel()
        return self._wait_after(decided, failure, timing.look_seconds, timing.unwell_look_seconds)

    def _desired(self, serial: Serial, hardware: Hardware | None) -> Desired:
        """What is wanted; a modem that the database has not met yet is brought up as far as that goes."""
        wishes = self._machine.wishes
        desired = wishes.desired(serial)
        if (desired is None or desired.allocation is None) and hardware is not None:
            imei = self._observer.imei
            desired = wishes.register(serial, self.slot, imei) or desired
        return desired if desired is not None else Desired(serial=serial)

    def _intent(self, desired: Desired, observed: Observed, conduct: Conduct) -> Intent:
        nameservers = self._observer.nameservers
        wanted = desired.proxy.nameservers if desired.proxy is not None else None
        text = observed.proxy.configuration
        if desired.proxy is not None and desired.allocation is not None and (wanted or nameservers):
            text = self._machine.renderer.render(desired, wanted or nameservers)
        iccid = observed.sim.iccid if observed.sim is not None else None
        tried = iccid is not None and desired.pin is not None and self._machine.pins.tried(iccid, desired.pin)
        return Intent(
            desired=desired,
            proxy_text=text,
            pin_tried=tried,
            mode_switched=self._around.registry.switched_lately(desired.serial, now()),
            health=conduct.health,
        )

    def _execute(self, decided: Plan, bench: Bench, conduct: Conduct) -> AgentError | None:
        """Carry out the plan up to its end or its first failure, which is returned."""
        executor = Executor(self._machine, self._qmi, conduct.timing)
        for action in decided.actions:
            if self._stopping:
                return None
            fields = {"MODEM": bench.desired.serial, "ACTION": describe(action)}
            try:
                executor.execute(action, bench)
            except (TransientError, DeviceError) as error:
                logger.warning("action failed", extra={**fields, "ERROR": str(error)})
                self._reporter.action(bench.desired.serial, action, error)
                return error
            logger.info("action done", extra=fields)
            self._reporter.action(bench.desired.serial, action, None)
            self._after(action, bench.desired.serial)
        return None

    def _after(self, action: Action, serial: Serial) -> None:
        if isinstance(action, SwitchToQmi):
            self._around.registry.remember_switch(serial, now())
        if ec25.changes_the_modem(action):
            self._observer.forget()

    def _wait_after(self, decided: Plan, failure: AgentError | None, well: float, unwell: float) -> float:
        if failure is not None:
            self._rapid_passes = 0
            self._action_failures += 1
            return FAILURE_BACK_OFF.wait_seconds(self._action_failures - 1)
        self._action_failures = 0
        if decided.actions:
            self._rapid_passes += 1
            if self._rapid_passes < RAPID_PASSES:
                return 0.0
            self._rapid_passes = 0
            logger.error(
                "passes do not converge",
                extra={"MODEM": self.serial, "ACTION": ", ".join(describe(each) for each in decided.actions)},
            )
            return REST_SECONDS
        self._rapid_passes = 0
        calm = decided.state in (
            ModemState.ONLINE,
            ModemState.SIM_BLOCKED,
            ModemState.QUARANTINED,
            ModemState.OFFLINE,
        )
        return well if calm else min(well, unwell)

    # -- operators' commands -------------------------------------------------------------------------------------

    def _answer_commands(self, serial: Serial, hardware: Hardware, at: AtPort | None, conduct: Conduct) -> None:
        while not self._stopping:
            try:
                request = self._commands.get_nowait()
            except queue.Empty:
                return
            desired = self._desired(serial, hardware)
            runner = CommandRunner(self._machine, self._qmi, conduct.timing, self._observer)
            answer = runner.answer(
                request,
                Bench(desired=desired, hardware=hardware, at=at),
                partial(self._decide, desired, conduct),
            )
            if answer.starts_afresh:
                self._health = Health()
            self._machine.recorder.finish(answer.result)

    def _decide(self, desired: Desired, conduct: Conduct, observed: Observed) -> Plan:
        return plan(observed, self._intent(desired, observed, conduct), self._health, now())

    def _refuse_waiting_commands(self) -> None:
        with self._awake:
            self._ended = True
        while True:
            try:
                request = self._commands.get_nowait()
            except queue.Empty:
                return
            self._machine.recorder.finish(
                CommandResult(
                    id=request.id,
                    succeeded=False,
                    result={},
                    error_code="modem_absent",
                    error_message="the modem was unplugged, or the agent stopped, before the command could run",
                )
            )
