"""Files that an attacker would upload, each with the query it is uploaded with."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.faults.files import HEADER, customers

ROW = "C-1,12,One year,DSL,Mailed check,20.5,240\n"


@dataclass(frozen=True)
class HostileFile:
    """Content that is made when its turn comes, since some of it is large."""

    make: Callable[[], bytes]
    query: str = ""


def _cell(cell: str, rows: int = 200) -> bytes:
    """An honest file, one cell of which is not."""
    return customers(rows) + f"C-x,{cell},One year,DSL,Mailed check,20.5,240\n".encode()


def _columns(count: int, rows: int, cell: str = "", *, name: str = "h") -> bytes:
    more = "".join(f",{name}{number}" for number in range(count))
    row = ROW.rstrip("\n") + f",{cell}" * count + "\n"
    return (HEADER.rstrip("\n") + more + "\n" + row * rows).encode()


def _noise(size: int) -> bytes:
    return HEADER.encode() + random.Random(5).randbytes(size)


FILES: Mapping[str, HostileFile] = {
    "a quoted minus and 130,000 spaces": HostileFile(lambda: _cell('"-1' + " " * 130_000 + '"')),
    "a category of a minus, 130,000 spaces, a line": HostileFile(
        lambda: customers(200) + b'C-x,1,"-1' + b" " * 130_000 + b'\nx",DSL,Mailed check,20.5,240\n'
    ),
    "a category of 100,000 brackets": HostileFile(
        lambda: customers(200) + b"C-x,1," + b"(1" * 50_000 + b",DSL,Mailed check,20.5,240\n"
    ),
    "a minus, 130,000 spaces and a letter": HostileFile(lambda: _cell("-1" + " " * 130_000 + "x")),
    "a currency, 60,000 spaces, a currency": HostileFile(lambda: _cell("$" + " " * 60_000 + "1 $ $")),
    "130,000 commas in quotes and a letter": HostileFile(lambda: _cell('"1' + ",123" * 32_000 + 'x"')),
    "a number between 120,000 spaces": HostileFile(lambda: _cell(" " * 60_000 + "1" + " " * 60_000)),
    "a minus and 100,000 no-break spaces": HostileFile(lambda: _cell("-1" + "\u00a0" * 60_000)),
    "a number of 120,000 digits": HostileFile(lambda: _cell("9" * 120_000)),
    "100,000 dots and commas": HostileFile(lambda: _cell('"' + "1.000," * 20_000 + '"')),
    "an exponent without end": HostileFile(lambda: _cell("1e" + "9" * 5_000)),
    "huge numbers": HostileFile(lambda: _cell("1e308") + b"C-y,-1e309,One year,DSL,x,1e400,NaN\n"),
    "100,000 quotes in a cell": HostileFile(lambda: _cell('"' + '""' * 60_000 + '"')),
    "a storm of quotes": HostileFile(lambda: HEADER.encode() + b'"' * 400_000 + b"\n" + ROW.encode()),
    "quotes that never close": HostileFile(lambda: customers(2_000).replace(b",DSL", b',"DSL')),
    "a header of 131 KB": HostileFile(lambda: _columns(950, 5, name="months with us " * 9)),
    "a header of 900 likenesses": HostileFile(
        lambda: (HEADER.strip() + "".join(f",{'tenure_' * 15}{n}" for n in range(900)) + "\n" + ROW).encode()
    ),
    "1,000 headers of one name": HostileFile(
        lambda: (HEADER.strip() + ",tenure" * 900 + "\n" + ROW.strip() + ",1" * 900 + "\n").encode()
    ),
    "1,000 headers and a million empty lines": HostileFile(lambda: _columns(950, 3) + b"\n" * 1_000_000),
    "1,000 columns and 20,000 short rows": HostileFile(lambda: _columns(950, 3) + ROW.encode() * 20_000),
    "1,000 columns, 4,000 full rows": HostileFile(lambda: _columns(950, 4_000, "1")),
    "a million lines of a comma": HostileFile(lambda: HEADER.encode() + b",\n" * 1_000_000, "?reasons=5"),
    "400,000 short lines with five reasons": HostileFile(
        lambda: (
            b"tenure,Contract,InternetService,customerID\n"
            + b"".join(b"1,One year,DSL,%x\n" % number for number in range(400_000))
        ),
        "?reasons=5",
    ),
    "300,000 times the same customer": HostileFile(lambda: HEADER.encode() + ROW.encode() * 300_000),
    "nul bytes": HostileFile(lambda: customers(500).replace(b"One year", b"One\0year")),
    "noise": HostileFile(lambda: _noise(600_000)),
    "UTF-16 that ends in the middle": HostileFile(
        lambda: b"\xff\xfe" + customers(500).decode().encode("utf-16-le")[:-1]
    ),
    "carriage returns alone": HostileFile(lambda: customers(3_000).replace(b"\n", b"\r")),
    "every separator at once": HostileFile(lambda: customers(2_000).replace(b",", b",;\t|")),
    "bad UTF-8 in every row": HostileFile(
        lambda: customers(2_000).replace(b"One year", b"One \xc3\x28 year")
    ),
    "formulas": HostileFile(lambda: customers(500, mark="=HYPERLINK(1)")),
    "ids of 100 KB": HostileFile(lambda: customers(20, mark="x" * 100_000)),
    "combining marks": HostileFile(lambda: customers(300, mark="e" + "\u0301" * 2_000)),
}
