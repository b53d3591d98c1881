"""Style sheets, scripts and icons under a path that names their content, so that browsers may keep them for ever."""

from __future__ import annotations

import gzip
import mimetypes
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from flask import Blueprint, Response, abort, request

PREFIX = "/static"
_DIGEST_BYTES = 8
_KEPT = "public, max-age=31536000, immutable"
_COMPRESSIBLE = ("text/", "image/svg+xml", "application/javascript")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file, as it is sent."""

    media_type: str
    plain: bytes
    compressed: bytes | None
    """With gzip; None when that would not be smaller."""


class Assets:
    """Every file of a folder, read once. One digest stands for all of them: modules import each other by relative
    paths, so they must lie in one folder."""

    def __init__(self, folder: Path) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        self._assets = {path.relative_to(folder).as_posix(): _read(path) for path in files}
        digest = blake2b(digest_size=_DIGEST_BYTES)
        for name, asset in self._assets.items():
            digest.update(f"{name}\0{len(asset.plain)}\0".encode())
            digest.update(asset.plain)
        self.digest = digest.hexdigest()

    def url(self, name: str) -> str:
        """The path of a file; KeyError when there is none of that name."""
        if name not in self._assets:
            raise KeyError(name)
        return f"{PREFIX}/{self.digest}/{name}"

    def blueprint(self) -> Blueprint:
        """Serves the files; they are for everybody."""
        blueprint = Blueprint("assets", __name__)
        blueprint.add_url_rule(f"{PREFIX}/<digest>/<path:name>", "file", self._serve)
        return blueprint

    def _serve(self, digest: str, name: str) -> Response:
        asset = self._assets.get(name)
        if asset is None:
            abort(404)
        small = asset.compressed if request.accept_encodings.quality("gzip") else None
        response = Response(asset.plain if small is None else small, mimetype=asset.media_type)
        if small is not None:
            response.headers["Content-Encoding"] = "gzip"
        response.vary.add("Accept-Encoding")
        # A page from before an upgrade still asks for the old digest: it gets what there is now, and keeps nothing.
        response.headers["Cache-Control"] = _KEPT if digest == self.digest else "no-cache"
        return response


def _read(path: Path) -> Asset:
    plain = path.read_bytes()
    media_type = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0] or "text/plain"
    compressed = gzip.compress(plain, 9, mtime=0) if media_type.startswith(_COMPRESSIBLE) else plain
    return Asset(media_type=media_type, plain=plain, compressed=compressed if len(compressed) < len(plain) else None)
