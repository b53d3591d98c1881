"""Who may come in: passwords, nonces, cookies, certificates told by a proxy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from agent.sim.cpe.cpe import Cpe
from agent.sim.cpe.http_auth import Auth, basic_header
from agent.sim.cpe.records import Outcome
from agent.sim.cpe.wire import Cookies, Wire
from tests.acs_live.conftest import Ground, Grounds
from tests.acs_live.cpes import clean, told_values
from tests.acs_live.messages import device_id_of, inform, new_serial, rpc
from tests.acs_live.raw import Answer, Digest, Raw, ask, request, soap_post
from tests.acs_live.seen import SeenTable, told
from tests.acs_live.waiting import until

SHARED, PASSWORD = "cpe", "correct horse"


@pytest.fixture(scope="module")
def ground(grounds: Grounds) -> Iterator[Ground]:
    with grounds(workers=2, authentication=("digest", "basic")) as made:
        made.records.add_credential(SHARED, PASSWORD)
        yield made


@pytest.fixture(scope="module")
def behind(grounds: Grounds) -> Iterator[Ground]:
    """Behind a proxy at 127.0.0.3 that tells of certificates."""
    settings = {"trusted_proxies": ("127.0.0.3/32",), "client_certificate_header": "X-Client-DN"}
    with grounds(authentication=("digest",), **settings) as made:
        made.records.add_credential(SHARED, PASSWORD)
        yield made


def make(ground: Ground, auth: Auth, *, username: str = SHARED, password: str = PASSWORD, **wire: object) -> Cpe:
    return ground.make_cpe(username=username, password=password, wire=Wire(auth=auth, **wire))  # type: ignore[arg-type]


def challenge(ground: Ground) -> Answer:
    answer = ask(ground.acs.port, soap_post(inform(new_serial())))
    assert answer.status == 401
    return answer


def cookie_of(answer: Answer | None) -> dict[str, str]:
    assert answer is not None
    assert answer.status == 200, answer
    return {"Cookie": (answer.header("set-cookie") or "").partition(";")[0]}


class TestPasswords:
    @pytest.mark.parametrize("auth", [Auth.DIGEST, Auth.BASIC, Auth.BASIC_UNASKED, Auth.ANY])
    @pytest.mark.parametrize("each_post", [False, True])
    def test_the_right_one(self, auth: Auth, each_post: bool, ground: Ground) -> None:
        cpe = make(ground, auth, new_connection_per_post=each_post)
        report = cpe.run_session()
        assert clean(report)
        assert ground.records.values(cpe.device_id) == told_values(cpe)
        refused = 0 if auth is Auth.BASIC_UNASKED else 1
        assert report.statuses.count(401) == refused, "one challenge a session"
        assert report.connections == (len(report.statuses) if each_post else 1), "a challenge costs no connection"
        assert clean(cpe.run_session())

    def test_an_empty_post_is_challenged_before_the_inform(self, ground: Ground) -> None:
        report = make(ground, Auth.DIGEST, empty_first_post=True).run_session()
        assert clean(report)
        assert report.statuses[:3] == (401, 204, 200)

    @pytest.mark.parametrize("cookies", Cookies)
    def test_with_cookies_and_without(self, cookies: Cookies, ground: Ground) -> None:
        cpe = make(ground, Auth.DIGEST, cookies=cookies, new_connection_per_post=True)
        assert clean(cpe.run_session())
        assert ground.records.values(cpe.device_id) == told_values(cpe)

    def test_a_nonce_is_good_for_the_next_session_too(self, ground: Ground) -> None:
        cpe = make(ground, Auth.DIGEST, remembers_nonce=True)
        assert cpe.run_session().statuses[0] == 401
        assert cpe.run_session().statuses == (200, 204)

    @pytest.mark.parametrize("auth", [Auth.DIGEST, Auth.BASIC, Auth.BASIC_UNASKED])
    def test_a_wrong_one(self, auth: Auth, ground: Ground) -> None:
        for username, password in ((SHARED, "wrong"), (SHARED, ""), ("nobody", PASSWORD), (SHARED.upper(), PASSWORD)):
            cpe = make(ground, auth, username=username, password=password)
            report = cpe.run_session()
            assert report.outcome is Outcome.REFUSED
            assert report.statuses[-1] == 401
            assert not ground.records.is_known(cpe.device_id)

    def test_none(self, ground: Ground, seen: SeenTable) -> None:
        seen.note("an Inform without a password", told(challenge(ground)))
        cpe = ground.make_cpe()
        report = cpe.run_session()
        assert (report.outcome, report.statuses) == (Outcome.REFUSED, (401,))
        assert not ground.records.is_known(cpe.device_id)

    @pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
    def test_both_algorithms(self, algorithm: str, ground: Ground) -> None:
        digest = Digest(challenge(ground), SHARED, PASSWORD, algorithm)
        answer = ask(ground.acs.port, soap_post(inform(new_serial()), digest.header()))
        assert answer.status == 200

    def test_a_new_credential_works_at_once_and_a_deleted_one_no_more(self, ground: Ground) -> None:
        username = f"user {new_serial()}"
        cpe = make(ground, Auth.DIGEST, username=username)
        assert not cpe.run_session().completed
        ground.records.add_credential(username, PASSWORD)
        until(lambda: cpe.run_session().completed, "every worker knows it")
        ground.records.rows("DELETE FROM cpe_credentials WHERE username = %s", username)
        until(lambda: not cpe.run_session().completed, "every worker has forgotten it")

    def test_only_what_the_settings_allow(self, grounds: Grounds) -> None:
        with grounds(authentication=("digest",)) as ground:
            ground.records.add_credential(SHARED, PASSWORD)
            answer = challenge(ground)
            assert [each.partition(" ")[0] for each in answer.all("www-authenticate")] == ["Digest", "Digest"]
            assert make(ground, Auth.BASIC_UNASKED).run_session().statuses[-1] == 401
            assert clean(make(ground, Auth.DIGEST).run_session())


class TestReplays:
    def test_the_same_request_twice(self, ground: Ground, seen: SeenTable) -> None:
        digest = Digest(challenge(ground), SHARED, PASSWORD)
        message = soap_post(inform(new_serial(), ["1 BOOT"]), digest.header())
        assert ask(ground.acs.port, message).status == 200
        for _ in range(4):  # at whichever worker
            again = ask(ground.acs.port, message)
            assert again.status == 401
            assert "stale=true" in (again.header("www-authenticate") or "")
            seen.note("a recorded request, sent again (to any worker)", f"{told(again)}, with a new nonce")

    def test_the_same_header_for_another_message(self, ground: Ground) -> None:
        digest = Digest(challenge(ground), SHARED, PASSWORD)
        header = digest.header()
        assert ask(ground.acs.port, soap_post(inform(new_serial()), header)).status == 200
        other = new_serial()
        assert ask(ground.acs.port, soap_post(inform(other), header)).status == 401
        assert not ground.records.is_known(device_id_of(other))

    def test_an_older_count_after_a_newer_one(self, ground: Ground) -> None:
        digest = Digest(challenge(ground), SHARED, PASSWORD)
        first, second = digest.header(), digest.header()
        assert ask(ground.acs.port, soap_post(inform(new_serial()), second)).status == 200
        assert ask(ground.acs.port, soap_post(inform(new_serial()), first)).status == 401

    def test_a_message_in_the_middle_of_a_session(self, ground: Ground) -> None:
        digest = Digest(challenge(ground), SHARED, PASSWORD)
        serial = new_serial()
        with Raw(ground.acs.port) as raw:
            cookie = cookie_of(raw.ask(soap_post(inform(serial), digest.header())))
            message = soap_post(b"", {**cookie, **digest.header()})
            asked = raw.ask(message)
            assert asked is not None
            assert "GetParameterNames" in asked.text
            again = raw.ask(message)
            assert again is not None
            assert again.status == 401
            more = raw.ask(soap_post(b"", {**cookie, **digest.header()}))
            assert more is not None
            assert more.status == 200

    def test_a_nonce_of_ones_own(self, ground: Ground, seen: SeenTable) -> None:
        invented = dataclasses.replace(
            challenge(ground),
            headers=(("www-authenticate", f'Digest realm="lastmile", nonce="{"0" * 50}", qop="auth", algorithm=MD5'),),
        )
        answer = ask(ground.acs.port, soap_post(inform(new_serial()), Digest(invented, SHARED, PASSWORD).header()))
        assert answer.status == 401
        assert "stale=true" in (answer.header("www-authenticate") or "")
        seen.note("a nonce of one's own, with the right password", f"{told(answer)}, with a new nonce")

    def test_an_old_nonce(self, grounds: Grounds) -> None:
        with grounds(authentication=("digest",), nonce_seconds=0.5) as ground:
            ground.records.add_credential(SHARED, PASSWORD)
            digest = Digest(challenge(ground), SHARED, PASSWORD)

            def is_too_old() -> bool:
                answer = ask(ground.acs.port, soap_post(inform(new_serial()), digest.header()))
                return answer.status == 401 and "stale=true" in (answer.header("www-authenticate") or "")

            until(is_too_old, "the nonce is too old")
            assert clean(make(ground, Auth.DIGEST).run_session()), "a CPE simply takes the new one"


class TestBoundCredentials:
    def test_the_device_itself_and_no_other(self, ground: Ground) -> None:
        mine = ground.make_cpe()
        username = f"bound {mine.serial_number}"
        ground.records.add_credential(username, PASSWORD, mine.device_id)
        cpe = make(ground, Auth.DIGEST, username=username)
        assert cpe.device_id != mine.device_id
        report = cpe.run_session()
        assert (report.outcome, report.statuses) == (Outcome.REFUSED, (401, 403))
        assert not ground.records.is_known(cpe.device_id)
        own = ground.make_cpe(
            number=mine.identity.number, username=username, password=PASSWORD, wire=Wire(auth=Auth.DIGEST)
        )
        assert own.device_id == mine.device_id
        assert clean(own.run_session())

    def test_a_forged_bootstrap_does_not_fetch_anothers_secrets(self, ground: Ground, seen: SeenTable) -> None:
        cpe = make(ground, Auth.DIGEST)
        assert clean(cpe.run_session())
        secret = ground.records.add_task(
            cpe.device_id,
            "setParameterValues",
            {"values": [{"name": "InternetGatewayDevice.ManagementServer.Password", "value": "secret"}]},
        )
        serial = new_serial()
        ground.records.add_credential(f"thief {serial}", PASSWORD, device_id_of(serial))
        digest = Digest(challenge(ground), f"thief {serial}", PASSWORD)
        origin = cpe.identity.origin
        forged = inform(cpe.serial_number, ["0 BOOTSTRAP"]).replace(b"HandWritten", origin.product_class.encode())
        forged = forged.replace(b"001122", origin.oui.encode())
        answer = ask(ground.acs.port, soap_post(forged, digest.header()))
        assert answer.status == 403
        seen.note("a BOOTSTRAP in another device's name, with one's own password", told(answer))
        assert ground.records.task(secret).status == "pending"


class TestCookies:
    @pytest.fixture
    def session(self, ground: Ground) -> tuple[str, dict[str, str]]:
        """The serial number and the cookie of a session that was begun by the shared credential."""
        serial = new_serial()
        digest = Digest(challenge(ground), SHARED, PASSWORD)
        return serial, cookie_of(ask(ground.acs.port, soap_post(inform(serial), digest.header())))

    def test_who_has_it_need_not_say_who_he_is_again(self, ground: Ground, session: tuple[str, dict[str, str]]) -> None:
        answer = ask(ground.acs.port, soap_post(b"", session[1]))
        assert "GetParameterNames" in answer.text

    def test_not_from_another_address(
        self, ground: Ground, session: tuple[str, dict[str, str]], seen: SeenTable
    ) -> None:
        serial, cookie = session
        answer = ask(ground.acs.port, soap_post(b"", cookie), source="127.0.0.2")
        seen.note("the cookie of a session, from another address", told(answer))
        assert answer.status == 403
        assert ask(ground.acs.port, soap_post(b"<", cookie), source="127.0.0.2").status == 400
        assert ground.records.is_in_session(device_id_of(serial)), "nor can it be spoilt from there"
        assert ask(ground.acs.port, soap_post(b"", cookie)).status == 200

    def test_not_for_another_user(self, ground: Ground, session: tuple[str, dict[str, str]], seen: SeenTable) -> None:
        serial, cookie = session
        ground.records.add_credential(f"other {serial}", PASSWORD)
        digest = Digest(challenge(ground), f"other {serial}", PASSWORD)
        answer = ask(ground.acs.port, soap_post(b"", {**cookie, **digest.header()}))
        assert answer.status == 403
        seen.note("the cookie of a session, with another user's password", told(answer))
        assert ground.records.is_in_session(device_id_of(serial))

    def test_not_for_an_inform(self, ground: Ground, session: tuple[str, dict[str, str]]) -> None:
        answer = ask(ground.acs.port, soap_post(inform(new_serial()), session[1]))
        assert answer.status == 401

    def test_a_forged_one_is_none(self, ground: Ground, session: tuple[str, dict[str, str]], seen: SeenTable) -> None:
        serial, cookie = session
        device, token, seal = cookie["Cookie"].removeprefix("session=").split(".")
        row = ground.records.row_of(device_id_of(serial))
        assert int(device) == row
        for forged in (
            f"{row}.{'A' * 22}.{seal}",
            f"{row + 1}.{token}.{seal}",
            f"{row}.{token}.{seal[::-1]}",
            f"{row}.{token}",
            f"{row}.{token}.",
            "1.2",
            "",
        ):
            answer = ask(ground.acs.port, soap_post(b"", {"Cookie": f"session={forged}"}))
            assert answer.status == 401, forged
            seen.note("a forged cookie (7 kinds)", told(answer))
        assert ask(ground.acs.port, soap_post(b"", {"Cookie": f"a=b; session={device}.{token}.{seal}"})).status == 200

    def test_nor_is_the_id_of_anothers_request_enough(
        self, ground: Ground, session: tuple[str, dict[str, str]], seen: SeenTable
    ) -> None:
        """By which CPEs without cookies are known."""
        serial, cookie = session
        asked = ask(ground.acs.port, soap_post(b"", cookie))
        identifier = asked.text.partition(":ID")[2].partition(">")[2].partition("<")[0]
        answer = rpc("<cwmp:GetParameterNamesResponse><ParameterList/></cwmp:GetParameterNamesResponse>", identifier)
        ground.records.add_credential(f"snoop {serial}", PASSWORD)
        other = Digest(challenge(ground), f"snoop {serial}", PASSWORD)
        refused = ask(ground.acs.port, soap_post(answer, other.header()))
        assert refused.status == 403
        seen.note("an answer to another device's request, without a cookie", told(refused))
        mine = Digest(challenge(ground), SHARED, PASSWORD)
        assert ask(ground.acs.port, soap_post(answer, mine.header()), source="127.0.0.2").status == 403
        assert ground.records.is_in_session(device_id_of(serial))
        assert ask(ground.acs.port, soap_post(answer, mine.header())).status == 204, "it was all, and the session ends"

    def test_not_after_its_session(self, ground: Ground, session: tuple[str, dict[str, str]]) -> None:
        serial, cookie = session
        ground.records.rows(
            "SELECT finish_session(device_id, token, sequence, 0, 'failed', '') FROM cwmp_sessions"
            " WHERE device_id = %s",
            ground.records.row_of(device_id_of(serial)),
        )
        assert ask(ground.acs.port, soap_post(b"", cookie)).status == 204
        assert ask(ground.acs.port, soap_post(rpc("<cwmp:GetRPCMethods/>"), cookie)).status == 400

    def test_a_message_that_waits_for_its_body_needs_more_than_a_cookie_of_ones_own(
        self, ground: Ground, seen: SeenTable
    ) -> None:
        """Else anybody could take up all threads."""
        sent = {"Content-Length": "1000", "Cookie": f"session=1.{'A' * 22}"}
        answer = ask(ground.acs.port, request(headers=sent))
        assert answer.status == 401
        seen.note("a body that does not come, without a password", f"at once: {told(answer)}")


class TestProxies:
    def test_a_certificate_says_which_device_it_is(self, behind: Ground) -> None:
        serial = new_serial()
        proxied = {"X-Client-DN": f"CN={serial},O=Acme", "X-Forwarded-For": "192.0.2.9"}
        answer = ask(behind.acs.port, soap_post(inform(serial), proxied), source="127.0.0.3")
        assert answer.status == 200
        peer = behind.records.one("SELECT host(ip_address) FROM devices WHERE device_id = %s", device_id_of(serial))
        assert peer == "192.0.2.9"
        other = ask(behind.acs.port, soap_post(inform(new_serial()), proxied), source="127.0.0.3")
        assert other.status == 403

    def test_who_is_no_trusted_proxy_has_no_certificate(self, behind: Ground, seen: SeenTable) -> None:
        serial = new_serial()
        claimed = {"X-Client-DN": f"CN={serial},O=Acme"}
        answer = ask(behind.acs.port, soap_post(inform(serial), claimed), source="127.0.0.4")
        assert answer.status == 401
        seen.note("the header of a certificate, from who is no trusted proxy", told(answer))

    def test_who_is_no_trusted_proxy_has_the_address_that_it_has(self, behind: Ground, seen: SeenTable) -> None:
        serial = new_serial()
        challenged = ask(behind.acs.port, soap_post(inform(serial)))
        digest = Digest(challenged, SHARED, PASSWORD)
        claimed = {"X-Forwarded-For": "192.0.2.66", "Forwarded": "for=192.0.2.67"}
        answer = ask(behind.acs.port, soap_post(inform(serial), {**claimed, **digest.header()}), source="127.0.0.4")
        assert answer.status == 200
        peer = behind.records.one("SELECT host(ip_address) FROM devices WHERE device_id = %s", device_id_of(serial))
        assert peer == "127.0.0.4"
        seen.note("X-Forwarded-For and Forwarded, from who is no trusted proxy", "not looked at: it is who it is")

    def test_the_journal_names_who_guesses_and_not_the_proxy(self, behind: Ground) -> None:
        proxied = {"X-Forwarded-For": "192.0.2.99", "Authorization": basic_header("x", "y")}
        digest = Digest(ask(behind.acs.port, soap_post(inform(new_serial()))), SHARED, "wrong")
        ask(behind.acs.port, soap_post(inform(new_serial()), {**proxied, **digest.header()}), source="127.0.0.3")
        until(lambda: "credentials are wrong USERNAME=cpe PEER=192.0.2.99" in behind.acs.log, "it is in the log")

    def test_a_session_behind_a_proxy_is_bound_to_the_address_behind_it(self, behind: Ground) -> None:
        serial = new_serial()
        proxied = {"X-Client-DN": f"CN={serial}", "X-Forwarded-For": "192.0.2.9"}
        cookie = cookie_of(ask(behind.acs.port, soap_post(inform(serial), proxied), source="127.0.0.3"))
        elsewhere = {**cookie, "X-Client-DN": f"CN={serial}", "X-Forwarded-For": "192.0.2.10"}
        assert ask(behind.acs.port, soap_post(b"", elsewhere), source="127.0.0.3").status == 403
        assert ask(behind.acs.port, soap_post(b"", {**cookie, **proxied}), source="127.0.0.3").status == 200


def test_basic_in_any_encoding(ground: Ground) -> None:
    username = f"Müller {new_serial()}"
    ground.records.add_credential(username, "Schlüssel")
    header = {"Authorization": basic_header(username, "Schlüssel")}
    until(lambda: ask(ground.acs.port, soap_post(inform(new_serial()), header)).status == 200, "it is known")
