"""The page is made from the document alone: a hand-written document in, HTML out."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from services.api.http.openapi import document
from services.api.http.page import Documentation, page, prose
from tests.services.api.http.test_openapi import ALL, TAGS


@pytest.fixture(scope="module")
def made() -> Documentation:
    return page(document(ALL, "2026.11.0", TAGS))


class Elements(HTMLParser):
    """What a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.seen if (value := attrs.get(attribute)) is not None]


def test_it_is_well_formed_and_every_link_within_it_leads_somewhere(made: Documentation) -> None:
    elements = Elements(made.html.decode())
    assert elements.open == []
    ids = elements.values("id")
    assert len(ids) == len(set(ids))
    inner = {link.removeprefix("#") for link in elements.values("href") if link.startswith("#")}
    assert inner <= set(ids)
    assert {operation.id for operation in ALL} <= inner


def test_it_loads_nothing_from_anywhere(made: Documentation) -> None:
    elements = Elements(made.html.decode())
    assert elements.values("src") == []
    assert {tag for tag, _ in elements.seen} & {"script", "link", "img", "iframe"} == set()
    assert {link for link in elements.values("href") if not link.startswith("#")} == {"openapi.json"}
    assert elements.values("style") == []


def test_its_policy_allows_its_own_style_and_nothing_more(made: Documentation) -> None:
    style = re.search(rb"<style>(.*?)</style>", made.html, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1]).digest()).decode()
    policy = made.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_every_operation_shows_method_path_scope_summary_and_statuses(made: Documentation) -> None:
    articles = re.findall(r'<article id="(\w+)">(.*?)</article>', made.html.decode(), re.DOTALL)
    shown = {name: " ".join("".join(Elements(text).texts).split()) for name, text in articles}
    assert "POST/api/shelves/write" in shown["create_shelf"]
    assert "Build a shelf" in shown["create_shelf"]
    assert "201 Shelf" in shown["create_shelf"]
    assert "400, 401, 403, 408, 409, 413, 415, 422, 429, 503" in shown["create_shelf"]
    assert "name text at least 1 characters; at most 20 characters" in shown["create_shelf"]
    assert "cursor query uuid optional Where the page begins" in shown["list_shelves"]
    assert "200 list of Shelf" in shown["list_shelves"]
    assert "open" in shown["print_shelves"]


def test_the_curl_of_an_operation_can_be_pasted(made: Documentation) -> None:
    texts = "".join(Elements(made.html.decode()).texts)
    assert 'curl -X POST "$ORCHEST_API/api/shelves/$uuid/move" \\\n  -H "Authorization: Bearer $ORCHEST_TOKEN"' in texts
    assert '-d \'{\n  "name": "text"\n}\'' in texts
    assert 'curl "$ORCHEST_API/shelves.txt"\n' in texts + "\n"


HOSTILE: list[Any] = ["<script>alert(1)</script>", '"><img src=x>', "'; DROP", "`<b>`", "**<i>**"]


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_the_document_are_text(text: str) -> None:
    described = document(ALL, text, dict.fromkeys(TAGS, text))
    described["components"]["schemas"]["Shelf"]["description"] = text
    operation = described["paths"]["/api/shelves/"]["post"]
    operation["summary"] = operation["description"] = text
    elements = Elements(page(described).html.decode())
    assert {tag for tag, _ in elements.seen} & {"script", "img", "b", "i"} == set()


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("One\nline", "<p>One line</p>"),
        ("One\n\ntwo", "<p>One</p><p>two</p>"),
        ("A `code` and **strong**", "<p>A <code>code</code> and <strong>strong</strong></p>"),
        ("a < b", "<p>a &lt; b</p>"),
        ("", ""),
    ],
)
def test_prose_knows_three_marks(text: str, html: str) -> None:
    assert prose(text) == html
