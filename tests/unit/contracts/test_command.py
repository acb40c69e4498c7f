import io
import json

import pytest

from retainwise_contracts.codec import MESSAGES
from retainwise_contracts.command import main
from retainwise_contracts.examples import load_example
from retainwise_contracts.releases import list_releases, load_released_schemas

REQUESTED = "retainwise.prediction.requested.v1"


@pytest.mark.parametrize("message_type", MESSAGES)
def test_show_prints_the_fields_and_an_example(capsys, message_type):
    assert main(["show", message_type]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in MESSAGES[message_type].model_fields)
    assert load_example(message_type) in printed


def test_show_names_the_types_that_exist(capsys):
    assert main(["show", "retainwise.prediction.lost.v1"]) == 2
    assert REQUESTED in capsys.readouterr().err


def test_validate_reads_a_file(capsys, tmp_path):
    file = tmp_path / "message.json"
    file.write_text(load_example(REQUESTED))
    assert main(["validate", str(file)]) == 0
    assert capsys.readouterr().out == f"valid: {REQUESTED}\n"

    file.write_text(load_example(REQUESTED).replace("acme", "../etc"))
    assert main(["validate", str(file)]) == 1
    assert "MalformedMessage: tenantid" in capsys.readouterr().out

    assert main(["validate", str(tmp_path / "missing.json")]) == 2
    assert "missing.json" in capsys.readouterr().err


def test_validate_reads_standard_input(capsys, monkeypatch):
    body = load_example(REQUESTED).replace("requested.v1", "requested.v2", 1).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
    assert main(["validate", "-"]) == 1
    assert capsys.readouterr().out.startswith("UnsupportedVersion: ")


def test_explain_finds_no_change_in_a_release_itself(capsys):
    (release, *_) = list_releases()
    assert main(["explain", release, release]) == 0
    assert capsys.readouterr().out == "no change\n"


def test_explain_says_what_a_change_breaks(capsys, tmp_path):
    (release, *_) = list_releases()
    schemas = load_released_schemas(release)
    del schemas[REQUESTED]["properties"]["deadline"]
    for name, schema in schemas.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(schema))
    assert main(["explain", release, str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert f"MAJOR  {REQUESTED}.deadline: field removed or renamed; breaks: old readers" in printed
    assert "the gravest is major" in printed


def test_explain_names_the_releases_that_exist(capsys, tmp_path):
    assert main(["explain", "0.0.1", "installed"]) == 2
    assert list_releases()[0] in capsys.readouterr().err
