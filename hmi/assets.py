"""The page's own files: read once, compressed once, answered with their digest as ETag."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

_TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class _Asset:
    data: bytes
    packed: bytes
    media: str
    etag: str


def _media(name: str) -> str:
    suffix = name[name.rfind(".") :]
    return _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _walk(folder: Traversable, prefix: str) -> dict[str, _Asset]:
    found: dict[str, _Asset] = {}
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found |= _walk(entry, f"{name}/")
        else:
            data = entry.read_bytes()
            etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
            found[name] = _Asset(data, gzip.compress(data, 9, mtime=0), _media(entry.name), etag)
    return found


class Assets:
    """Answers ``/`` and ``/static/...``."""

    def __init__(self) -> None:
        self.files = _walk(files("hmi") / "static", "")

    async def index(self, request: Request) -> Response:
        """The one page."""
        return self._answer(request, "index.html")

    async def static(self, request: Request) -> Response:
        """One of its files."""
        return self._answer(request, request.path_params["name"])

    def _answer(self, request: Request, name: str) -> Response:
        asset = self.files.get(name)
        if asset is None:
            return Response("there is no such file\n", 404, media_type="text/plain")
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == asset.etag:
            return Response(status_code=304, headers=headers)
        packed = "gzip" in request.headers.get("accept-encoding", "") and len(asset.packed) < len(asset.data)
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(asset.packed if packed else asset.data, media_type=asset.media, headers=headers)
