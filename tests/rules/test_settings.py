"""Each service's README names exactly the settings that the service has, with their defaults."""

import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from consumer_worker.settings import Settings as WorkerSettings
from producer_api.settings import Settings as ApiSettings

ROOT = Path(__file__).parents[2]
TABLE = re.compile(r"^\| variable \| default \|.*\n\|[-|]+\n((?:\|.*\n)+)", re.MULTILINE)
VARIABLE = re.compile(r"`([A-Z][A-Z_]*)`")
WORDS = {"none": "()", "1 GiB": str(1 << 30), "the system's": "none", "unset": "none"}
"""Defaults that the tables give in words."""

SERVICES = pytest.mark.parametrize(
    ("readme", "settings"),
    [("producer_api/README.md", ApiSettings), ("consumer_worker/README.md", WorkerSettings)],
    ids=["api", "worker"],
)


def read_table(readme: str) -> dict[str, str]:
    """Read the table of variables: each with its default as it is written there, empty if required."""
    (rows,) = TABLE.findall((ROOT / readme).read_text("utf-8"))
    found: list[tuple[str, str]] = []
    for row in rows.splitlines():
        names, default = (cell.strip() for cell in row.split("|")[1:3])
        variables = VARIABLE.findall(names)
        defaults = [part.strip("` ") for part in default.split(", ")]
        if default in {"", "required", "CPUs, at least 2"}:
            defaults = [default.replace("required", "")] * len(variables)
        found += zip(variables, defaults, strict=True)
    assert len(found) == len(dict(found)), "a variable stands in the table twice"
    return dict(found)


@SERVICES
def test_readme_names_each_setting(readme: str, settings: type[BaseSettings]):
    assert set(read_table(readme)) == {name.upper() for name in settings.model_fields}


@SERVICES
def test_readme_gives_each_default(readme: str, settings: type[BaseSettings]):
    table = read_table(readme)
    for name, field in settings.model_fields.items():
        written = table[name.upper()]
        if field.is_required() or name == "scoring_threads":  # the latter's depends on the machine
            assert written in {"", "CPUs, at least 2"}, name
        else:
            assert WORDS.get(written, written).lower() == str(field.default).lower(), name
