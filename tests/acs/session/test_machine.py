from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.acs.discovery import Profile
from agent.acs.session import effects as fx
from agent.acs.session.machine import receive
from agent.acs.session.state import Phase
from agent.acs.soap import messages as soap
from tests.acs.session.twins import FakeCpe, FakeStore, new_session, run


def tree(count: int) -> dict[str, str]:
    return {f"Device.Thing.{number // 4 + 1}.P{number % 4}": str(number) for number in range(count)}


def outcomes(store: FakeStore) -> list[tuple[str, str]]:
    return [(effect.outcome, effect.reason) for effect in store.seen if isinstance(effect, fx.End)]


def test_with_nothing_to_ask_it_ends() -> None:
    store = FakeStore()
    state = run(FakeCpe(tree(0)), store)
    assert state.phase is Phase.END
    assert outcomes(store) == [("completed", "")]


class TestDiscovery:
    def test_everything_is_read(self) -> None:
        cpe, store = FakeCpe(tree(2400)), FakeStore(discovery=True)
        run(cpe, store)
        assert store.values == cpe.tree
        assert [e.parameters for e in store.seen if isinstance(e, fx.DiscoveryFinished)] == [2400]
        assert outcomes(store) == [("completed", "")]

    def test_batches_grow_when_the_device_bears_it(self) -> None:
        cpe, store = FakeCpe(tree(2400)), FakeStore(discovery=True)
        run(cpe, store)
        sizes = [len(request.names) for request in cpe.asked if isinstance(request, soap.GetParameterValues)]
        assert sizes == [256, 512, 1024, 608]
        assert store.profile.batch > 256, "the next device of the model is asked for more at once"

    def test_batches_shrink_when_it_does_not(self) -> None:
        cpe, store = FakeCpe(tree(500), names_most=40), FakeStore(discovery=True)
        run(cpe, store)
        assert store.values == cpe.tree
        assert store.profile.ceiling <= 40
        asked = len(cpe.asked)
        other = FakeCpe(tree(500), names_most=40)
        run(other, FakeStore(discovery=True, profile=store.profile))
        assert len(other.asked) < asked, "what one device of the model taught helps with the next"
        assert not any(isinstance(other.answer(request), soap.Fault) for request in list(other.asked))

    def test_bad_names_are_found_and_remembered_for_the_model(self) -> None:
        bad = frozenset({"Device.Thing.3.P1", "Device.Thing.90.P1"})
        cpe, store = FakeCpe(tree(600), bad=bad), FakeStore(discovery=True)
        run(cpe, store)
        assert store.values == {name: value for name, value in cpe.tree.items() if name not in bad}
        assert store.profile.bad == {"Device.Thing.{i}.P1"}
        again = FakeStore(discovery=True, profile=store.profile)
        other = FakeCpe(tree(600), bad=bad)
        run(other, again)
        assert sum(isinstance(request, soap.GetParameterValues) for request in other.asked) == 1

    def test_a_refused_empty_path_is_replaced_by_the_root(self) -> None:
        cpe, store = FakeCpe(tree(10), refuses_empty_path=True), FakeStore(discovery=True)
        run(cpe, store)
        assert store.values == cpe.tree

    def test_a_device_that_lists_only_children_is_walked(self) -> None:
        cpe, store = FakeCpe(tree(40), refuses_empty_path=True, only_next_level=True), FakeStore(discovery=True)
        run(cpe, store)
        assert store.values == cpe.tree
        assert store.profile.walk

    def test_what_is_gone_is_forgotten(self) -> None:
        cpe, store = FakeCpe(tree(8)), FakeStore(discovery=True, values={"Device.Old.Thing": "1"})
        run(cpe, store)
        assert store.values == cpe.tree

    def test_a_device_that_denies_is_left_for_later(self) -> None:
        cpe = FakeCpe(tree(8), faults={"GetParameterNames": soap.Fault(code="9001", string="Request denied")})
        store = FakeStore(discovery=True)
        run(cpe, store)
        # The empty path is tried once more as the root, which this one allows.
        assert store.values == cpe.tree

    def test_it_gives_up_on_a_device_that_lists_nothing(self) -> None:
        class Deaf(FakeCpe):
            def answer(self, request: soap.Message) -> soap.Message | None:
                self.asked.append(request)
                return soap.Fault(code="9002", string="Internal error")

        store = FakeStore(discovery=True)
        run(Deaf(tree(8)), store)
        assert [effect.code for effect in store.seen if isinstance(effect, fx.DiscoveryFailed)] == ["9002"]
        assert outcomes(store) == [("completed", "")]

    @given(
        count=st.integers(0, 300),
        bad=st.sets(st.integers(0, 299), max_size=12),
        names_most=st.integers(1, 300),
        batch=st.integers(1, 400),
        walk=st.booleans(),
    )
    @settings(max_examples=120, deadline=None)
    def test_whatever_the_device_is_like_all_that_it_gives_is_read(
        self, count: int, bad: set[int], names_most: int, batch: int, walk: bool
    ) -> None:
        names = list(tree(count))
        unread = frozenset(names[index] for index in bad if index < count)
        cpe = FakeCpe(tree(count), bad=unread, names_most=names_most, only_next_level=walk)
        store = FakeStore(discovery=True, profile=Profile(batch=batch))
        run(cpe, store)
        # A name that is bad in one instance is not asked in the others, once that is known.
        templates = {name.split(".")[-1] for name in unread}
        certain = {name: value for name, value in cpe.tree.items() if name.split(".")[-1] not in templates}
        assert certain.items() <= store.values.items() <= cpe.tree.items()
        assert outcomes(store) == [("completed", "")]


