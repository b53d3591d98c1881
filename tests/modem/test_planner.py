"""The planner converges from everywhere, whatever cuts its passes short, and never opens a leak on the way."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.modem import actions as act
from agent.modem.health import Health
from agent.modem.model import (
    DataSession,
    Desired,
    ModemState,
    Probe,
    RegistrationState,
    Route,
    Rule,
    Sim,
    SimState,
    UnitState,
)
from agent.modem.planner import Plan, plan
from tests.modem.world import ALLOCATION, PIN, World, desired, own_name

PASSES = 12
SESSION = DataSession(client_id=3, packet_data_handle=99)
STALE_ROUTE = Route(family=4, table=ALLOCATION.table, link_index=7, source=ip_interface("10.1.2.3/30").ip, metric=10)
STALE_RULE = Rule(family=4, priority=2100, uid=ALLOCATION.uid, table=20_099)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any combination of states a modem and its host may be found in."""
    bearer = draw(st.sampled_from([None, SESSION]))
    world = World(
        plugged=draw(st.booleans()),
        echo=draw(st.booleans()),
        error_mode=draw(st.sampled_from([0, 1, 2])),
        functionality=draw(st.sampled_from([0, 1, 4])),
        usbnet=draw(st.sampled_from([0, 1, 3])),
        reports=draw(st.sampled_from([(0, 0, 0), (2, 2, 2), (2, 0, 1)])),
        events=draw(st.sampled_from([(0, 0), (2, 1)])),
        operator_mode=draw(st.sampled_from([0, 1, 2])),
        sim=draw(st.sampled_from([SimState.READY, SimState.PIN_REQUIRED, SimState.ABSENT, SimState.PUK_REQUIRED])),
        right_pin=draw(st.sampled_from([PIN, "0000"])),
        coverage=draw(
            st.sampled_from([RegistrationState.HOME, RegistrationState.ROAMING, RegistrationState.SEARCHING])
        ),
        bearer=bearer,
        remembered=draw(st.sampled_from([None, SESSION, DataSession(client_id=9, packet_data_handle=1)])),
        raw_ip=draw(st.booleans()),
        link_up=draw(st.booleans()),
        mtu=draw(st.sampled_from([1500, 1430])),
        names=draw(st.sampled_from([frozenset[str](), frozenset({own_name()})])),
        reverse_path_filter=draw(st.sampled_from([0, 1, 2])),
        filter_of_all=draw(st.sampled_from([0, 1, 2])),
        text=draw(st.sampled_from([None, "old\n", "proxy configuration\n"])),
        loaded=draw(st.sampled_from([None, "0" * 16])),
        listening=draw(st.booleans()),
    )
    if world.text is not None:
        world.unit = draw(st.sampled_from(list(UnitState)))
    if world.usbnet == 0:
        world.addresses = draw(st.sampled_from([frozenset(), frozenset({world.address})]))
    world.clients = {s.client_id for s in (world.bearer, world.remembered) if s is not None}
    world.rules = draw(st.sampled_from([frozenset(), frozenset({STALE_RULE})]))
    world.routes = draw(st.sampled_from([frozenset(), frozenset({STALE_ROUTE})]))
    return world


def one_pass(world: World, wanted: Desired, health: Health, now: float, most: int | None = None) -> Plan:
    """Observe, plan, execute at most `most` actions; the agent is killed after that."""
    decided = plan(world.observe(), world.intent(wanted), health, now)
    for action in decided.actions[:most]:
        was_leaking = world.leaks()
        world.execute(action)
        # No state between two actions may let a client out by the host's uplink; a proxy found running without its
        # rules is closed by the very first action.
        assert not world.leaks() or (was_leaking and not wanted.enabled)
    return decided


def converge(world: World, wanted: Desired) -> Plan:
    health, decided = Health(), None
    for number in range(PASSES):
        decided = one_pass(world, wanted, health, float(number))
        health = decided.health
        if not decided.actions:
            return decided
    raise AssertionError(f"still something to do after {PASSES} passes: {decided}")


