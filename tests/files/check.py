"""Compares an answer of the product with what a case allows."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from tests.files.outcomes import REMEDY, Case, Refused, Scored
from tests.files.product import Answer, Model, ScoredCustomer, least_known, probabilities
from tests.files.table import ID, Customers

TOLERANCE = 1e-6
_GRADES = ("poor", "fair", "good")
_GARBLED = r"(?i)garbled|encoding|cannot be read|could not be read|look (broken|wrong|damaged)|characters"
_BOM = b"\xef\xbb\xbf"


class Severity(IntEnum):
    """How bad a problem is."""

    UNCLEAR = 1
    SILENTLY_WRONG = 2


@dataclass(frozen=True)
class Problem:
    """What is wrong with an answer."""

    severity: Severity
    text: str


@dataclass(frozen=True)
class Verdict:
    """How a case ended: `equal`, `refused`, `warned`, `silently_wrong` or `unclear`."""

    outcome: str
    problems: tuple[str, ...] = ()
    text: str = ""
    """What the customer read."""


def check(case: Case, answer: Answer, model: Model) -> Verdict:
    """Say whether an answer is one of those the case allows."""
    if answer.crash is not None:
        return Verdict("unclear", ("ended with an unexpected error",), answer.crash)
    if answer.inspected_otherwise:
        return Verdict("silently_wrong", ("its inspection disagrees",), "; ".join(answer.inspected_otherwise))
    if answer.refusal is not None:
        return _check_refusal(case, answer.refusal)
    text = f"grade {answer.grade}; {' '.join(answer.sentences)}"
    scored = [outcome for outcome in case.outcomes if isinstance(outcome, Scored)]
    if not scored:
        return Verdict("silently_wrong", (f"was scored and should be refused with {_codes(case)}",), text)
    found: list[list[Problem]] = []
    for outcome in scored:
        problems = list(_problems(answer, outcome, model))
        if not problems:
            return Verdict("warned" if outcome.is_warned else "equal")
        found.append(problems)
    mildest = min(found, key=lambda problems: max(problem.severity for problem in problems))
    worst = max(problem.severity for problem in mildest)
    return Verdict(worst.name.lower(), tuple(problem.text for problem in mildest), text)


def _check_refusal(case: Case, refusal: tuple[str, str]) -> Verdict:
    code, text = refusal
    described = f"{code}: {text}"
    expected = [outcome for outcome in case.outcomes if isinstance(outcome, Refused)]
    if not expected:
        return Verdict("unclear", ("was refused and can be scored",), described)
    fitting = [outcome for outcome in expected if code in outcome.codes]
    if not fitting:
        return Verdict("unclear", (f"refused with {code} and not with {_codes(case)}",), described)
    lacking = min(
        ([pattern for pattern in outcome.says if not re.search(pattern, text)] for outcome in fitting),
        key=len,
    )
    problems = [f"the refusal does not say /{pattern}/" for pattern in lacking]
    if not re.search(REMEDY, text, re.IGNORECASE):
        problems.append("the refusal has no remedy")
    problems += [f"the refusal repeats “{secret}”" for secret in _secrets(case) if secret in text]
    return Verdict("unclear", tuple(problems), described) if problems else Verdict("refused")


def _codes(case: Case) -> str:
    return " or ".join(
        code for outcome in case.outcomes if isinstance(outcome, Refused) for code in outcome.codes
    )


def _secrets(case: Case) -> set[str]:
    ids = {
        customer[ID] or ""
        for outcome in case.outcomes
        if isinstance(outcome, Scored)
        for customer in outcome.customers
    }
    return {secret for secret in {*ids, *case.secrets} if len(secret) > 3}


def _problems(answer: Answer, outcome: Scored, model: Model) -> Iterator[Problem]:
    checks: Sequence[Callable[[Answer, Scored, Model], Iterator[Problem]]] = (
        _scores,
        _inputs_known,
        _grade_beside_the_score,
        _already_left,
        _report,
        _row_numbers,
        _csv_form,
    )
    for check_one in checks:
        yield from check_one(answer, outcome, model)


def _wrong(text: str) -> Problem:
    return Problem(Severity.SILENTLY_WRONG, text)


def _unclear(text: str) -> Problem:
    return Problem(Severity.UNCLEAR, text)


def _scores(answer: Answer, outcome: Scored, model: Model) -> Iterator[Problem]:
    expected = defaultdict[str, list[float]](list)
    for customer, probability in zip(outcome.customers, probabilities(model, outcome.customers), strict=True):
        expected[customer[ID] or ""].append(probability)
    got = defaultdict[str, list[float]](list)
    for scored in answer.customers:
        got[scored.customer_id].append(scored.probability)
    if outcome.may_be_garbled and expected.keys() != got.keys():
        yield from _garbled_scores(answer, outcome.customers, model)
        return
    if strangers := got.keys() - expected.keys():
        yield _wrong(f"{len(strangers)} ids that the file does not have, such as “{min(strangers)[:40]}”")
    lost = [
        customer_id
        for customer_id in expected
        if len(got[customer_id]) < len(expected[customer_id]) and customer_id not in outcome.may_be_rejected
    ]
    if lost:
        why = {row.get("rejected_hint") or "" for row in answer.rejected}
        yield _unclear(f"{len(lost)} customers are not scored, such as {lost[0]} ({'; '.join(sorted(why))})")
    others = [
        f"{customer_id}: {_shown(found)} for {_shown(expected[customer_id])}"
        for customer_id, found in got.items()
        if customer_id in expected and not _are_close(found, expected[customer_id])
    ]
    if others:
        yield _wrong(f"{len(others)} of {len(expected)} customers have another score, such as {others[0]}")


def _are_close(found: Sequence[float], expected: Sequence[float]) -> bool:
    """Whether these are the expected ones, or some of them where rows were rejected."""
    left = sorted(expected)
    for probability in sorted(found):
        near = [other for other in left if abs(probability - other) <= TOLERANCE]
        if not near:
            return False
        left.remove(near[0])
    return True


def _shown(values: Sequence[float]) -> str:
    return " and ".join(f"{value:.4f}" for value in values)


def _garbled_scores(answer: Answer, customers: Customers, model: Model) -> Iterator[Problem]:
    """Compare in the file's order, where ids cannot be compared."""
    expected = probabilities(model, customers)
    found = [customer.probability for customer in answer.customers]
    if len(found) != len(expected):
        yield _unclear(f"{len(expected) - len(found)} customers are not scored")
    elif any(abs(one - other) > TOLERANCE for one, other in zip(found, expected, strict=True)):
        yield _wrong("customers have another score")
    strangers = {customer.customer_id for customer in answer.customers} - {c[ID] for c in customers}
    if not any(re.search(_GARBLED, sentence) for sentence in answer.sentences):
        yield _wrong(f"ids are garbled without a sentence, such as “{min(strangers)[:40]}”")
    if answer.grade == "good":
        yield _wrong("ids are garbled and the grade is good")


