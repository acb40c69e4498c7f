"""Whether the checker of `make check-files` can fail: one that passes anything proves nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.files import product
from tests.files.__main__ import MIN_FILES, count, report, status
from tests.files.check import Verdict, check
from tests.files.corpus import corpus
from tests.files.outcomes import Case, Outcome, Scored, case, refused, same, warned
from tests.files.product import Answer, Model
from tests.files.table import identified, ids, not_knowing, plain, plain_customers

REFUSAL = "The file lacks columns. Not found: tenure. Rename the columns."


@pytest.fixture(scope="session")
def model() -> Model:
    return product.load()


@pytest.fixture(scope="session")
def plain_answer(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    return product.score(a_case(), model, tmp_path_factory.mktemp("plain"))


def a_case(*outcomes: Outcome) -> Case:
    return case("a kind", "a name", plain(), *(outcomes or (same(),)))


def changed(answer: Answer, at: int = 0, **changes: Any) -> Answer:
    """Change one customer of an answer."""
    customers = list(answer.customers)
    customers[at] = replace(customers[at], **changes)
    return replace(answer, customers=tuple(customers))


def marked(answer: Answer, name: str, values: Sequence[Any]) -> Answer:
    pairs = zip(answer.customers, values, strict=True)
    return replace(answer, customers=tuple(replace(customer, **{name: value}) for customer, value in pairs))


def refusal(code: str, text: str) -> Answer:
    return Answer(refusal=(code, text))


def test_plain_table_gets_the_scores_the_model_gives_without_a_file(model: Model, plain_answer: Answer):
    assert check(a_case(), plain_answer, model) == Verdict("equal")


def test_planted_wrong_score_counts_silently_wrong(model: Model, plain_answer: Answer):
    probability = plain_answer.customers[7].probability
    verdict = check(a_case(), changed(plain_answer, at=7, probability=probability + 2e-6), model)
    assert verdict.outcome == "silently_wrong"
    assert ids()[7] in verdict.problems[0]


def test_difference_within_the_tolerance_counts_equal(model: Model, plain_answer: Answer):
    probability = plain_answer.customers[7].probability
    assert (
        check(a_case(), changed(plain_answer, at=7, probability=probability + 5e-7), model).outcome == "equal"
    )


def test_scores_of_another_customer_count_silently_wrong(model: Model, plain_answer: Answer):
    verdict = check(a_case(), changed(plain_answer, customer_id="nobody"), model)
    assert verdict.outcome == "silently_wrong"


def test_lost_customer_counts_unclear_unless_the_case_allows_it(model: Model, plain_answer: Answer):
    lost, *others = plain_answer.customers
    expected_churners = plain_answer.expected_churners - lost.probability
    answer = replace(plain_answer, customers=tuple(others), expected_churners=expected_churners)
    assert check(a_case(), answer, model).outcome == "unclear"
    allowed = Scored(plain_customers(), may_be_rejected=frozenset(ids()[:1]))
    assert check(a_case(allowed), answer, model).outcome == "equal"


def test_scores_of_a_file_to_be_refused_count_silently_wrong(model: Model, plain_answer: Answer):
    verdict = check(a_case(refused("required_columns_missing")), plain_answer, model)
    assert verdict.outcome == "silently_wrong"


def test_scores_match_one_of_several_outcomes(model: Model, plain_answer: Answer):
    other = Scored(not_knowing("tenure"))
    assert check(a_case(other, same()), plain_answer, model).outcome == "equal"
    assert check(a_case(other), plain_answer, model).outcome == "silently_wrong"


def test_refusal_with_all_it_must_say_counts_refused(model: Model):
    expected = a_case(refused("required_columns_missing", "tenure"))
    assert check(expected, refusal("required_columns_missing", REFUSAL), model) == Verdict("refused")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        pytest.param("not_a_csv", REFUSAL, id="another code"),
        pytest.param("required_columns_missing", "Columns are missing. Rename them.", id="no column"),
        pytest.param("required_columns_missing", "Not found: tenure.", id="no remedy"),
        pytest.param("required_columns_missing", f"{REFUSAL} See Mustermann.", id="an unmasked value"),
    ],
)
def test_unclear_refusal_counts_unclear(model: Model, code: str, text: str):
    expected = replace(a_case(refused("required_columns_missing", "tenure")), secrets=("Mustermann",))
    assert check(expected, refusal(code, text), model).outcome == "unclear"


def test_refusal_that_repeats_a_customers_id_counts_unclear(model: Model):
    expected = a_case(refused("required_columns_missing"), same())
    answer = refusal("required_columns_missing", f"{REFUSAL} See {ids()[3]}.")
    assert check(expected, answer, model).outcome == "unclear"


def test_refusal_of_a_readable_file_counts_unclear(model: Model):
    assert check(a_case(), refusal("not_a_csv", REFUSAL), model).outcome == "unclear"


def test_unexpected_error_counts_unclear(model: Model):
    assert check(a_case(), Answer(crash="KeyError: 0"), model).outcome == "unclear"


def test_missing_sentence_counts_unclear(model: Model, plain_answer: Answer):
    expected = a_case(same("converted from days"))
    assert check(expected, plain_answer, model).outcome == "unclear"
    said = replace(plain_answer, sentences=("“tenure” was converted from days to months.",))
    assert check(expected, said, model).outcome == "equal"


def test_sentence_said_twice_counts_unclear(model: Model, plain_answer: Answer):
    assert check(a_case(), replace(plain_answer, sentences=("A.", "A.")), model).outcome == "unclear"


def test_grade_that_hides_a_weakness_counts_silently_wrong(model: Model, plain_answer: Answer):
    expected = a_case(warned(plain_customers(), grade="fair"))
    assert check(expected, replace(plain_answer, grade="good"), model).outcome == "silently_wrong"
    assert check(expected, replace(plain_answer, grade="poor"), model).outcome == "warned"


@pytest.mark.parametrize(
    ("known", "outcome"),
    [
        pytest.param([0.5] + [1.0] * 299, "warned", id="the weak customer is marked"),
        pytest.param([1.0] * 300, "silently_wrong", id="nobody is marked"),
        pytest.param([0.5] * 300, "silently_wrong", id="everybody is marked"),
        pytest.param([None] * 300, "silently_wrong", id="there is no such column"),
    ],
)
def test_inputs_known_marks_the_weak_customers_alone(
    model: Model, plain_answer: Answer, known: Sequence[float | None], outcome: str
):
    expected = a_case(Scored(plain_customers(), weak=frozenset(ids()[:1])))
    answer = marked(marked(plain_answer, "inputs_known", known), "data_quality", [plain_answer.grade] * 300)
    answer = replace(answer, csv_bytes=b"row_number,inputs_known,data_quality,already_left\n1\n")
    assert check(expected, answer, model).outcome == outcome


def test_customers_who_left_are_marked_and_nobody_is_to_call_them(model: Model, plain_answer: Answer):
    left = frozenset(ids()[:2])
    expected = a_case(Scored(plain_customers(), left=left))
    assert (
        check(expected, marked(plain_answer, "already_left", [None] * 300), model).outcome == "silently_wrong"
    )
    flags = [customer.customer_id in left for customer in plain_answer.customers]
    answer = replace(marked(plain_answer, "already_left", flags), highest_risk=(ids()[5],))
    assert check(expected, answer, model).outcome == "silently_wrong", "the expected number counts them"
    remaining = sum(c.probability for c in answer.customers if c.customer_id not in left)
    answer = replace(answer, expected_churners=remaining)
    assert check(expected, answer, model) == Verdict("equal")
    assert check(expected, replace(answer, highest_risk=(ids()[0],)), model).outcome == "silently_wrong"


def test_garbled_ids_need_a_sentence_and_a_lower_grade(model: Model, plain_answer: Answer):
    names = [f"Müller {n}" for n in range(300)]
    expected = a_case(Scored(identified(names), may_be_garbled=True))
    answer = marked(plain_answer, "customer_id", [f"M³ller {n}" for n in range(300)])
    assert check(expected, answer, model).outcome == "silently_wrong"
    said = replace(answer, sentences=("Ids look garbled.",), grade="fair")
    assert check(expected, said, model).outcome == "equal"
    assert check(expected, replace(said, grade="good"), model).outcome == "silently_wrong"
    wrong = changed(said, probability=0.5)
    assert check(expected, wrong, model).outcome == "silently_wrong"


def test_row_number_a_spreadsheet_does_not_show_counts_unclear(model: Model, plain_answer: Answer):
    expected = a_case(Scored(plain_customers(), rows={ids()[0]: 999}))
    assert check(expected, plain_answer, model).outcome == "unclear"


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        ("\ufeffrow_number;customer_id;churn_probability\n2;a;0,5\n", "equal"),
        ("row_number;customer_id;churn_probability\n2;a;0,5\n", "unclear"),
        ("\ufeffrow_number,customer_id,churn_probability\n2,a,0.5\n", "unclear"),
        ("\ufeffrow_number;customer_id;churn_probability\n2;a;0.5\n", "unclear"),
    ],
)
def test_scores_csv_follows_the_upload(model: Model, plain_answer: Answer, content: str, outcome: str):
    expected = a_case(Scored(plain_customers(), csv_form=(";", ",")))
    answer = replace(plain_answer, csv_bytes=content.encode())
    assert check(expected, answer, model).outcome == outcome


def test_corpus_is_large_covers_every_class_and_is_the_same_each_time():
    cases = corpus()
    assert len(cases) >= MIN_FILES
    assert {case.kind[0] for case in cases if case.kind[0].isdigit()} == set("12345678")
    corpus.cache_clear()
    assert corpus() == cases


def test_report_counts_outcomes_and_shows_what_failed():
    cases = [replace(a_case(), name="first"), replace(a_case(), name="second")]
    verdicts = [Verdict("equal"), Verdict("silently_wrong", ("a planted problem",), "what was read")]
    assert count(verdicts) == {
        "files": 2, "equal": 1, "refused": 0, "warned": 0, "silently_wrong": 1, "unclear": 0,
    }  # fmt: skip
    text = report(cases, verdicts)
    assert "second" in text
    assert "a planted problem" in text
    assert "what was read" in text
    assert "first" not in text


@pytest.mark.parametrize(
    ("outcome", "files", "expected"),
    [
        ("equal", MIN_FILES, 0),
        ("equal", MIN_FILES - 1, 1),
        ("silently_wrong", MIN_FILES, 1),
        ("unclear", MIN_FILES, 1),
    ],
)
def test_exit_status_is_1_while_a_file_is_wrong_or_the_corpus_too_small(
    outcome: str, files: int, expected: int
):
    verdicts = [Verdict("equal")] * (files - 1) + [Verdict(outcome)]
    assert status(count(verdicts), whole=True) == expected


def test_unexpected_error_of_the_product_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, model: Model, tmp_path: Path
):
    def fail(*_: object, **__: object) -> None:
        raise KeyError("a planted error")

    monkeypatch.setattr(product, "score_file", fail)
    assert "planted" in (product.score(a_case(), model, tmp_path).crash or "")
