"""The API's document is current and valid; the docs are whole, unchanged and load nothing from elsewhere."""

import hashlib
import json
import re
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

import producer_api.http.docs
from producer_api.app import ROUTES
from producer_api.http.docs.handlers import CONTENT_SECURITY_POLICY, _problem_pages
from producer_api.http.openapi import DOCUMENT, PROBLEM_MEDIA_TYPE, build_document
from producer_api.http.problems import HTTP_PROBLEMS, INTERNAL_ERROR, PROBLEMS

DOCS = Path(producer_api.http.docs.__file__).parent
CODES = {problem.code for problem in (*PROBLEMS.values(), *HTTP_PROBLEMS.values(), INTERNAL_ERROR)}


def test_document_is_current():
    """`make openapi` writes it."""
    assert DOCUMENT.read_bytes() == build_document(ROUTES)


def test_document_is_valid():
    OpenAPIV31SpecValidator(json.loads(DOCUMENT.read_bytes())).validate()


def test_every_route_says_what_it_takes_and_answers():
    document = json.loads(DOCUMENT.read_bytes())
    names = []
    for route in ROUTES:
        if not route.documented:
            continue
        operation = document["paths"][route.path][route.method.lower()]
        names.append(operation["operationId"])
        assert any(int(status) < 300 for status in operation["responses"]), f"{route.path} has no success"
        assert ("401" in operation["responses"]) is not route.public
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and not route.public:
                assert list(answer["content"]) == [PROBLEM_MEDIA_TYPE], f"{route.path} {status}"
    assert len(names) == len(set(names))


def test_every_error_has_a_page():
    assert set(_problem_pages()) == {"", *CODES}
    listed = re.findall(r"/docs/problems/(\w+)", DOCUMENT.read_text("utf-8"))
    assert set(listed) <= CODES


def test_docs_load_nothing_from_elsewhere():
    assert re.findall(r"https?:", CONTENT_SECURITY_POLICY) == []
    for page in (DOCS / "index.html", DOCS / "page.html"):
        loaded = re.findall(r'(?:src|href)="([^"]*)"', page.read_text("utf-8"))
        assert loaded
        assert all(path.startswith("/") or path == "data:," for path in loaded)
        assert not re.search(r"<script>|<style|\son\w+=|style=", page.read_text("utf-8"))


def test_vendored_files_are_the_published_ones():
    folder = DOCS / "swagger_ui"
    vendor = json.loads((folder / "vendor.json").read_text("utf-8"))
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "vendor.json"
    }
    assert found == vendor["sha256"]
    assert {"LICENSE", "NOTICE"} < set(found)
