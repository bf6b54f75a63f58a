"""Every call of the document with what it allows and what it does not: no 500, and declared statuses only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.users.store import User, changed_users, hash_password
from tests.kit.gateway import wait_until
from tests.kit.hmikit import PASSWORD, HmiSite

CHECKS: Final = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES: Final = {"viewer": 1, "administrator": 2}
"""Of each call with what it allows; one more with what it does not."""
LEFT_OUT: Final = {
    ("post", "/api/login"),
    ("post", "/api/logout"),
    ("post", "/api/password"),
    ("put", "/api/users/{name}"),
    ("delete", "/api/users/{name}"),
    ("post", "/api/users/{name}/password"),
}
"""They could end the session of whoever tries the others, or brake it."""
BOUNDED: Final = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def logged_in(hmi: HmiSite, name: str, role: str) -> requests.Session:
    with changed_users(hmi.site.state_dir / "users.yaml") as users:
        users[name] = User(name=name, roles=frozenset({role}), password=hash_password(PASSWORD))
    caller = hmi.caller()
    wait_until(lambda: caller.login(name).status_code == 200, f"{name} to be known")
    session = requests.Session()
    session.cookies.update(dict(caller.http.cookies))
    session.headers["X-CSRF-Token"] = caller.csrf
    return session


@pytest.mark.timeout(300)  # a busy machine takes long over many calls
@pytest.mark.parametrize("role", ["viewer", "administrator"])
def test_no_call_ends_in_an_error_of_ours(hmi: HmiSite, role: str) -> None:
    session = logged_in(hmi, f"tester-{role}", role)
    document: dict[str, Any] = session.get(f"{hmi.url}/api/openapi.json").json()
    for method, path in LEFT_OUT:
        del document["paths"][path][method]
    schema = schemathesis.openapi.from_dict(document)
    called: set[str] = set()
    statuses: set[int] = set()

    def attempt(case: Case) -> None:
        headers = {"X-CSRF-Token": session.headers["X-CSRF-Token"]}
        response = case.call(base_url=hmi.url, session=session, headers=headers, timeout=100)
        case.validate_response(response, checks=CHECKS)
        called.add(f"{case.method} {case.path}")
        statuses.add(response.status_code)

    def attempts(strategy: Any, most: int) -> Callable[[], None]:
        return settings(BOUNDED, max_examples=most)(given(case=strategy)(attempt))

    for result in schema.get_all_operations():
        operation = result.ok()
        takes = bool(operation.body or operation.query or operation.path_parameters)
        attempts(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), EXAMPLES[role] if takes else 1)()
        # What a viewer may not do at all is refused before anybody looks at what is asked.
        if takes and (role == "administrator" or operation.method == "get"):
            attempts(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), 1)()
    session.close()
    assert len(called) == sum(len(of) for of in document["paths"].values())
    assert {200, 422} <= statuses
