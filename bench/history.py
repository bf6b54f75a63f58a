"""The history: samples recorded a second, bytes each, a day of a point, forwarding; beside influxdb-client's batching.

The mix is that of a plant: a sixth each of slow analogs with one decimal, noisy ones with three, powers with one
decimal, states, floats of 32 bits and counters; 1,000 series, one sample a second with 20 ms of jitter.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import numpy as np

from bench.result import Result, percentile
from gateway.history.batch import RECORD, Batch
from gateway.history.influx.forwarder import Forwarder
from gateway.history.influx.lines import Layout
from gateway.history.influx.quarantine import Quarantine
from gateway.history.influx.sender import sender_of
from gateway.history.influx.thread import PrefixCache
from gateway.history.plan import InfluxPlan, Retention
from gateway.history.reader import HistoryReader
from gateway.history.spool import SeriesInfo, Spool
from gateway.history.writer import HistoryWriter
from gateway.log import get_log

SERIES: Final = 1_000
SECONDS: Final = 3 * 3_600
CHUNK_S: Final = 10
START_NS: Final = 1_795_046_400_000_000_000
"""A midnight, UTC."""
DAY_S: Final = 86_400
FORWARDED: Final = 400_000
PEER_SAMPLES: Final = 100_000


def _columns(seconds: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(second, series): values of the mix."""
    chance = np.random.default_rng(seed)
    kind = np.arange(SERIES) % 6
    walk = np.cumsum(chance.normal(size=(seconds, SERIES)), axis=0)
    noise = chance.normal(size=(seconds, SERIES))
    second = np.arange(seconds, dtype=float)[:, None]
    choices = [
        np.round(30 + 0.02 * walk, 1),
        np.round(50 + 0.01 * noise, 3),
        np.round(500 + 3 * walk, 1),
        (np.abs(noise) > 2.6).astype(float),
        (33 + 0.02 * noise).astype(np.float32).astype(float),
        np.round(second * (1 + np.arange(SERIES) % 9) * 0.1 + 0 * noise, 1),
    ]
    return np.choose(kind, choices)


def _batches(ids: np.ndarray[tuple[int], np.dtype[np.uint32]], seconds: int) -> Iterable[Batch]:
    chance = np.random.default_rng(9)
    for start in range(0, seconds, 3_600):
        values = _columns(min(3_600, seconds - start), start)
        for at in range(0, len(values), CHUNK_S):
            part = values[at : at + CHUNK_S]
            batch = np.zeros(part.size, RECORD)
            batch["series"], batch["value"], batch["quality"] = np.tile(ids, len(part)), part.ravel(), 0
            stamps = (start + at + np.arange(len(part))) * 1_000 + chance.integers(0, 20, len(part))
            batch["time_ns"] = START_NS + np.repeat(stamps, SERIES) * 1_000_000
            yield batch


