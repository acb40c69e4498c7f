"""A model's card: its inputs, its training data, its metrics and the wording of its reasons.

The card has everything there is to know about a model without running it. Reading one needs only pydantic.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml_models.errors import ModelNotFound, ModelRefused
from ml_models.terms import CategoricalTerm, Term

ARTIFACTS = Path(__file__).parent / "artifacts"
CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"

UNSEEN_CODE = -1.0
"""The model's input for a category it has never seen; a missing value is NaN."""

_REF = re.compile(r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)@(?P<version>[0-9]+\.[0-9]+\.[0-9]+)")
_SEPARATORS = re.compile(r"[\W_]+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_QUALIFIED_NUMBER = re.compile(r"(?:[-+\u2212]\s*\d.*|\(\s*\d+\s*\)|\d+\s*[-%])", re.DOTALL)
"""`-1`, `(1)`, `0 %`: `normalise` would leave only the number, which may be a word for Yes or No."""
_TICKS = str.maketrans(dict.fromkeys("✓✔☑✅", " yes ") | dict.fromkeys("✗✘❌☐", " no "))
_WHOLE_NUMBER = re.compile(r"(\d{1,6})(?:[.,]0{1,6})?")
"""`12` and `12.0`"""

MAX_SPELLING = 200
"""Characters. Longer text is no spelling of anything; the limit also bounds the work per cell."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def normalise(text: str) -> str:
    """Fold a header or a category to the form in which aliases are compared.

    Case, accents and widths are folded, and every run of characters other than letters and digits becomes
    one space: `" Month-to-Month"` and `"month_to_month"` are both `"month to month"`, `"Année"` is `"annee"`.
    """
    if not text.isascii():
        text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return _SEPARATORS.sub(" ", text).strip().casefold()


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NumericStatistics(_Frozen):
    """A numeric feature's distribution in the training data, in the feature's unit.

    `shares[i]` is the share of the present values in bin `i`; the bins are `(-inf, edges[0])`,
    `[edges[0], edges[1])`, …, `[edges[-1], inf)`, cut at quantiles: one more bin than edges.
    """

    missing_rate: Share
    min: float
    max: float
    mean: float
    edges: tuple[float, ...]
    shares: tuple[Share, ...]

    @model_validator(mode="after")
    def _one_more_bin_than_edges(self) -> Self:
        if len(self.shares) != len(self.edges) + 1 or list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must rise, and there must be one share more than edges")
        return self


class CategoricalStatistics(_Frozen):
    """A categorical feature in the training data: each category's share of the present values."""

    missing_rate: Share
    shares: tuple[Share, ...]


class NumericWording(_Frozen):
    """The subject of a reason's sentence."""

    value: str
    """With the value as `{value}`: `Tenure of {value} months`."""
    one: str | None = None
    """For the value 1, if the plural would be wrong: `Tenure of 1 month`."""
    missing: str
    """`Unknown tenure`"""
    decimals: int = 0
    """Decimal places of a value that is not whole; a whole value is written without."""

    def subject(self, value: float | None) -> str:
        """Name the value: `Tenure of 2 months`, `Unknown tenure`."""
        if value is None or math.isnan(value):
            return self.missing
        written = f"{value:.{self.decimals}f}"
        rounded = float(written)
        if rounded.is_integer():  # 11.98 months are written as 12
            written = f"{rounded:.0f}"
        return self.one if written == "1" and self.one is not None else self.value.format(value=written)


class CategoricalWording(_Frozen):
    """The subject of a reason's sentence."""

    categories: Mapping[str, str]
    """Per category: `Month-to-month` → `Month-to-month contract`."""
    unseen: str
    """For a category the model has never seen, with its text as `{value}`."""
    missing: str
    """`Unknown contract`"""

    def subject(self, value: str | None) -> str:
        """Name the value: `Month-to-month contract`, `Unknown contract`."""
        if value is None:
            return self.missing
        return self.categories.get(value) or self.unseen.format(value=value)


RAISES = "raises the risk"
LOWERS = "lowers the risk"
UNCHANGED = "does not change the risk"


def effect(contribution: float) -> str:
    """Describe the direction of a contribution (log-odds) in words."""
    if contribution == 0:
        return UNCHANGED
    return RAISES if contribution > 0 else LOWERS


class _Specification(_Frozen):
    name: str
    """Canonical name, the header in the training data: `tenure`, `Contract`."""
    label: str
    """The name shown to people: `Monthly charge`."""
    aliases: tuple[str, ...] = ()
    """Other headers for it, as people write them; compare them with `normalise`."""
    changeable: bool = True
    """Whether it could be another one for the same customer: a tariff, but not how long they have stayed."""


class NumericSpecification(_Specification):
    """What is known before the training about a feature that the model reads as a number."""

    kind: Literal["numeric"] = "numeric"
    unit: str | None = None
    """Unit of the model's values: `months`, `currency` (whole units, not cents), or none."""
    valid_min: float
    """Smaller values are impossible (a negative tenure), not just unusual. In the feature's unit."""
    valid_max: float
    """Larger values are impossible, not just unusual. In the feature's unit."""
    wording: NumericWording

    def reason(self, value: float | None, contribution: float) -> str:
        """Say what this feature did to one customer's risk: `Tenure of 2 months raises the risk`."""
        return f"{self.wording.subject(value)} {effect(contribution)}"


class ImpliedCategory(_Frozen):
    """A category that is certain because of a second feature of the same customer.

    For a customer without internet, "No" for online security is what the training data calls
    "No internet service", and so are a blank cell, `n/a` and a column that the file does not have.
    """

    feature: str
    """Name of the second feature."""
    category: str
    """The second feature's category for which this applies."""
    written: str
    """The category in the file …"""
    means: str
    """… and the category it means."""
    missing: bool = True
    """Whether a missing value means it too: nothing else is possible."""


class NumberedCategories(_Frozen):
    """The numbers by which files write categories in one unit: in months, 12 is `One year`."""

    unit: str
    categories: Mapping[str, str]
    """Whole number to category: `12` → `One year`. If there are none, the numbers are unknown codes."""
    telling: tuple[str, ...] = ()
    """Numbers that hardly mean anything else. If a column has one of them and no number that is not among the
    `categories`, the unit is certain although the header does not name it. 12 can only be months; 1 and 2 may
    be years or codes."""


class Gate(_Frozen):
    """A second column about a feature: it says whether the customer has it at all, not which one.

    `Internet Service` is Yes or No, and `Internet Type` beside it is DSL or Fiber optic.
    """

    aliases: tuple[str, ...]
    """Headers of the column; compare them with `normalise`. Some may also be aliases of the feature."""
    yes: tuple[str, ...]
    """Normalised spellings that say only that the customer has it: the feature's own column says which."""
    category: str
    """The feature's category for customers who do not have it."""


class CategoricalSpecification(_Specification):
    """What is known before the training about a feature with a fixed set of categories.

    The model reads the category's position in `categories`, as a number.
    """

    kind: Literal["categorical"] = "categorical"
    categories: tuple[str, ...]
    """Canonical spellings; the position is the category's code in the model's input."""
    category_aliases: Mapping[str, str]
    """Normalised spelling to category: `m2m` → `Month-to-month`. The categories themselves are included."""
    numbered: tuple[NumberedCategories, ...] = ()
    """What numbers mean where the unit is known, see `category` and `unit_of`."""
    gate: Gate | None = None
    implied: ImpliedCategory | None = None
    wording: CategoricalWording

    @model_validator(mode="after")
    def _refers_to_its_categories_only(self) -> Self:
        known = set(self.categories)
        if len(known) != len(self.categories):
            raise ValueError(f"{self.name}: two categories are the same")
        if not set(self.category_aliases.values()) <= known:
            raise ValueError(f"{self.name}: an alias names a category that does not exist")
        if any(self.category(category) != category for category in self.categories):
            raise ValueError(f"{self.name}: a category is missing among its aliases")
        if self.implied is not None and not {self.implied.written, self.implied.means} <= known:
            raise ValueError(f"{self.name}: a category is implied that does not exist")
        if set(self.wording.categories) != known:
            raise ValueError(f"{self.name}: wording is needed for exactly its categories")
        numbered = {category for unit in self.numbered for category in unit.categories.values()}
        if not numbered <= known or (self.gate is not None and self.gate.category not in known):
            raise ValueError(f"{self.name}: a number or the gate names a category that does not exist")
        return self

    def category(self, text: str, unit: str | None = None) -> str | None:
        """Return the category of a spelling; None if the model has never seen it.

        Args:
            text: a cell.
            unit: the unit of numbers in this column, if it is known: from the header or from `unit_of`.
        """
        if unit is not None and (number := _whole_number(text)) is not None:
            return self._numbered_by_unit[unit].categories.get(number)
        return self.category_aliases.get(_spelling(text))

    def unit_of(self, texts: Iterable[str]) -> str | None:
        """Return the unit of a column whose header names none, from its texts; None if it is not certain."""
        numbers = {number for text in texts if (number := _whole_number(text)) is not None}
        for unit in self.numbered:
            explained = not unit.categories or numbers <= unit.categories.keys()
            if explained and not numbers.isdisjoint(unit.telling):
                return unit.unit
        return None

    @cached_property
    def _numbered_by_unit(self) -> dict[str, NumberedCategories]:
        return {unit.unit: unit for unit in self.numbered}

    def reason(self, value: str | None, contribution: float) -> str:
        """Say what this feature did to one customer's risk: `Month-to-month contract raises the risk`."""
        return f"{self.wording.subject(value)} {effect(contribution)}"


def _whole_number(text: str) -> str | None:
    match = _WHOLE_NUMBER.fullmatch(text.strip()) if len(text) <= MAX_SPELLING else None
    return match[1].lstrip("0") or "0" if match else None


def _spelling(text: str) -> str:
    """Normalise a cell; empty where no spelling is possible: -1, (1) and 0 % are not 1, 1 and 0."""
    if len(text) > MAX_SPELLING:
        return ""
    text = text.strip()
    if not text.isascii():
        text = text.translate(_TICKS)
    return "" if _QUALIFIED_NUMBER.fullmatch(text) else normalise(text)


class _Learnt(_Frozen):
    required: bool = False
    """Whether a file without this column is refused: the validation found its scores unreliable."""


class NumericFeature(NumericSpecification, _Learnt):
    """A feature that the model reads as a number, with its training statistics."""

    statistics: NumericStatistics


class CategoricalFeature(CategoricalSpecification, _Learnt):
    """A feature with a fixed set of categories, with its training statistics."""

    statistics: CategoricalStatistics

    @model_validator(mode="after")
    def _one_share_per_category(self) -> Self:
        if len(self.statistics.shares) != len(self.categories):
            raise ValueError(f"{self.name}: there must be one training share per category")
        return self


Specification = NumericSpecification | CategoricalSpecification
Feature = Annotated[NumericFeature | CategoricalFeature, Field(discriminator="kind")]


class CustomerValue(_Frozen):
    """The feature that is what a customer pays, where a file says nothing better."""

    feature: str
    period: Literal["month", "year"]
    """What it is paid for."""


class Outcome(_Frozen):
    """The column that says which customers have already left. No model reads it: it is what they predict."""

    name: str
    """`Churn`; also its name in a mapping."""
    label: str
    aliases: tuple[str, ...]
    """Headers, the best first; compare them with `normalise`."""
    left: tuple[str, ...]
    """Normalised spellings for a customer who left."""
    stayed: tuple[str, ...]
    """Normalised spellings for a customer who is still there."""
    hints: tuple[str, ...] = ()
    """Headers of columns that may show who left but are not read, as `Churn date`: it may be to come."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if not set(self.left).isdisjoint(self.stayed):
            raise ValueError(f"{self.name}: a spelling means both")
        return self

    def has_left(self, text: str) -> bool | None:
        """Return whether a cell says that the customer left; None if it is blank or unknown."""
        return self._meanings.get(_spelling(text))

    @cached_property
    def _meanings(self) -> dict[str, bool]:
        return {**dict.fromkeys(self.left, True), **dict.fromkeys(self.stayed, False)}


class ExcludedColumn(_Frozen):
    """A column of the training data that the model does not read, and why."""

    name: str
    reason: str


class Estimate(_Frozen):
    """A metric's mean and standard deviation over the folds of a cross-validation."""

    mean: float
    std: float


class Metrics(_Frozen):
    """How well a model predicts rows it was not trained on."""

    roc_auc: Estimate
    pr_auc: Estimate
    log_loss: Estimate
    brier: Estimate
    calibration_error: Estimate


class Evaluation(_Frozen):
    """A repeated stratified cross-validation with the same folds for every model."""

    folds: int
    repeats: int
    metrics: Metrics
    baselines: Mapping[str, Metrics]
    """Metrics of other models and other sets of features, on the same folds."""


class TrainingData(_Frozen):
    """What the model was trained on."""

    sha256: Sha256
    rows: int
    label: str
    churn_rate: Share


class ModelFile(_Frozen):
    """The card's ONNX file and its interface.

    The input is float32 `[rows, features]`; the outputs are the contributions, float32 `[rows, terms]`, in
    log-odds, and the probability, float32 `[rows]` = sigmoid(sum of contributions + intercept).
    """

    sha256: Sha256
    size_bytes: int
    input: str
    contributions: str
    probability: str


class Card(_Frozen):
    """Everything there is to know about a model without running it."""

    name: str
    version: str
    description: str
    trade: str = ""
    """Whose customers it scores: `telecom`. The data of other trades is refused."""
    features: tuple[Feature, ...]
    """In the order of the model's input columns."""
    terms: tuple[Term, ...]
    """In the order of the contribution columns; see `terms.explain`."""
    intercept: float
    """Log-odds, to which the contributions are added."""
    customer_value: CustomerValue | None = None
    actions: Mapping[str, str] = {}
    """By feature: what could be done for a customer whose risk it raises."""
    id_aliases: tuple[str, ...]
    """Headers for the customer's id; compare them with `normalise`."""
    outcome: Outcome | None = None
    excluded_columns: tuple[ExcludedColumn, ...]
    evaluation: Evaluation
    training_data: TrainingData
    model_file: ModelFile
    seed: int
    versions: Mapping[str, str]
    """Versions of the libraries that trained and exported it."""

    @model_validator(mode="after")
    def _refers_to_its_features_only(self) -> Self:
        names = [feature.name for feature in self.features]
        if len(set(names)) != len(names):
            raise ValueError("two features have one name")
        self._require_terms_of_features()
        if not self.actions.keys() <= set(names):
            raise ValueError("an action is for a feature that does not exist")
        value = self.customer_value
        if value is not None and not isinstance(self._by_name.get(value.feature), NumericFeature):
            raise ValueError("the customer's value is not a numeric feature")
        implying = {
            (feature.implied.feature, feature.implied.category)
            for feature in self.features
            if isinstance(feature, CategoricalFeature) and feature.implied is not None
        }
        if not implying <= {
            (feature.name, category)
            for feature in self.features
            if isinstance(feature, CategoricalFeature)
            for category in feature.categories
        }:
            raise ValueError("a category is implied by one that does not exist")
        return self

    def _require_terms_of_features(self) -> None:
        if len({term.feature for term in self.terms}) != len(self.terms):
            raise ValueError("two terms are of one feature")
        for term in self.terms:
            feature = self._by_name.get(term.feature)
            if feature is None or feature.kind != term.kind:
                raise ValueError(f"the term of {term.feature} is of a feature that does not exist")
            if (
                isinstance(feature, CategoricalFeature)
                and isinstance(term, CategoricalTerm)
                and tuple(term.scores) != feature.categories
            ):
                raise ValueError(f"the term of {term.feature} must have a score for each category")

    @property
    def ref(self) -> str:
        """The model's address: `name@version`."""
        return f"{self.name}@{self.version}"

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Names of the features a file must have."""
        return tuple(feature.name for feature in self.features if feature.required)

    def feature(self, name: str) -> NumericFeature | CategoricalFeature:
        """Return the feature with this canonical name.

        Raises:
            KeyError: the model has no such feature.
        """
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, NumericFeature | CategoricalFeature]:
        return {feature.name: feature for feature in self.features}


def installed_models(directory: Path = ARTIFACTS) -> tuple[str, ...]:
    """List the models below a directory as `name@version`, sorted by name, then by version as numbers."""
    refs = (f"{card.parts[-3]}@{card.parts[-2]}" for card in directory.glob(f"*/*/{CARD_FILE}"))
    return tuple(sorted(filter(_REF.fullmatch, refs), key=_order))


def _order(ref: str) -> tuple[str, list[int]]:
    name, _, version = ref.partition("@")
    return name, [int(part) for part in version.split(".")]


def model_directory(ref: str, directory: Path = ARTIFACTS) -> Path:
    """Return the folder of a model, addressed `name@version`.

    References come from outside, so the form is checked before it becomes part of a path.

    Raises:
        ModelNotFound: the reference is malformed, or no such model is installed.
    """
    match = _REF.fullmatch(ref)
    if match is not None:
        folder = directory / match["name"] / match["version"]
        if folder.is_dir():
            return folder
    raise ModelNotFound(ref, installed=installed_models(directory))


def load_card(ref: str, directory: Path = ARTIFACTS) -> Card:
    """Read the card of an installed model, addressed `name@version`.

    Raises:
        ModelNotFound: no such model is installed.
        ModelRefused: its card is missing, unreadable, or belongs to another model.
    """
    path = model_directory(ref, directory) / CARD_FILE
    try:
        card = Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelRefused(ref, f"its {CARD_FILE} could not be read: {error.strerror}") from error
    except ValidationError as error:
        raise ModelRefused(ref, f"its {CARD_FILE} is not a model card: {error}") from error
    if card.ref != ref:
        raise ModelRefused(ref, f"its {CARD_FILE} belongs to {card.ref}")
    return card
