"""Whatever a file holds, reading its head takes time in proportion to its size, and never long.

CPU time of this thread is measured, the best of several runs: other load on the machine hardly counts.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from ml_models.card import load_card, normalise
from ml_models.intake.columns import MappingError, map_columns
from ml_models.intake.dialect import HEAD_BYTES, UnreadableFile, Utf8Tally, detect_dialect, unwrap_rows
from ml_models.intake.encoding import UncertainEncoding, WordSample, legacy_encoding, looks_garbled

CARD = load_card("telco-churn@1.0.0")
SMALL = HEAD_BYTES // 8
GENEROUS = 2.0
"""Seconds of CPU for the largest input: a quadratic algorithm would take minutes."""


def filled(unit: str, size: int, before: str = "", after: str = "") -> str:
    count = (size - len(before) - len(after)) // len(unit)
    return before + unit * count + after


TEXTS: dict[str, Callable[[int], str]] = {
    # The cell that froze a worker for 55 seconds: a number, and spaces to the end.
    "a number and spaces": lambda size: filled(" ", size, 'a,b\n"-1', 'x",2\n1,2\n'),
    "a number and line breaks": lambda size: filled("\n", size, 'a,b\n"-1', 'x",2\n1,2\n'),
    "digits": lambda size: filled("1", size, "a,b\n", "x,2\n1,2\n"),
    "digits and points": lambda size: filled("1.111", size, "a;b\n", "x;2\n1;2\n"),
    "digits and commas": lambda size: filled("1,", size, 'a;b\n"', 'x";2\n1;2\n'),
    "groups of digits": lambda size: filled("111 ", size, "a,b\n", "x,2\n1,2\n"),
    "signs": lambda size: filled("-+(", size, "a,b\n", ",2\n1,2\n"),
    "empty lines": lambda size: filled("\n", size, "a,b\n"),
    "blank lines": lambda size: filled(" \n", size, "a,b\n"),
    "carriage returns": lambda size: filled("\r", size, "a,b\r\n1,2\r\n"),
    "mixed line ends": lambda size: filled("1,2\r\r\n", size, "a,b\r\n"),
    "delimiters": lambda size: filled(",", size),
    "rows of delimiters": lambda size: filled(",;\t|,;\t|\n", size, "a,b;c\td|e\n"),
    "wide rows": lambda size: filled("1," * 900 + "1\n", size, ",".join(f"c{n}" for n in range(901)) + "\n"),
    "quotes": lambda size: filled('"', size, "a,b\n"),
    "quotes and delimiters": lambda size: filled('",', size, "a,b\n"),
    "a quote in each line": lambda size: filled('"x,\n', size, "a,b\n"),
    "quotes in all places": lambda size: filled('"a""b,\'c"\n', size, "a,b\n"),
    "rows in quotes": lambda size: filled('"a,""b"",c",,,\n', size),
    "quotes and trailing delimiters": lambda size: filled('",,,,,,,', size, '"a,b"\n"', 'x"\n'),
    "one long header": lambda size: filled("tenure ", size, "", ",Contract\n1,2\n"),
    "headers of numbers": lambda size: filled("12,", size, "", "\n1,2\n"),
    "letters": lambda size: filled("x", size),
    "combining marks": lambda size: filled("e\u0301\u0302\u0303", size // 2, "", ",b\n1,2\n"),
    "ligatures": lambda size: filled("\ufdfa", size // 3, "a,", "\n1,2\n"),
}  # fmt: skip


def seconds(act: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(4):
        started = time.thread_time()
        with suppress(UnreadableFile, MappingError, UncertainEncoding):
            act()
        best = min(best, time.thread_time() - started)
    return best


def assert_linear(act: Callable[[int], Callable[[], object]], size: int) -> None:
    """Assert that twice the input takes at most 2.5 times as long, four times at most 6.25 times.

    Other programs share the processor's caches, so what looks steeper is measured again: what is, stays so.
    """
    floor = 0.002  # below it, a run's fixed part and the clock's resolution count for more
    measured = []
    for _ in range(3):
        times = [seconds(act(factor * size)) for factor in (1, 2, 4)]
        assert times[2] <= GENEROUS
        if times[1] <= 2.5 * max(times[0], floor) and times[2] <= 2.5 * max(times[1], floor):
            return
        measured.append(times)
    raise AssertionError(f"it grows faster than the input: {measured}")


@pytest.mark.parametrize("name", TEXTS)
def test_detection_is_linear(name: str):
    def act(size: int) -> Callable[[], object]:
        head = TEXTS[name](size).encode()[:HEAD_BYTES]
        return lambda: detect_dialect(head, whole=len(head) < HEAD_BYTES)

    assert_linear(act, SMALL)


@pytest.mark.parametrize("encoding", ["cp1252", "cp1251", "cp932", "utf-16-le", "utf-8"])
@pytest.mark.parametrize("word", ["Müller,Köln\n", "Иванов,Москва\n", "東京,ソニー\n", "ü\x01,\n"])
def test_detection_of_encodings_is_linear(encoding: str, word: str):
    def act(size: int) -> Callable[[], object]:
        head = ("a,b\n" + word * (size // 8)).encode(encoding, "replace")[:size]
        return lambda: detect_dialect(head, whole=False)

    assert_linear(act, SMALL)


def test_detection_of_random_bytes_is_linear():
    scrambled = bytes((n * n * 31 + n // 7) % 224 + 32 for n in range(HEAD_BYTES))
    assert_linear(lambda size: lambda: detect_dialect(b"a,b\n" + scrambled[:size], whole=False), SMALL)


@pytest.mark.parametrize(
    "unit",
    [
        "tenure ",
        "months ",
        "aB",
        "$",
        "é",
        "\ufdfa",
        "_-",
        "monthly charge in ",
        "1",
        "tenur",
        "onlinebackup ",
    ],
)
def test_mapping_of_one_long_header_is_bounded(unit: str):
    headers = [unit * (131_072 // len(unit.encode())), "customerID", "Contract", "InternetService"]
    assert seconds(lambda: map_columns(headers, CARD)) < GENEROUS / 20


@pytest.mark.parametrize(
    "header",
    [
        "tenure", "months with us {n}", "onlin bakup", "monthly charge in $ {n}", "tenurd{n}", "{n}é" * 12,
        "payment methodd", "aB" * 45 + "{n}", "contract" * 4 + "{n}", "x" * 31 + "{n}", "$" * 60 + "{n}",
    ],
)  # fmt: skip
def test_mapping_of_many_headers_is_linear(header: str):
    def act(count: int) -> Callable[[], object]:
        headers = ["customerID", "Contract", *(header.format(n=n) for n in range(count))]
        return lambda: map_columns(headers, CARD)

    assert_linear(act, 250)


@pytest.mark.parametrize("count", [1, 1_000])
def test_a_mapping_of_many_names_is_bounded(count: int):
    headers = [f"column {n}" for n in range(1_000)]
    explicit = {"tenure": "column 1", **{f"feature {n}": f"column {n}" for n in range(count)}}
    assert seconds(lambda: map_columns(headers, CARD, explicit)) < GENEROUS / 20


@pytest.mark.parametrize(
    "unit", [" ", "-1", "1 ", "(1", "\n", "%", "- ", "é", "?", "Ã¼", "\ufdfa", "1,0", "e\u0301"]
)
def test_cells_are_read_in_linear_time(unit: str):
    """Each is a way in which the worker looks at a cell or an id."""
    contract = CARD.feature("Contract")
    assert contract.kind == "categorical"
    assert CARD.outcome is not None
    outcome = CARD.outcome
    readers: list[Callable[[str], object]] = [
        contract.category,
        outcome.has_left,
        looks_garbled,
        normalise,
        lambda text: contract.unit_of([text]),
        lambda text: contract.category(text, "months"),
    ]
    for read in readers:
        assert_linear(
            lambda size, read=read: lambda: read("-1" + unit * (size // len(unit)) + "x"),  # type: ignore[misc]
            16_384,
        )


def test_words_and_rows_are_read_in_linear_time():
    def words(size: int) -> Callable[[], object]:
        def act() -> None:
            sample = WordSample()
            sample.add(b"\xfcx," * (size // 3))
            legacy_encoding(sample.words)

        return act

    assert_linear(words, SMALL)
    for unit in (b"x", b"\xfc", b"x\xfc", b"\xfc,", b"\xfc" * 50 + b" "):
        assert_linear(
            lambda size, unit=unit: lambda: WordSample().add(unit * (size // len(unit)) + b"\xfc"),  # type: ignore[misc]
            SMALL,
        )
    for unit in (b'"', b'",', b'"a,b"\n', b"\n", b',,,"'):
        assert_linear(lambda size, unit=unit: lambda: unwrap_rows(unit * (size // len(unit))), SMALL)  # type: ignore[misc]
    for unit in (b"\xc3", b"\xc3\xbc", b"\xff", b"\xe2\x82"):
        assert_linear(
            lambda size, unit=unit: lambda: Utf8Tally().add(unit * (size // len(unit)), final=True),  # type: ignore[misc]
            SMALL,
        )
