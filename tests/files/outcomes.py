"""A case: a file, and the outcomes that are honest for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.files.table import Customers, Table, plain_customers

REMEDY = (
    r"\b(rename|name|send|export|save|split|leave|confirm|map|convert|add|check|put|use|fix|correct|remove|delete"
    r"|divide|multiply|give|choose|write|fill|replace)\b"
)
"""A sentence that says what to do has one of these verbs."""


@dataclass(frozen=True)
class Scored:
    """The file is scored, each of these customers as the model scores what is true of them."""

    customers: Customers
    says: tuple[str, ...] = ()
    """Patterns, each of which a sentence of the quality report matches."""
    grade: str | None = None
    """The best grade that is honest."""
    weak: frozenset[str] | None = None
    """Ids whose `inputs_known` must be below 1, and no others'; None if the case does not ask for it."""
    left: frozenset[str] | None = None
    """Ids marked `already_left`, and no others; None if the case does not ask for it."""
    may_be_rejected: frozenset[str] = frozenset()
    """Ids that may be rejected rather than scored."""
    may_be_garbled: bool = False
    """Ids may be garbled, if a sentence says so and the grade is fair at best."""
    rows: Mapping[str, int] | None = None
    """Row numbers by id, as a spreadsheet counts them."""
    csv_form: tuple[str, str] | None = None
    """The delimiter and decimal separator of `scores.csv`, which then begins with a UTF-8 BOM."""
    rejected_row: int | None = None
    """The row number in `rejected.csv` of the one rejected row, as a spreadsheet counts it."""

    @property
    def is_warned(self) -> bool:
        return self.grade is not None or bool(self.weak)


@dataclass(frozen=True)
class Refused:
    """The file is refused with one of these codes, in a text that matches all patterns and has a remedy."""

    codes: tuple[str, ...]
    says: tuple[str, ...] = ()


Outcome = Scored | Refused


@dataclass(frozen=True)
class Case:
    """A file and what may become of it."""

    name: str
    kind: str
    """The class of issue 8, or what else it is about."""
    content: bytes
    outcomes: tuple[Outcome, ...]
    mapping: Mapping[str, str] = field(default_factory=dict)
    confirmed: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = ()
    """What no message may repeat, beside the customers' ids."""


def case(
    kind: str,
    name: str,
    content: Table | str | bytes,
    *outcomes: Outcome,
    mapping: Mapping[str, str] | None = None,
    confirmed: frozenset[str] = frozenset(),
    secrets: tuple[str, ...] = (),
) -> Case:
    """Make a case; without outcomes, the customers' scores must be the plain table's."""
    if isinstance(content, Table):
        content = content.text()
    if isinstance(content, str):
        content = content.encode()
    return Case(name, kind, content, outcomes or (same(),), mapping or {}, confirmed, secrets)


def same(*says: str) -> Scored:
    """Scores as the plain table's; the report says this."""
    return Scored(plain_customers(), says)


def warned(customers: Customers, *says: str, grade: str | None = "fair") -> Scored:
    """Scored, and the weakness is in the report and in the grade."""
    return Scored(customers, says, grade)


def refused(codes: str, *says: str) -> Refused:
    """Refused with one of these codes, divided by spaces."""
    return Refused(tuple(codes.split()), says)
