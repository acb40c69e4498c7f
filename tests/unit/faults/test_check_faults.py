"""What `make check-faults` rests on: it sees the requests it is to catch, and what does not hold."""

import json

import pytest

from tests.faults.leaks import SECRET_CELL, Leaks
from tests.faults.proxies import PostgresSpotter
from tests.faults.report import Report


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


STARTUP = (8).to_bytes(4) + (80_877_103).to_bytes(4) + (9).to_bytes(4) + b"\0\3\0\0\0"
PARSE = message(b"P", b"s1\0update predictions set fence = fence + 1\0\0\0")
BIND = message(b"B", b"\0s1\0rest")
BEGIN, COMMIT = message(b"Q", b"BEGIN;\0"), message(b"Q", b"COMMIT;\0")


@pytest.fixture
def spotter():
    return PostgresSpotter(r"set\s+fence\s*=")


def test_spotter_sees_a_prepared_statement_each_time(spotter):
    assert not spotter.spot(STARTUP + PARSE)
    assert [spotter.spot(BIND), spotter.spot(BIND)] == [True, True]


def test_spotter_sees_a_statement_in_pieces(spotter):
    pieces = STARTUP + PARSE + BIND
    assert [spotter.spot(pieces[at : at + 1]) for at in range(len(pieces))].count(True) == 1


def test_spotter_waits_for_the_commit(spotter):
    assert not spotter.spot(STARTUP + BEGIN + PARSE + BIND)
    assert spotter.spot(COMMIT)
    assert not spotter.spot(BEGIN + COMMIT)


def test_spotter_overlooks_other_statements(spotter):
    other = message(b"P", b"s2\0select 1\0\0\0") + message(b"B", b"\0s2\0rest")
    assert not spotter.spot(STARTUP + PARSE + other)


def test_report_names_what_does_not_hold():
    report = Report(hostile_inputs=59, lost=1, recovery_s_max=75.1)
    assert report.broken() == [
        "lost is 1, not 0",
        "recovery_s_max is 75.1, over 75",
        "hostile_inputs is 59, under 60",
    ]
    assert Report(hostile_inputs=60, recovery_s_max=75.0).broken() == []
    assert json.loads(report.to_json())["lost"] == 1


def test_leaks_are_found_once_each(capsys):
    report = Report()
    leaks = Leaks(report)
    leaks.plant_token("a.b.signature")
    for _ in range(2):
        leaks.look_at_answer("x", b"HTTP/1.1 400 B\r\nServer: Python/3 aiohttp/3\r\n\r\nBearer a.b.signature")
        leaks.look_at_answer("y", f"HTTP/1.1 200 OK\r\nServer: ours\r\n\r\n{SECRET_CELL}".encode())
    leaks.look_at_answer("z", b"HTTP/1.1 200 OK\r\n\r\nno http://10.0.0.1 here", is_open=True)
    assert report.leaks == 4
    assert "aiohttp" in capsys.readouterr().out