def _inputs_known(answer: Answer, outcome: Scored, model: Model) -> Iterator[Problem]:
    has_column = any(customer.inputs_known is not None for customer in answer.customers)
    if not has_column:
        if outcome.weak is not None:
            yield _wrong("scores have no inputs_known")
        return
    weak, may_be_weak = outcome.weak, frozenset[str]()
    if weak is None:
        levels = {customer[ID] or "": least_known(model, customer) for customer in outcome.customers}
        weak = frozenset(customer_id for customer_id, level in levels.items() if level == "unknown")
        may_be_weak = frozenset(customer_id for customer_id, level in levels.items() if level == "beyond")
    below_1 = [
        customer
        for customer in answer.customers
        if (customer.inputs_known or 0.0) < 1 - TOLERANCE and customer.customer_id not in may_be_weak
    ]
    yield from _of_marks(answer, "inputs_known", below_1, weak)


def _grade_beside_the_score(answer: Answer, outcome: Scored, model: Model) -> Iterator[Problem]:
    """Both files carry the grade, and the CSV the marks that Parquet has."""
    if outcome.weak is None:
        return
    if {customer.data_quality for customer in answer.customers} != {answer.grade}:
        yield _wrong("scores have no data_quality, or another grade than the report")
    header = answer.csv_bytes.split(b"\n", 1)[0].decode("utf-8-sig")
    for name in ("inputs_known", "data_quality", "already_left"):
        if name not in header:
            yield _wrong(f"scores.csv has no {name}")


