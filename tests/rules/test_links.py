"""Every relative link in the documentation leads to a file, and to a heading of it."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
IN_CODE = re.compile(r"```.*?```", re.DOTALL)
NAMED_IN = re.compile(r"^\| [^|]*\| `(\w+)` in \[[^\]]*\]\(([^)]+)\) \|$", re.MULTILINE)


def documents() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    return [ROOT / name for name in listed.stdout.splitlines() if not name.endswith(".template.md")]


def anchors(document: Path) -> set[str]:
    """The anchors that a Markdown viewer gives a document's headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(IN_CODE.sub("", document.read_text("utf-8")))
    }


def broken_links(document: Path) -> list[str]:
    broken = []
    for path, anchor in LINK.findall(IN_CODE.sub("", document.read_text("utf-8"))):
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}" if anchor else path)
    return broken


def test_links_lead_somewhere():
    found = documents()
    assert len(found) > 8
    assert {str(document): broken for document in found if (broken := broken_links(document))} == {}


def test_broken_links_are_found(tmp_path):
    document = tmp_path / "README.md"
    document.write_text(
        "# One\n[a](README.md#one) [b](#one) [c](#two) [d](missing.md) [e](https://x.invalid/y)\n"
    )
    assert broken_links(document) == ["#two", "missing.md"]


def test_readme_names_what_its_files_hold():
    readme = ROOT / "README.md"
    named = NAMED_IN.findall(readme.read_text("utf-8"))
    assert named
    for name, path in named:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text("utf-8")), f"{path} has no {name}"
