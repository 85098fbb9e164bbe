"""The document and the page of the whole API, as they are served and as they are published."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import falcon.inspect
import orjson
import pytest

from dev.api_document import api_document
from dev.schemas import API_FILE
from services.api.http.operation import Scope
from tests.services.api.catalogue import DOCUMENT, EVERY
from tests.services.api.http.standard import mistakes_of
from tests.services.api.http.test_page import Elements

if TYPE_CHECKING:
    from tests.services.api.site import Site

MOST_PAGE_BYTES = 300 * 1024


def test_it_keeps_to_openapi() -> None:
    assert mistakes_of(DOCUMENT) == []


def test_the_published_file_is_what_the_code_says() -> None:
    assert orjson.loads(API_FILE.read_bytes()) == DOCUMENT, "make schemas"


def test_it_is_the_same_each_time_it_is_made() -> None:
    assert orjson.dumps(api_document()) == orjson.dumps(DOCUMENT)


def test_it_has_every_operation_once_and_clients_can_be_made_of_it() -> None:
    operations = [one for methods in DOCUMENT["paths"].values() for one in methods.values()]
    names = [one["operationId"] for one in operations]
    assert sorted(names) == sorted(EVERY)
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []
    assert [name for name in DOCUMENT["components"]["schemas"] if not re.fullmatch(r"[A-Z][A-Za-z]*", name)] == []


def test_one_path_has_one_form() -> None:
    """Neither the slash at the end nor the names of parameters tell two paths apart."""
    forms = [re.sub(r"{\w+}", "{}", path).rstrip("/") for path in DOCUMENT["paths"]]
    assert len(forms) == len(set(forms))


def test_every_tag_is_explained_and_every_operation_has_one() -> None:
    explained = {tag["name"] for tag in DOCUMENT["tags"]}
    assert {operation.tag for operation in EVERY.values()} == explained
    assert all(tag["description"] for tag in DOCUMENT["tags"])


@pytest.mark.parametrize("name", sorted(EVERY))
def test_every_operation_can_be_understood(name: str) -> None:
    operation = EVERY[name]
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]
    assert 0 < len(operation.summary) <= 80
    assert not operation.summary.endswith(".")
    in_path = {one["name"] for one in described.get("parameters", []) if one.get("in") == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", operation.path))
    assert [
        one["name"] for one in described.get("parameters", []) if "$ref" not in one and "description" not in one
    ] == []


def test_every_route_is_in_the_document(site: Site) -> None:
    routes = {
        (route.path.rstrip("/"), method.method)
        for route in falcon.inspect.inspect_routes(site.app)
        for method in route.methods
        if not method.internal and method.method != "WEBSOCKET"
    }
    assert routes == {(operation.path.rstrip("/"), str(operation.method)) for operation in EVERY.values()}


def test_it_is_served_to_anybody_and_not_sent_twice(site: Site) -> None:
    served = site.ask("GET", "/api/openapi.json", scope=None)
    assert served.headers["content-type"] == "application/json"
    assert served.json == DOCUMENT
    again = site.ask("GET", "/api/openapi.json", scope=None, headers={"If-None-Match": served.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_page_is_served_to_anybody_with_its_policy(site: Site) -> None:
    served = site.ask("GET", "/api/docs", scope=None)
    assert served.headers["content-type"].startswith("text/html")
    assert served.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert served.headers["x-content-type-options"] == "nosniff"
    assert len(served.content) < MOST_PAGE_BYTES
    elements = Elements(served.text)
    assert elements.open == []
    assert EVERY.keys() <= set(elements.values("id"))
    inner = {link[1:] for link in elements.values("href") if link.startswith("#")}
    assert inner <= set(elements.values("id"))


def test_no_secret_of_the_site_is_in_either(site: Site) -> None:
    texts = [site.ask("GET", path, scope=None).text for path in ("/api/openapi.json", "/api/docs")]
    assert not any(site.tokens[scope] in text for scope in Scope for text in texts)
