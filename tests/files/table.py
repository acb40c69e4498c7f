"""The plain table, and the ways to change and write it."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from deploy.local.sample import COLUMNS, sample_customers

CUSTOMERS = 300
SEED = 8

ID = "customerID"
ADD_ONS = (
    "OnlineSecurity",
    "OnlineBackup",
    "DeviceProtection",
    "TechSupport",
    "StreamingTV",
    "StreamingMovies",
)

Customer = Mapping[str, str | None]
"""What is true of a customer, in the training data's own columns and words; None is unknown."""
Customers = tuple[Customer, ...]


@dataclass(frozen=True)
class Table:
    """Headers and rows of text. Columns go by the training data's names, whatever the headers say."""

    columns: tuple[str, ...]
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> list[str]:
        position = self.columns.index(name)
        return [row[position] for row in self.rows]

    def renamed(self, **headers: str) -> "Table":
        return self.headed(headers)

    def headed(self, headers: Mapping[str, str]) -> "Table":
        assert set(headers) <= set(self.columns), set(headers) - set(self.columns)
        named = zip(self.columns, self.headers, strict=True)
        return replace(self, headers=tuple(headers.get(column, header) for column, header in named))

    def filled(self, name: str, values: Sequence[str]) -> "Table":
        """Give a column these values, from the first row on."""
        position = self.columns.index(name)
        rows = [
            (*row[:position], value, *row[position + 1 :])
            for row, value in zip(self.rows, values, strict=False)
        ]
        return replace(self, rows=(*rows, *self.rows[len(rows) :]))

    def written(self, name: str, write: Callable[[str], str]) -> "Table":
        """Write each value of a column in another way."""
        return self.filled(name, [write(value) for value in self.column(name)])

    def worded(self, name: str, words: Mapping[str, str]) -> "Table":
        """Replace values of a column by other words; what has none stays."""
        return self.written(name, lambda value: words.get(value, value))

    def without(self, *names: str) -> "Table":
        return self.ordered(*(column for column in self.columns if column not in names))

    def ordered(self, *names: str) -> "Table":
        positions = [self.columns.index(name) for name in names]
        return Table(
            names,
            tuple(self.headers[n] for n in positions),
            tuple(tuple(row[n] for n in positions) for row in self.rows),
        )

    def with_column(self, header: str, values: Sequence[str] | str, at: int | None = None) -> "Table":
        """Insert a column of the file's own; one value stands in all rows."""
        position = len(self.columns) if at is None else at
        cells = [values] * len(self.rows) if isinstance(values, str) else values

        def insert(row: tuple[str, ...], cell: str) -> tuple[str, ...]:
            return (*row[:position], cell, *row[position:])

        rows = tuple(insert(row, cell) for row, cell in zip(self.rows, cells, strict=True))
        return Table(insert(self.columns, header), insert(self.headers, header), rows)

    def head(self, count: int) -> "Table":
        return replace(self, rows=self.rows[:count])

    def text(
        self, delimiter: str = ",", *, newline: str = "\n", quote_all: bool = False, quote: str = '"'
    ) -> str:
        """Write it as CSV."""
        text = io.StringIO()
        writer = csv.writer(
            text,
            delimiter=delimiter,
            lineterminator=newline,
            quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL,
            quotechar=quote,
        )
        writer.writerow(self.headers)
        writer.writerows(self.rows)
        return text.getvalue()

    def lines(self, delimiter: str = ",") -> list[str]:
        """The header's and the rows' lines, for cells that hold no line break."""
        return self.text(delimiter).splitlines()

    def unquoted(self, delimiter: str = ",") -> str:
        """Write it as programs do that know nothing of quotes."""
        return "".join(delimiter.join(row) + "\n" for row in (self.headers, *self.rows))

    def decimal_commas(self) -> "Table":
        table = self
        for name in ("MonthlyCharges", "TotalCharges"):
            if name in self.columns:
                table = table.written(name, lambda value: value.replace(".", ","))
        return table


def joined(lines: Sequence[str], newline: str = "\n") -> str:
    return "".join(line + newline for line in lines)


@cache
def plain_customers() -> Customers:
    """The invented customers, the same ones every time."""
    return tuple(sample_customers(CUSTOMERS, SEED))


@cache
def plain() -> Table:
    rows = tuple(tuple(str(customer[name]) for name in COLUMNS) for customer in plain_customers())
    return Table(COLUMNS, COLUMNS, rows)


def ids() -> list[str]:
    return plain().column(ID)


def knowing(
    changes: Mapping[str, Callable[[Customer], str | None]], customers: Customers | None = None
) -> Customers:
    """Change what is true of the customers: by feature, the new value."""
    return tuple(
        {**customer, **{name: change(customer) for name, change in changes.items()}}
        for customer in (plain_customers() if customers is None else customers)
    )


def not_knowing(*names: str, only: frozenset[str] | None = None) -> Customers:
    """The customers without these features; `only` are the ids that lack them."""
    return tuple(
        {**customer, **dict.fromkeys(names)} if only is None or customer[ID] in only else customer
        for customer in plain_customers()
    )


def identified(new_ids: Sequence[str]) -> Customers:
    """The customers under other ids."""
    customers = plain_customers()
    return (
        tuple({**customer, ID: new_id} for customer, new_id in zip(customers, new_ids, strict=False))
        + customers[len(new_ids) :]
    )
