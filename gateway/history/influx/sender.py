"""The two ways to write: `/api/v2/write` by influxdb-client, and `/write` of version 1, which that library has not."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import urllib3

from gateway.history.influx.answers import Answer, retry_after_s
from gateway.history.plan import InfluxPlan

_TEXT_LIMIT: Final = 300


class Sender(Protocol):
    """Writes lines and says what became of them. Blocks; never raises for what the network or the server does."""

    def send(self, lines: bytes) -> Answer: ...

    def close(self) -> None: ...


def sender_of(plan: InfluxPlan) -> Sender:
    """By the version in the plan."""
    return _VERSIONS[plan.version](plan)


class Version2:
    """`/api/v2/write` (versions 2 and 3) through influxdb-client, synchronous."""

    def __init__(self, plan: InfluxPlan) -> None:
        # Loaded here: a site without a forwarder, or with one of version 1, does without it.
        from influxdb_client import InfluxDBClient, WritePrecision  # noqa: PLC0415
        from influxdb_client.client.write_api import SYNCHRONOUS  # noqa: PLC0415
        from influxdb_client.rest import ApiException  # noqa: PLC0415

        self._plan, self._refused, self._precision = plan, ApiException, WritePrecision.NS
        self._client = InfluxDBClient(
            url=plan.url,
            token=plan.token,
            org=plan.org,
            timeout=int(plan.timeout_s * 1000),
            enable_gzip=plan.gzip,
            ssl_ca_cert=None if plan.ca is None else str(plan.ca),
            retries=False,
        )
        self._api = self._client.write_api(write_options=SYNCHRONOUS)

    def send(self, lines: bytes) -> Answer:
        try:
            self._api.write(self._plan.bucket, self._plan.org, lines, self._precision)
        except self._refused as error:
            headers: Mapping[str, str] = error.headers or {}
            asked = retry_after_s(headers.get("Retry-After"), datetime.now(UTC))
            return Answer(int(error.status or 0), _text(error.body or error.reason), asked)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Answer(0, _cause(error))
        return Answer(204)

    def close(self) -> None:
        self._api.close()
        self._client.close()


class Version1:
    """`/write` of version 1."""

    def __init__(self, plan: InfluxPlan) -> None:
        self._plan = plan
        context = ssl.create_default_context(cafile=None if plan.ca is None else str(plan.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        timeout = urllib3.Timeout(plan.timeout_s)
        self._pool = urllib3.PoolManager(1, timeout=timeout, retries=False, ssl_context=context)
        self._headers = {"Content-Type": "text/plain; charset=utf-8"}
        if plan.gzip:
            self._headers["Content-Encoding"] = "gzip"
        if plan.username:
            self._headers |= urllib3.make_headers(basic_auth=f"{plan.username}:{plan.password}")
        self._fields = {"db": plan.bucket, "precision": "ns"}
        if plan.retention_policy:
            self._fields["rp"] = plan.retention_policy

    def send(self, lines: bytes) -> Answer:
        body = gzip.compress(lines, 1) if self._plan.gzip else lines
        url = f"{self._plan.url.rstrip('/')}/write?{urlencode(self._fields)}"
        try:
            answer = self._pool.request("POST", url, body=body, headers=self._headers)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Answer(0, _cause(error))
        text = _text(answer.data) if answer.status >= 300 else ""
        return Answer(answer.status, text, retry_after_s(answer.headers.get("Retry-After"), datetime.now(UTC)))

    def close(self) -> None:
        self._pool.clear()


_VERSIONS: Final[Mapping[int, type[Version1] | type[Version2]]] = {1: Version1, 2: Version2}


def _text(body: Any) -> str:
    """The server's own words, out of its JSON where it is one."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    try:
        content = json.loads(text)
    except ValueError:
        return text.strip()[:_TEXT_LIMIT]
    if isinstance(content, dict):
        text = str(content.get("message") or content.get("error") or text)
    return text.strip()[:_TEXT_LIMIT]


def _cause(error: Exception) -> str:
    """The innermost reason, without the library's own dress."""
    reason = getattr(error, "reason", None)
    return str(reason if isinstance(reason, Exception) else error)[:_TEXT_LIMIT]