class TestTasks:
    def test_values_are_read_and_given_as_the_result(self) -> None:
        cpe, store = FakeCpe(tree(8)), FakeStore()
        store.ask(1, "getParameterValues", names=["Device.Thing.1."])
        run(cpe, store)
        assert store.results[1]["values"] == {f"Device.Thing.1.P{n}": str(n) for n in range(4)}
        assert len(store.values) == 4

    def test_a_bad_name_does_not_spoil_the_others(self) -> None:
        store = FakeStore()
        store.ask(1, "getParameterValues", names=["Device.Thing.1.P0", "Device.Nothing", "Device.Thing.2.P3"])
        run(FakeCpe(tree(8)), store)
        assert store.results[1] == {
            "count": 2,
            "missing": 1,
            "values": {"Device.Thing.1.P0": "0", "Device.Thing.2.P3": "7"},
        }

    def test_only_bad_names_are_a_failure(self) -> None:
        store = FakeStore()
        store.ask(1, "getParameterValues", names=["Device.Nothing"])
        run(FakeCpe(tree(8)), store)
        assert store.failures[1].code == "9005"
        assert store.profile.bad == frozenset(), "what an operator mistyped says nothing of the model"

    def test_reading_some_values_forgets_no_others(self) -> None:
        store = FakeStore(values={"Device.Other.Thing": "1"})
        store.ask(1, "getParameterValues", names=["Device.Thing.1."])
        run(FakeCpe(tree(2000)), store)
        assert store.values["Device.Other.Thing"] == "1"

    def test_refreshing_a_branch_forgets_what_is_gone_below_it_only(self) -> None:
        store = FakeStore(values={"Device.Other.Thing": "1", "Device.Thing.99.P0": "1"})
        store.ask(1, "refreshObject", path="Device.Thing.")
        cpe = FakeCpe(tree(40))
        run(cpe, store)
        assert store.values == {**cpe.tree, "Device.Other.Thing": "1"}
        assert store.results[1]["count"] == 40

    def test_values_that_were_set_are_known_at_once(self) -> None:
        store = FakeStore()
        store.ask(1, "setParameterValues", values=[{"name": "Device.Thing.1.P0", "value": "x", "type": "string"}])
        run(FakeCpe(tree(8)), store)
        assert store.values == {"Device.Thing.1.P0": "x"}
        assert store.results[1] == {"status": 0}

    def test_every_bad_parameter_of_a_refusal_is_kept(self) -> None:
        store = FakeStore()
        names = ["Device.A.B", "Device.A.C"]
        store.ask(1, "setParameterValues", values=[{"name": name, "value": "1", "type": "int"} for name in names])
        run(FakeCpe(tree(8)), store)
        failure = store.failures[1]
        assert (failure.code, failure.wait_seconds) == ("9003", None)
        assert [each["name"] for each in failure.detail["parameters"]] == names

    def test_a_made_object_is_read(self) -> None:
        store = FakeStore()
        store.ask(1, "addObject", path="Device.Thing.")
        run(FakeCpe(tree(4)), store)
        assert store.results[1] == {"instance": 7, "path": "Device.Thing.7.", "status": 0}
        assert store.values == {"Device.Thing.7.Enable": "0"}

    def test_a_removed_object_is_forgotten(self) -> None:
        store = FakeStore(values=tree(8))
        store.ask(1, "deleteObject", path="Device.Thing.1.")
        run(FakeCpe(tree(8)), store)
        assert sorted(store.values) == [f"Device.Thing.2.P{n}" for n in range(4)]

    def test_a_restart_ends_the_session_and_leaves_the_rest(self) -> None:
        cpe, store = FakeCpe(tree(4)), FakeStore()
        store.ask(1, "reboot")
        store.ask(2, "getRPCMethods")
        run(cpe, store)
        assert store.results == {1: {}}
        assert [task.id for task in store.waiting] == [2]

    @pytest.mark.parametrize(("code", "again"), [("9001", True), ("9004", True), ("9002", False), ("9003", False)])
    def test_what_a_fault_means_for_a_task(self, code: str, again: bool) -> None:
        store = FakeStore()
        store.ask(1, "reboot")
        store.ask(2, "getRPCMethods")
        run(FakeCpe(tree(4), faults={"Reboot": soap.Fault(code=code, string="no")}), store)
        assert (store.failures[1].wait_seconds is not None) is again
        assert store.results[2] == {"methods": ["Reboot"]}, "one task's fault stops no other"


