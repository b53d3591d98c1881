"""Files and credentials by the API: taken in as a whole, handed out, deleted."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from agent.web.services import Services
from tests.store.cpes import add_device
from tests.store.farm import rows
from tests.web.conftest import Headers

IMAGE = bytes(range(256)) * 1000


class TestFiles:
    def test_from_adding_to_deleting(
        self, client: FlaskClient, viewer: Headers, operator: Headers, admin: Headers, services: Services
    ) -> None:
        added = client.post(
            "/api/files/V5R020%20(1).bin?kind=1&oui=00259E&product_class=EG8145V5&version=V5R020",
            headers=operator,
            data=IMAGE,
            content_type="application/x-www-form-urlencoded",
        )
        assert added.status_code == 201
        file = added.get_json()
        assert (file["name"], file["size"], file["created_by"]) == ("V5R020_1_.bin", len(IMAGE), "operator")
        assert file["sha256"] == hashlib.sha256(IMAGE).hexdigest()
        assert (services.acs.settings.file_dir / file["sha256"]).read_bytes() == IMAGE
        path = "/api/files/V5R020_1_.bin"
        assert client.get(path, headers=viewer).get_json() == file
        assert client.get("/api/files?oui=00259E&kind=1", headers=viewer).get_json() == {
            "files": [file],
            "next_after": None,
        }
        assert client.get(f"{path}/content", headers=viewer).status_code == 403
        with client.get(f"{path}/content", headers=operator) as content:
            assert content.data == IMAGE
            assert "V5R020_1_.bin" in content.headers["Content-Disposition"]
            assert content.headers["X-Content-Type-Options"] == "nosniff"
        taken = client.post(path, headers=operator, data=b"x")
        assert (taken.status_code, taken.get_json()["error"]["code"]) == (409, "file_exists")
        assert client.delete(path, headers=operator).status_code == 403
        assert client.delete(path, headers=admin).status_code == 204
        assert client.delete(path, headers=admin).status_code == 404
        assert list(services.acs.settings.file_dir.iterdir()) == []
        actions = [each.action for each in services.audit.fetch()]
        assert actions == ["file.delete", "api.deleteFile", "file.add", "file.add"]

    def test_pages(self, client: FlaskClient, viewer: Headers, operator: Headers) -> None:
        for name in ("c", "a", "b"):
            assert client.post(f"/api/files/{name}", headers=operator, data=name.encode()).status_code == 201
        page = client.get("/api/files?limit=2", headers=viewer).get_json()
        assert ([each["name"] for each in page["files"]], page["next_after"]) == (["a", "b"], "b")
        rest = client.get("/api/files?after=b", headers=viewer).get_json()
        assert ([each["name"] for each in rest["files"]], rest["next_after"]) == (["c"], None)

    def test_sizes(self, client: FlaskClient, operator: Headers, services: Services) -> None:
        most = services.acs.settings.file_bytes_most
        empty = client.post("/api/files/empty", headers=operator, environ_overrides={"CONTENT_LENGTH": "0"})
        assert empty.get_json()["size"] == 0
        assert client.post("/api/files/full", headers=operator, data=b"x" * most).status_code == 201
        large = client.post("/api/files/large", headers=operator, data=b"x" * (most + 1))
        assert (large.status_code, large.get_json()["error"]["code"]) == (413, "content_too_large")
        assert client.get("/api/files/large", headers=operator).status_code == 404

    def test_a_body_of_unknown_length_or_cut_short(self, client: FlaskClient, operator: Headers) -> None:
        chunked = {**operator, "Transfer-Encoding": "chunked"}
        unknown = client.post("/api/files/a", headers=chunked, input_stream=io.BytesIO(b"x"))
        assert (unknown.status_code, unknown.get_json()["error"]["code"]) == (411, "length_required")
        length = {"CONTENT_LENGTH": "10"}
        short = client.post("/api/files/a", headers=operator, input_stream=io.BytesIO(b"x"), environ_overrides=length)
        assert short.status_code == 400
        assert client.get("/api/files", headers=operator).get_json()["files"] == []

    @pytest.mark.parametrize(
        "path", ["a?kind=9", "a?kind=upload", "a?oui=0123456", "a?x=1", "%20?kind=1", "a?kind=1&kind=2"]
    )
    def test_what_makes_no_sense(self, client: FlaskClient, operator: Headers, path: str) -> None:
        response = client.post(f"/api/files/{path}", headers=operator, data=b"x")
        assert response.status_code == 400
        assert response.get_json()["error"]["code"] in ("bad_request", "file_refused")

    def test_one_in_use_is_not_deleted(self, client: FlaskClient, operator: Headers, admin: Headers, url: str) -> None:
        device = add_device(url)
        client.post("/api/files/a", headers=operator, data=b"x")
        order = {"kind": "download", "arguments": {"file": "a"}}
        made = client.post(f"/api/devices/{device}/tasks", headers=operator, json=order)
        assert made.status_code == 202
        refused = client.delete("/api/files/a", headers=admin)
        assert (refused.status_code, refused.get_json()["error"]["code"]) == (409, "file_in_use")
        client.delete(f"/api/devices/{device}/tasks/{made.get_json()['id']}", headers=operator)
        assert client.delete("/api/files/a", headers=admin).status_code == 204

    def test_without_a_place_to_write(
        self, client: FlaskClient, operator: Headers, admin: Headers, services: Services
    ) -> None:
        client.post("/api/files/a", headers=operator, data=b"x")
        directory = services.acs.settings.file_dir
        for path in directory.iterdir():
            path.unlink()
        lost = client.get("/api/files/a/content", headers=operator)
        assert (lost.status_code, lost.get_json()["error"]["code"]) == (507, "storage_failed")
        directory.rmdir()
        directory.write_text("")
        full = client.post("/api/files/b", headers=operator, data=b"x")
        assert (full.status_code, full.get_json()["error"]["code"]) == (507, "storage_failed")
        assert "acs.file_dir" in full.get_json()["error"]["message"]


class TestCredentials:
    def test_from_adding_to_deleting(self, client: FlaskClient, admin: Headers, services: Services, url: str) -> None:
        added = client.post(
            "/api/credentials", headers=admin, json={"username": "cpe/1", "password": "geheim", "device_id": "A-B-C"}
        )
        assert added.status_code == 201
        assert (added.get_json()["username"], added.get_json()["realm"]) == ("cpe/1", "lastmile")
        listed = client.get("/api/credentials", headers=admin)
        assert listed.get_json() == {"credentials": [added.get_json()]}
        ((secret,),) = rows(url, "SELECT ha1_md5 FROM cpe_credentials")
        for text in (added.get_data(as_text=True), listed.get_data(as_text=True), str(services.audit.fetch())):
            assert "geheim" not in text
            assert secret not in text
        again = client.post("/api/credentials", headers=admin, json={"username": "cpe/1", "password": "x"})
        assert (again.status_code, again.get_json()["error"]["code"]) == (409, "credential_exists")
        client.post("/api/credentials", headers=admin, json={"username": "cpe-2", "password": "x"})
        assert client.delete("/api/credentials/cpe-2", headers=admin).status_code == 204
        gone = client.delete("/api/credentials/cpe-2", headers=admin)
        assert (gone.status_code, gone.get_json()["error"]["code"]) == (404, "credential_not_found")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"username": "a"},
            {"username": "a:b", "password": "geheim"},
            {"username": "a", "password": ""},
            {"username": "a", "password": "geheim", "device_id": "x"},
            {"username": "a", "password": "geheim\n"},
            {"username": "a", "password": ["geheim"]},
            {"username": "a", "password": "geheim", "ha1_md5": "x"},
        ],
    )
    def test_what_is_none_is_refused_without_telling_it(
        self, client: FlaskClient, admin: Headers, services: Services, body: Any
    ) -> None:
        response = client.post("/api/credentials", headers=admin, json=body)
        assert response.status_code == 400
        assert response.get_json()["error"]["code"] in ("bad_request", "credential_refused")
        assert "geheim" not in response.get_data(as_text=True)
        assert services.acs.credentials.list() == ()
        assert services.audit.fetch() == ()

    def test_operators_have_nothing_to_do_with_them(self, client: FlaskClient, operator: Headers) -> None:
        assert client.get("/api/credentials", headers=operator).status_code == 403
        assert client.delete("/api/credentials/x", headers=operator).status_code == 403
