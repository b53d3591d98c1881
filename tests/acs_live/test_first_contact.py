"""From the first Inform to the whole tree, and the sessions after that."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.sim.cpe.cpe import Cpe
from agent.sim.cpe.model import Model
from agent.store.parameters import VALUE_MOST
from tests.acs_live.conftest import Ground
from tests.acs_live.cpes import CpeMaker, clean, told_values
from tests.acs_live.messages import device_id_of, inform, new_serial
from tests.acs_live.process import Acs
from tests.acs_live.raw import ask, soap_post
from tests.acs_live.records import Records

AT_ONCE = 8


def traits(records: Records, cpe: Cpe) -> dict[str, tuple[str, bool]]:
    found = records.rows("SELECT name, type, writable FROM parameters WHERE device_id = %s", cpe.device_id)
    return {name: (kind, writable) for name, kind, writable in found}


def told_traits(cpe: Cpe) -> dict[str, tuple[str, bool]]:
    nodes = {name: cpe.tree.node(name) for name in cpe.tree.parameters_under("")}
    return {name: (str(node.kind), node.writable) for name, node in nodes.items() if node and node.kind}


class TestFirstContact:
    @pytest.mark.parametrize("name", ["tr098", "tr181"])
    def test_a_device_is_known_in_full_after_its_first_session(
        self, name: str, records: Records, make_cpe: CpeMaker, request: pytest.FixtureRequest
    ) -> None:
        model: Model = request.getfixturevalue(name)
        cpe = make_cpe(model=model)
        report = cpe.run_session()
        assert clean(report)
        assert report.rpcs[0] == "GetParameterNames"
        assert set(report.rpcs[1:]) == {"GetParameterValues"}
        assert report.faults == ()
        assert records.values(cpe.device_id) == told_values(cpe)
        assert traits(records, cpe) == told_traits(cpe)
        assert records.is_discovered(cpe.device_id)
        assert records.outcomes(cpe.device_id) == ["completed"]
        ((count, manufacturer, oui, product_class, serial),) = records.rows(
            "SELECT parameter_count, manufacturer, oui, product_class, serial_number FROM devices WHERE device_id = %s",
            cpe.device_id,
        )
        assert count == model.leaf_count
        origin = cpe.identity.origin
        assert (manufacturer, oui, product_class) == (origin.manufacturer, origin.oui, origin.product_class)
        assert serial == cpe.serial_number
        kinds = [kind for kind, _ in records.events(cpe.device_id)]
        assert kinds == ["device_added", "discovery_finished"]

    def test_many_at_once_do_not_mix(self, ground: Ground, tr098: Model, tr181: Model) -> None:
        models = [model.limited(leaves) for leaves in (900, 1_400) for model in (tr098, tr181)]
        cpes = [ground.make_cpe(model=models[number % len(models)]) for number in range(AT_ONCE)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            reports = list(pool.map(lambda cpe: cpe.run_session(), cpes))
        for cpe, report in zip(cpes, reports, strict=True):
            assert clean(report)
            assert ground.records.values(cpe.device_id) == told_values(cpe)
        workers = {session.worker for cpe in cpes for session in ground.records.sessions(cpe.device_id)}
        assert workers <= {f"{worker.rpartition('/')[0]}/{pid}" for worker in workers for pid in ground.acs.workers()}


class TestOddInforms:
    @pytest.mark.parametrize("interval", ["4294967295", "9" * 30, "-1", "", "soon", "٣"])
    def test_any_interval(self, interval: str, acs: Acs, records: Records) -> None:
        serial = new_serial()
        values = [("Device.ManagementServer.PeriodicInformInterval", interval)]
        for _ in range(2):
            assert ask(acs.port, soap_post(inform(serial, ["1 BOOT"], values=values))).status == 200
        assert records.values(device_id_of(serial)) == dict(values)

    def test_names_that_are_none_and_values_that_are_too_long(self, acs: Acs, records: Records) -> None:
        serial = new_serial()
        good = "Device.DeviceInfo.SoftwareVersion"
        values = [
            (good, "1"),
            ("not a path", "x"),
            ("<b>", "x"),
            ("Device.DeviceInfo.", "x"),
            (f"Device.{'x' * 300}", "1"),
        ]
        for number in range(3):
            long = [("Device.DeviceInfo.DeviceLog", str(number) * 100_000), (good, str(number))]
            assert ask(acs.port, soap_post(inform(serial, ["1 BOOT"], values=[*values, *long]))).status == 200
            stored = records.values(device_id_of(serial))
            assert stored == {good: str(number), "Device.DeviceInfo.DeviceLog": str(number) * VALUE_MOST}

    def test_thousands_of_values(self, acs: Acs, records: Records) -> None:
        serial = new_serial()
        values = [(f"Device.Table.{number}.Name", str(number)) for number in range(5_000)]
        for _ in range(2):
            assert ask(acs.port, soap_post(inform(serial, ["1 BOOT"], values=values))).status == 200
        assert records.values(device_id_of(serial)) == dict(values)


class TestSteadySessions:
    def test_a_periodic_session_costs_an_inform_and_an_empty_post(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        before = records.values(cpe.device_id)
        chunks = "SELECT top, part, xmin::text FROM parameter_chunks WHERE device_id = %s ORDER BY top, part"
        written = records.rows(chunks, records.row_of(cpe.device_id))
        for _ in range(3):
            report = cpe.run_session()
            assert clean(report)
            assert report.statuses == (200, 204)
            assert report.rpcs == ()
        assert records.outcomes(cpe.device_id) == ["completed"] * 4
        assert records.values(cpe.device_id) == before
        assert records.rows(chunks, records.row_of(cpe.device_id)) == written, "nothing of the tree was written"

    def test_a_change_that_the_device_tells_is_stored(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        cpe.change("DeviceInfo.ProvisioningCode", "shop 7")
        report = cpe.run_session()
        assert [event.code for event in report.events] == ["4 VALUE CHANGE"]
        name = "InternetGatewayDevice.DeviceInfo.ProvisioningCode"
        assert records.values(cpe.device_id)[name] == "shop 7"

    def test_other_firmware_means_that_the_tree_is_read_anew(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        cpe.change("DeviceInfo.SoftwareVersion", "V9")
        first = cpe.run_session()
        assert clean(first)
        # Whether it is read in this session or in the next is the ACS's affair.
        rpcs = first.rpcs or cpe.run_session().rpcs
        assert rpcs[0] == "GetParameterNames"
        assert records.values(cpe.device_id) == told_values(cpe)

    def test_what_is_gone_from_the_device_is_forgotten(self, records: Records, make_cpe: CpeMaker) -> None:
        cpe = make_cpe.met()
        gone = "InternetGatewayDevice.LANDevice.1.WLANConfiguration.5."
        lost = {name for name in told_values(cpe) if name.startswith(gone)}
        assert lost
        cpe.tree.delete_instance(gone)
        assert clean(cpe.run_session(["0 BOOTSTRAP"]))
        assert not lost & set(records.values(cpe.device_id))
        assert records.values(cpe.device_id) == told_values(cpe)