@given(world=worlds(), enabled=st.booleans())
@settings(max_examples=400, deadline=None)
def test_repeated_passes_end_with_nothing_left_to_do(world: World, enabled: bool) -> None:
    wanted = desired(enabled=enabled)
    last = converge(world, wanted)
    assert not world.leaks()
    usable = world.sim is SimState.READY and world.coverage.registered
    if not enabled or not world.plugged:
        assert last.state is ModemState.OFFLINE
    elif usable:
        assert last.state is ModemState.ONLINE
        assert world.unit is UnitState.ACTIVE
        assert world.bearer is not None
        assert world.clients >= {world.bearer.client_id}
    else:
        assert last.state in (ModemState.SIM_BLOCKED, ModemState.SEARCHING, ModemState.DEGRADED)


@given(world=worlds(), cuts=st.lists(st.integers(min_value=0, max_value=4), max_size=6))
@settings(max_examples=400, deadline=None)
def test_a_pass_cut_off_after_any_action_is_made_good_by_the_next_ones(world: World, cuts: list[int]) -> None:
    uncut, wanted = world.copy(), desired()
    for number, most in enumerate(cuts):
        one_pass(world, wanted, Health(), float(number), most)
    cut_short = converge(world, wanted)
    straight = converge(uncut, wanted)
    assert cut_short.state is straight.state
    assert (world.rules, world.routes, world.text) == (uncut.rules, uncut.routes, uncut.text)
    assert world.pin_entries <= 1


@given(world=worlds())
@settings(max_examples=200, deadline=None)
def test_what_is_up_is_adopted_and_left_alone_by_a_new_agent(world: World) -> None:
    converge(world, desired())
    assert plan(world.observe(), world.intent(desired()), Health(), 1000.0).actions == ()


def test_a_pin_is_tried_once_and_never_again() -> None:
    world = World(sim=SimState.PIN_REQUIRED, right_pin="0000")
    last = converge(world, desired())
    assert world.pin_entries == 1
    assert last.state is ModemState.SIM_BLOCKED
    world.restart()
    converge(world, desired())
    assert world.pin_entries == 1


def test_no_pin_is_tried_on_a_card_that_cannot_be_remembered() -> None:
    world = World(sim=SimState.PIN_REQUIRED, echo=False, error_mode=2)
    observed = replace(world.observe(), sim=Sim(state=SimState.PIN_REQUIRED, iccid=None))
    decided = plan(observed, world.intent(desired()), Health(), 0.0)
    assert decided.state is ModemState.SIM_BLOCKED
    assert not any(isinstance(action, act.EnterPin) for action in decided.actions)
    assert "ICCID" in decided.reason


def test_the_proxy_is_started_after_its_rules_and_not_before() -> None:
    world = World()
    for number in range(PASSES):
        decided = plan(world.observe(), world.intent(desired()), Health(), float(number))
        kinds = [type(action) for action in decided.actions]
        if act.StartProxy in kinds:
            assert world.rules or kinds.index(act.ApplyRouting) < kinds.index(act.StartProxy)
            return
        for action in decided.actions:
            world.execute(action)
    pytest.fail("the proxy was never started")


def test_a_dead_listener_is_restarted_and_an_unread_text_reloaded() -> None:
    world = World()
    converge(world, desired())
    world.listening = False
    assert plan(world.observe(), world.intent(desired()), Health(), 0.0).actions == (act.RestartProxy(),)
    observed = world.observe()
    about_to_listen = replace(observed, proxy=replace(observed.proxy, starting=True))
    decided = plan(about_to_listen, world.intent(desired()), Health(), 0.0)
    assert (decided.actions, decided.state) == ((), ModemState.CONNECTING)
    world.listening, world.loaded = True, None
    assert plan(world.observe(), world.intent(desired()), Health(), 0.0).actions == (act.ReloadProxy(),)


def test_an_unplugged_modem_keeps_its_rules_so_that_its_proxy_stays_closed() -> None:
    world = World()
    converge(world, desired())
    world.plugged = False
    world.routes = frozenset(route for route in world.routes if route.link_index is None)
    last = converge(world, desired())
    assert last.state is ModemState.OFFLINE
    assert world.unit is UnitState.ACTIVE
    assert not world.leaks()


def test_a_dropped_bearer_gives_its_client_id_back_and_is_started_anew() -> None:
    world = World()
    converge(world, desired())
    assert world.bearer is not None
    lost = world.bearer
    world.bearer = None
    decided = plan(world.observe(), world.intent(desired()), Health(), 0.0)
    assert act.ReleaseSession(session=lost) in decided.actions
    assert converge(world, desired()).state is ModemState.ONLINE
    assert len(world.clients) == 1


