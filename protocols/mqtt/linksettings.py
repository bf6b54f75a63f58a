"""The keys of a broker connection, which devices and servers share, and their check. Imported only while checking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.contracts.places import Place, Report
from gateway.contracts.settings import Strict
from protocols.mqtt import tls
from protocols.mqtt.address import check_topic, parse_url
from protocols.mqtt.jsonpath import parse_path
from protocols.mqtt.linkplan import LinkPlan, TlsPlan


def checked(check: Callable[[str], object]) -> AfterValidator:
    """A validator that keeps the text and complains in the words of `check`."""

    def validate(text: str) -> str:
        check(text)
        return text

    return AfterValidator(validate)


def _text(value: object) -> object:
    """``5`` and ``3.1.1`` are both texts here."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Url = Annotated[str, checked(parse_url)]
Topic = Annotated[str, checked(check_topic)]
JsonPath = Annotated[str, checked(parse_path)]
Version = Annotated[Literal["3.1.1", "5"], BeforeValidator(_text)]
_VERSIONS: Final = {"3.1.1": 4, "5": 5}


class TlsSettings(Strict):
    """PEM files, relative to the site file."""

    ca: str = ""
    certificate: str = ""
    key: str = ""
    passphrase: str = ""
    minimum: Annotated[Literal["1.2", "1.3"], BeforeValidator(_text)] = "1.2"


def link_plan(settings: Any, place: Place, key: Callable[[str], Place], report: Report) -> LinkPlan:
    """The connection of a device or server that has these keys; what is wrong with it is in the report."""
    broker = parse_url(settings.url)
    if settings.password and not settings.username:
        report.error(key("password"), "a password without a username")
    if settings.password and not broker.tls and broker.host not in ("127.0.0.1", "localhost", "::1"):
        report.warning(key("url"), "the password goes over the network in the clear: mqtts:// protects it")
    return LinkPlan(
        broker=broker,
        client_id=settings.client_id,
        username=settings.username,
        password=settings.password,
        tls=_tls(settings.tls, broker.tls, Path(place.file).parent, key, report),
        version=_VERSIONS[settings.version],
        keep_alive_s=settings.keep_alive_s,
        timeout_s=settings.timeout_ms / 1000,
        reconnect_max_s=settings.reconnect_max_s,
    )


def _tls(
    settings: TlsSettings | None, wanted: bool, folder: Path, key: Callable[[str], Place], report: Report
) -> TlsPlan | None:
    if settings is None:
        return TlsPlan() if wanted else None
    place = key("tls")
    if not wanted:
        report.error(place, "tls without mqtts:// in url: the connection would be in the clear")
    if bool(settings.certificate) != bool(settings.key):
        report.error(place, "tls: certificate and key belong together: one of them is missing")
    paths = {name: getattr(settings, name) for name in ("ca", "certificate", "key")}
    plan = TlsPlan(
        **{name: str((folder / path).resolve()) if path else "" for name, path in paths.items()},
        passphrase=settings.passphrase,
        minimum=settings.minimum,
    )
    trouble = tls.file_trouble(plan)
    if trouble:
        report.error(place, f"tls: {trouble}")
    return plan


Seconds = Annotated[float, Field(gt=0, le=86_400)]
KeepAlive = Annotated[int, Field(ge=1, le=65_535)]
Milliseconds = Annotated[int, Field(ge=50, le=600_000)]
