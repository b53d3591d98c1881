"""Files for CPEs, and from them."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, send_file

from agent.store.device_errors import FileInUseError, FileTakenError, RefusedError
from agent.store.device_rows import FileRow
from agent.store.file_shelf import FileTooLargeError, StorageError
from agent.store.files import FileFacts, clean_name
from agent.web.device_requests import FileFactsQuery, FileQuery
from agent.web.endpoint import Answer, Call, NoBody, Query
from agent.web.errors import ApiError
from agent.web.finding import not_found
from agent.web.schemas_devices import File, FilePage
from agent.web.waiting import waiting_place


def list_files(call: Call[FileQuery, NoBody]) -> FilePage:
    """Some files."""
    query = call.query
    found = call.services.acs.files.fetch_page(
        kind=query.kind, oui=query.oui, product_class=query.product_class, after=query.after, limit=query.limit + 1
    )
    files = tuple(File.model_validate(row) for row in found[: query.limit])
    return FilePage(files=files, next_after=files[-1].name if len(found) > query.limit else None)


def show_file(call: Call[Query, NoBody]) -> File:
    """What is known of one file."""
    return File.model_validate(_find(call))


def send_content(call: Call[Query, NoBody]) -> Response:
    """The bytes of one file."""
    row = _find(call)
    path = call.services.acs.files.path_of(row)
    try:
        return send_file(
            path, mimetype="application/octet-stream", as_attachment=True, download_name=row.name, etag=row.sha256
        )
    except OSError as error:
        raise _broken(f"{path}: {error.strerror}") from error


def add_file(call: Call[FileFactsQuery, NoBody]) -> Answer:
    """Take a file in."""
    services, query = call.services, call.query
    assert call.upload is not None
    try:
        name = clean_name(call.path["name"])
        facts = FileFacts(
            name=name, kind=query.kind, oui=query.oui, product_class=query.product_class, version=query.version
        )
        with waiting_place(services):
            services.audit.write(call.caller, "file.add", name, query.model_dump())
            row = services.acs.files.add(facts, call.upload.chunks, call.caller.name)
            call.trail.after({"sha256": row.sha256, "size": row.size})
    except FileTakenError as error:
        raise ApiError(HTTPStatus.CONFLICT, "file_exists", f"{error}: delete it first") from error
    except FileTooLargeError as error:
        raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "content_too_large", str(error)) from error
    except StorageError as error:
        raise _broken(str(error)) from error
    except RefusedError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "file_refused", str(error)) from error
    return Answer(content=File.model_validate(row), status=HTTPStatus.CREATED)


def delete_file(call: Call[Query, NoBody]) -> Response:
    """Remove a file."""
    row = _find(call)
    known = {"sha256": row.sha256, "kind": row.kind, "version": row.version}
    call.trail.write(call.caller, "file.delete", row.name, before=known)
    try:
        deleted = call.services.acs.files.delete(row.name)
    except FileInUseError as error:
        raise ApiError(HTTPStatus.CONFLICT, "file_in_use", f"{error}: cancel it first") from error
    except StorageError as error:
        raise _broken(str(error)) from error
    if not deleted:
        raise _no_such_file()
    return Response(status=HTTPStatus.NO_CONTENT)


def _find(call: Call[Query, NoBody]) -> FileRow:
    row = call.services.acs.files.fetch(call.path["name"])
    if row is None:
        raise _no_such_file()
    return row


def _no_such_file() -> ApiError:
    return not_found("file_not_found", "there is no file of this name")


def _broken(message: str) -> ApiError:
    return ApiError(HTTPStatus.INSUFFICIENT_STORAGE, "storage_failed", message)