class TestTransfers:
    def download(self) -> FakeStore:
        store = FakeStore()
        store.ask(1, "download", url="http://files.example.org/firmware")
        run(FakeCpe(tree(4)), store)
        assert store.results == {}, "not done before TransferComplete says so"
        return store

    def complete(self, store: FakeStore, **fields: Any) -> soap.Message | None:
        state = new_session()
        message = soap.TransferComplete(**fields)
        step = receive(state, soap.Envelope(message=message, id="cpe-7"), store.context(state))
        store.save(step)
        assert step.reply.envelope is not None
        assert step.reply.envelope.id == "cpe-7", "the ID of a request is echoed"
        assert not step.reply.request
        return step.reply.envelope.message

    @pytest.mark.parametrize("key", ["lastmile-1", ""])
    def test_it_is_done_when_the_device_says_so(self, key: str) -> None:
        store = self.download()
        assert isinstance(self.complete(store, command_key=key), soap.TransferCompleteResponse)
        assert store.results == {1: {}}

    def test_it_has_failed_when_the_device_says_so(self) -> None:
        store = self.download()
        self.complete(store, command_key="lastmile-1", fault_code="9018", fault_string="corrupt")
        assert store.failures[1].code == "9018"
        assert store.failures[1].wait_seconds is not None

    def test_somebody_elses_key_is_noted_and_matches_nothing(self) -> None:
        store = self.download()
        self.complete(store, command_key="other")
        assert store.results == {}
        assert any(isinstance(effect, fx.TransferEnded) for effect in store.seen)


class TestOddities:
    def test_a_lost_request_is_sent_again_once(self) -> None:
        store = FakeStore()
        store.ask(1, "reboot")
        state = new_session()
        first = receive(state, None, store.context(state))
        store.save(first)
        second = receive(first.state, None, store.context(first.state))
        assert second.reply.envelope == first.reply.envelope
        third = receive(second.state, None, store.context(second.state))
        store.save(third)
        assert third.reply.envelope is None
        assert store.failures[1].code == "empty"

    def test_an_answer_to_nothing_ends_the_session(self) -> None:
        step = receive(
            new_session(), soap.Envelope(message=soap.RebootResponse(), id="1"), FakeStore().context(new_session())
        )
        assert step.effects == (fx.End(outcome="failed", reason="RebootResponse came, and nothing had been asked"),)

    def test_an_answer_to_something_else_ends_the_session(self) -> None:
        store = FakeStore()
        store.ask(1, "reboot")
        state = new_session()
        first = receive(state, None, store.context(state))
        assert first.reply.envelope is not None
        step = receive(
            first.state,
            soap.Envelope(message=soap.AddObjectResponse(instance_number=1), id=first.reply.envelope.id),
            store.context(first.state),
        )
        assert step.effects == (fx.End(outcome="failed", reason="AddObjectResponse does not answer reboot"),)

    def test_a_method_that_does_not_exist_gets_fault_8000(self) -> None:
        state = new_session()
        step = receive(
            state, soap.Envelope(message=soap.UnknownRPC(name="X_Dance"), id="3"), FakeStore().context(state)
        )
        assert step.reply.envelope is not None
        assert isinstance(step.reply.envelope.message, soap.Fault)
        assert step.reply.envelope.message.code == "8000"