def _already_left(answer: Answer, outcome: Scored, model: Model) -> Iterator[Problem]:
    if all(customer.already_left is None for customer in answer.customers):
        if outcome.left is not None:
            yield _wrong("scores have no already_left")
        return
    left = frozenset() if outcome.left is None else outcome.left
    marked = [customer for customer in answer.customers if customer.already_left]
    yield from _of_marks(answer, "already_left", marked, left)
    if to_call := left & set(answer.highest_risk):
        yield _wrong(f"{len(to_call)} of those to call have already left")
    remaining = sum(c.probability for c in answer.customers if c.customer_id not in left)
    if abs(answer.expected_churners - remaining) > 0.01:
        yield _wrong(f"{answer.expected_churners:.2f} are expected to leave, not {remaining:.2f}")


def _of_marks(
    answer: Answer, mark: str, marked: Sequence[ScoredCustomer], expected: frozenset[str]
) -> Iterator[Problem]:
    found = {customer.customer_id for customer in marked}
    scored = {customer.customer_id for customer in answer.customers}
    if surplus := found - expected:
        yield _wrong(f"{mark} marks {len(surplus)} customers it should not, such as {min(surplus)}")
    if unmarked := (expected & scored) - found:
        yield _wrong(f"{mark} does not mark {len(unmarked)} customers it should, such as {min(unmarked)}")


def _report(answer: Answer, outcome: Scored, model: Model) -> Iterator[Problem]:
    if outcome.grade is not None and _GRADES.index(answer.grade) > _GRADES.index(outcome.grade):
        yield _wrong(f"the grade is {answer.grade}, better than {outcome.grade}")
    for pattern in outcome.says:
        if not any(re.search(pattern, sentence) for sentence in answer.sentences):
            yield _unclear(f"no sentence says /{pattern}/")
    if len(set(answer.sentences)) < len(answer.sentences):
        yield _unclear("a sentence comes twice")
    customers = {customer.customer_id for customer in answer.customers if len(customer.customer_id) > 3}
    text = " ".join(answer.sentences)
    if named := [customer_id for customer_id in customers if customer_id in text]:
        yield _unclear(f"the report repeats the id “{named[0]}”")


def _row_numbers(answer: Answer, outcome: Scored, model: Model) -> Iterator[Problem]:
    rows = outcome.rows or {}
    others = [
        f"{customer.customer_id} has row {customer.row_number} and is in row {rows[customer.customer_id]}"
        for customer in answer.customers
        if rows.get(customer.customer_id, customer.row_number) != customer.row_number
    ]
    if others:
        yield _unclear(f"{len(others)} row numbers are not a spreadsheet's: {others[0]}")
    if outcome.rejected_row is not None:
        found = [row.get("rejected_row") for row in answer.rejected]
        if found != [str(outcome.rejected_row)]:
            yield _unclear(f"rejected.csv names rows {found}, a spreadsheet shows row {outcome.rejected_row}")


def _csv_form(answer: Answer, outcome: Scored, model: Model) -> Iterator[Problem]:
    if outcome.csv_form is None:
        return
    delimiter, decimal = outcome.csv_form
    if not answer.csv_bytes.startswith(_BOM):
        yield _unclear("scores.csv does not begin with a BOM")
    header, first, *_ = answer.csv_bytes.removeprefix(_BOM).decode().splitlines()
    if f"row_number{delimiter}customer_id{delimiter}churn_probability" not in header.replace('"', ""):
        yield _unclear(f"scores.csv is not divided by {delimiter!r}")
    elif not re.search(rf"(^|{re.escape(delimiter)})\"?0{re.escape(decimal)}\d+", first):
        yield _unclear(f"scores.csv has no numbers with {decimal!r}")