def test_a_failing_probe_degrades_then_recovers_by_escalating_steps() -> None:
    world = World()
    converge(world, desired())
    steps: list[act.RecoveryStep] = []
    health, now, state = Health(), 0.0, ModemState.ONLINE
    for _ in range(400):
        broken = replace(world.observe(), probe=Probe(dns=False, tcp=False, detail="DNS: no answer"))
        decided = plan(broken, world.intent(desired()), health, now)
        health, state = decided.health, decided.state
        steps.extend(action.step for action in decided.actions if isinstance(action, act.Recover))
        if state is ModemState.QUARANTINED:
            break
        now += 15.0
    assert steps[:4] == [
        act.RecoveryStep.REREGISTER,
        act.RecoveryStep.RECONNECT,
        act.RecoveryStep.CYCLE_RADIO,
        act.RecoveryStep.RESET_USB,
    ]
    assert act.RecoveryStep.CYCLE_PORT_POWER not in steps
    assert state is ModemState.QUARANTINED
    well = plan(world.observe(), world.intent(desired()), health, now)
    assert well.state is ModemState.ONLINE
    assert not well.health.quarantined


def test_a_modem_that_was_helped_is_well_when_a_probe_passes_and_not_before() -> None:
    world = World()
    converge(world, desired())
    helped = Health(steps=2, stepped_at=100.0, score=2.0, scored_at=100.0)
    unproven = plan(replace(world.observe(), probe=None), world.intent(desired()), helped, 101.0)
    assert unproven.state is ModemState.RECOVERING
    assert unproven.health.steps == 2, "the next step must be a harder one"
    proven = plan(world.observe(), world.intent(desired()), unproven.health, 102.0)
    assert proven.state is ModemState.ONLINE
    assert proven.health.steps == 0


def test_a_mute_at_port_beside_a_bearer_fails_while_one_without_is_still_booting() -> None:
    world = World()
    converge(world, desired())
    mute = replace(world.observe(), responsive=False, sim=None)
    health = Health()
    steps: list[act.Action] = []
    for number in range(3):
        decided = plan(mute, world.intent(desired()), health, number * 15.0)
        health = decided.health
        steps.extend(decided.actions)
    assert steps == [act.Recover(step=act.RecoveryStep.RESET_USB)]
    booting = plan(replace(mute, bearer=None), world.intent(desired()), Health(), 0.0)
    assert booting.state is ModemState.INITIALISING
    assert booting.health.failures == 0


def test_a_modem_that_refuses_qmi_mode_is_not_switched_over_and_over() -> None:
    world = World(usbnet=3)
    first = plan(world.observe(), world.intent(desired()), Health(), 0.0)
    assert act.SwitchToQmi() in first.actions
    again = plan(world.observe(), replace(world.intent(desired()), mode_switched=True), Health(), 30.0)
    assert act.SwitchToQmi() not in again.actions
    assert again.state is ModemState.DEGRADED


def test_a_mute_control_port_changes_nothing_of_what_serves_and_is_helped_over_the_bus() -> None:
    world = World()
    converge(world, desired())
    health = Health()
    steps: list[act.Action] = []
    for number in range(12):
        mute = replace(world.observe(), control_answers=False, bearer=None)
        decided = plan(mute, world.intent(desired()), health, number * 15.0)
        health = decided.health
        steps.extend(decided.actions)
    assert steps[0] == act.Recover(step=act.RecoveryStep.RESET_USB)
    assert all(isinstance(step, act.Recover) for step in steps)


def test_a_kernel_without_ipv6_converges_all_the_same() -> None:
    world = World()
    converge(world, desired())
    world.rules = frozenset(rule for rule in world.rules if rule.family == 4)
    world.routes = frozenset(route for route in world.routes if route.family == 4)
    observed = world.observe()
    without = replace(observed, routing=replace(observed.routing, families=(4,)))
    assert plan(without, world.intent(desired()), Health(), 0.0).actions == ()


def test_a_disabled_modem_loses_its_proxy_before_its_rules() -> None:
    world = World()
    converge(world, desired())
    kinds = [type(a) for a in plan(world.observe(), world.intent(desired(enabled=False)), Health(), 0.0).actions]
    assert kinds[0] is act.StopProxy
    assert kinds[-1] is act.ApplyRouting
    converge(world, desired(enabled=False))
    assert not world.rules
    assert not world.routes