def _record(folder: Path) -> tuple[float, float, float]:
    """(samples/s, bytes each once merged, CPU us each), spool, day files and merging included."""
    writer = HistoryWriter(folder, Retention(days=36_500))
    ids = writer.register([SeriesInfo(f"p{number}") for number in range(SERIES)])
    batches = list(_batches(np.array(list(ids.values()), np.uint32), SECONDS))
    count = sum(map(len, batches))
    began, cpu = time.perf_counter(), time.process_time()
    for number, batch in enumerate(batches):
        writer.append(batch, number + 1, 0.0)
        if writer.due(0.0):
            writer.take()
            writer.merge(int(batch["time_ns"][-1]), 1_000)  # as it goes, hour by hour
    writer.take()
    while writer.merge(START_NS + 10 * DAY_S * 10**9, 1_000):
        pass
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    writer.clean([], START_NS // 10**9 // DAY_S)
    writer.close()
    size = sum(path.stat().st_size for path in folder.glob("????-??-??.sqlite*"))
    return count / seconds, size / count, cpu_s * 1e6 / count


def _a_day(folder: Path) -> None:
    """24 h of 40 points at 1 s, as hours of recording leave them."""
    writer = HistoryWriter(folder, Retention(days=36_500))
    ids = writer.register([SeriesInfo(f"p{number}") for number in range(40)])
    chance = np.random.default_rng(4)
    for hour in range(24):
        for number, series in enumerate(ids.values()):
            batch = np.zeros(3_600, RECORD)
            batch["series"] = series
            batch["value"] = np.round(50 + chance.normal(0, 0.01, 3_600), 3 if number % 2 else 1)
            batch["time_ns"] = START_NS + (hour * 3_600 + np.arange(3_600)) * 10**9
            writer.append(batch, hour + 1, 0.0)
        writer.take()
    writer.close()


def _queries(folder: Path) -> tuple[list[float], list[float]]:
    """ms of a whole day of one point, and of 20 points as 1,000 buckets each."""
    reader = HistoryReader(folder)
    one, twenty = [], []
    for number in range(40):
        began = time.perf_counter()
        found = reader.range(f"p{number}", START_NS, START_NS + DAY_S * 10**9)
        one.append((time.perf_counter() - began) * 1e3)
        if len(found) != DAY_S:
            raise RuntimeError(f"{len(found)} samples instead of {DAY_S}")
    for first in (0, 20):
        began = time.perf_counter()
        for number in range(first, first + 20):
            reader.buckets(f"p{number}", START_NS, START_NS + DAY_S * 10**9, 1_000)
        twenty.append((time.perf_counter() - began) * 1e3)
    reader.close()
    return one, twenty


class _Sink:
    """Takes every write and throws it away; counts lines."""

    def __enter__(self) -> _Sink:
        sink = self
        self.requests = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                sink.requests += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


def _forward(folder: Path, url: str) -> tuple[float, float]:
    """(samples/s, CPU s per million) from the spool to a sink, gzip on, the pace of catching up off."""
    writer = HistoryWriter(folder, Retention(days=36_500))
    ids = writer.register([SeriesInfo(f"p{number}", "kW") for number in range(SERIES)])
    writer.spool.set_cursor("influx", 0)
    for number, batch in enumerate(_batches(np.array(list(ids.values()), np.uint32), FORWARDED // SERIES)):
        for start in range(0, len(batch), 5_000):
            writer.append(batch[start : start + 5_000], number + 1, 0.0)
    plan = InfluxPlan(url=url, version=2, org="o", bucket="b", token="t", backfill_per_s=1 << 40)
    spool, sender = Spool(folder), sender_of(plan)
    layout = Layout("site", "gridgate", plan.tags, {})
    forwarder = Forwarder(
        plan=plan,
        spool=spool,
        sender=sender,
        prefix=PrefixCache(spool, layout),
        quarantine=Quarantine(folder),
        log=get_log(process="bench"),
    )
    began, cpu = time.perf_counter(), time.thread_time()
    while forwarder.state.sent < FORWARDED:
        forwarder.step(time.monotonic(), time.time_ns())
    seconds, cpu_s = time.perf_counter() - began, time.thread_time() - cpu
    for file in (sender, spool, writer):
        file.close()
    return FORWARDED / seconds, cpu_s * 1e6 / FORWARDED


def _batching_peer(url: str) -> float:
    """influxdb-client's batching mode as its documentation shows it: samples/s until its queue has gone out."""
    from influxdb_client import InfluxDBClient, Point, WriteOptions

    with InfluxDBClient(url=url, token="t", org="o") as client:
        began = time.perf_counter()
        with client.write_api(write_options=WriteOptions(batch_size=5_000, flush_interval=1_000)) as api:
            for number in range(PEER_SAMPLES):
                point = Point("gridgate").tag("point", f"p{number % SERIES}").field("value", 49.98)
                api.write("b", "o", point.time(START_NS + number))
        return PEER_SAMPLES / (time.perf_counter() - began)


def measure() -> Iterable[Result]:
    """The aims: 1,000,000 samples/s, 4 bytes each, a day of a point in 10 ms."""
    with tempfile.TemporaryDirectory() as root, _Sink() as sink:
        peer = _batching_peer(sink.url)
        rate, size, cpu = _record(Path(root) / "record")
        yield Result(
            name="history_recorded",
            value=rate,
            unit="samples/s",
            at_least=1_000_000.0,
            peer="influxdb-client, batching mode, to a sink",
            peer_value=peer,
            note="durable in the spool, then in day files, merged; 1,000 series",
        )
        yield Result(name="history_size", value=size, unit="bytes/sample", budget=4.0)
        yield Result(name="history_cpu", value=cpu, unit="us/sample")
        _a_day(Path(root) / "day")
        one, twenty = _queries(Path(root) / "day")
        yield Result(name="history_day_of_one_point", value=percentile(one, 50), unit="ms", budget=10.0)
        yield Result(name="history_day_of_one_point_p99", value=percentile(one, 99), unit="ms")
        yield Result(name="history_20_points_1000_buckets", value=min(twenty), unit="ms")
        forwarded, forward_cpu = _forward(Path(root) / "forward", sink.url)
        yield Result(
            name="history_forwarded",
            value=forwarded,
            unit="samples/s",
            peer="influxdb-client, batching mode, to the same sink",
            peer_value=peer,
        )
        yield Result(name="history_forward_cpu", value=forward_cpu, unit="us/sample")
