"""Real InfluxDB 1.x servers for the tests, and a small front that speaks the version 2 write API before one."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateway import START_S, wait_until
from tests.kit.ports import free_ports

DATABASE = "plant"


class InfluxServer:
    """Debian's `influxdb` in a folder of its own; may be stopped, killed and started again."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("influxd")
        if found is None:
            pytest.skip("no influxd here (Debian package influxdb)")
        self._program, self._folder = found, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port, rpc = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self._config = folder / "influxdb.conf"
        self._config.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc}"\n'
            f'[meta]\ndir = "{folder}/meta"\n'
            f'[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\nquery-log-enabled = false\n'
            f'cache-snapshot-write-cold-duration = "10m"\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n'
            '[monitor]\nstore-enabled = false\n[logging]\nlevel = "error"\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, "-config", str(self._config)], stdout=log, stderr=log)
        wait_until(self._answers, "influxd to answer", START_S)
        self.ask(f"CREATE DATABASE {DATABASE}", post=True)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=1):
                return True
        except OSError:
            return False

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    @property
    def running(self) -> bool:
        return self._process is not None

    def ask(self, query: str, *, post: bool = False) -> list[dict[str, Any]]:
        """Series of the answer."""
        text = urllib.parse.urlencode({"db": DATABASE, "q": query, "epoch": "ns"})
        request = (
            urllib.request.Request(f"{self.url}/query", text.encode(), method="POST")
            if post
            else urllib.request.Request(f"{self.url}/query?{text}")
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = json.load(answer)
        result = content["results"][0]
        assert "error" not in result, result
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def samples(self) -> dict[str, list[tuple[int, float | None, int]]]:
        """(time, value, quality) by point, in order of time."""
        found = self.ask("SELECT value, quality FROM gridgate GROUP BY point")
        return {
            series["tags"]["point"]: [
                (time_ns, value, -1 if quality is None else int(quality))
                for time_ns, value, quality in series["values"]
            ]
            for series in found
        }


@dataclass
class Front:
    """The version 2 write API: token, bucket, precision are checked, then 1.x gets the lines. `answers` come first."""

    server: InfluxServer
    token: str = "the-token"
    answers: list[tuple[int, str, dict[str, str]]] = field(default_factory=list)
    refuse: Callable[[str], bool] = lambda line: False
    """A line for which this is true makes its whole request fail with 422."""
    largest: int = 1 << 30
    requests: list[tuple[float, int, int]] = field(default_factory=list)
    """(time, status, lines) of each request."""

    def __enter__(self) -> Front:
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, text, headers = front.answer(self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        raw = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        lines = raw.decode().splitlines()
        status, message, more = self._judge(path, headers, lines)
        if status == 204:
            status, message = self._pass_on(raw)
        self.requests.append((time.monotonic(), status, len(lines)))
        text = b"" if status == 204 else json.dumps({"code": "x", "message": message}).encode()
        return status, text, more

    def _judge(self, path: str, headers: dict[str, str], lines: list[str]) -> tuple[int, str, dict[str, str]]:
        if self.answers:
            return self.answers.pop(0)
        url = urllib.parse.urlsplit(path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path != "/api/v2/write":
            return 404, "path not found", {}
        if headers.get("Authorization") != f"Token {self.token}":
            return 401, "unauthorized access", {}
        if query.get("bucket") != DATABASE or query.get("org") != "grid":
            return 404, f"bucket {query.get('bucket')} not found", {}
        if query.get("precision") != "ns":
            return 400, "the front knows nanoseconds alone", {}
        if len(lines) > self.largest:
            return 413, "too large", {}
        bad = [line for line in lines if self.refuse(line)]
        return (422, f"field type conflict in {bad[0]}", {}) if bad else (204, "", {})

    def _pass_on(self, raw: bytes) -> tuple[int, str]:
        try:
            request = urllib.request.Request(f"{self.server.url}/write?db={DATABASE}&precision=ns", raw, method="POST")
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, ""
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 503, "the engine is down"
