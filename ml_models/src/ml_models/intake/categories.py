"""Reads categories beyond their spellings in the card, and finds the known ones that a text is like."""

from collections.abc import Mapping, Sequence
from itertools import islice

from rapidfuzz import fuzz, process

from ml_models.card import MAX_SPELLING, CategoricalFeature, normalise
from ml_models.intake.numbers import parse_duration

_MIN_SIMILARITY = 50.0
"""Out of 100."""

_MAX_COMPARED = 100
"""Characters. A longer text is like no category; the limit also bounds the time."""

_MAX_SPELLINGS = 20


class Meanings:
    """What a request says that spellings mean. It goes before all that the card knows."""

    def __init__(self, categories: Mapping[str, str]) -> None:
        """Take the model's category of each spelling."""
        self._exact = {spelling.strip(): category for spelling, category in categories.items()}
        folded = {normalise(spelling): category for spelling, category in categories.items()}
        self._folded = {spelling: category for spelling, category in folded.items() if spelling}

    def category(self, text: str) -> str | None:
        """Return the category of a cell; None if the request does not say."""
        text = text.strip()
        if text in self._exact:
            return self._exact[text]
        return self._folded.get(normalise(text)) if len(text) <= MAX_SPELLING else None


NO_MEANINGS = Meanings({})


def category_of_duration(text: str, feature: CategoricalFeature) -> str | None:
    """Read `12 mths` where the numbers of months have categories."""
    if not any(numbered.unit == "months" for numbered in feature.numbered):
        return None
    months = parse_duration(text, ".")
    return None if months is None else feature.category(f"{months:g}", "months")


def closest_categories(text: str, feature: CategoricalFeature, at_most: int) -> Sequence[str]:
    """Return the categories whose spellings are most like a text, the best first."""
    if len(text) > _MAX_COMPARED:
        return []
    near = process.extract(
        normalise(text),
        list(feature.category_aliases),
        scorer=fuzz.WRatio,
        score_cutoff=_MIN_SIMILARITY,
        limit=_MAX_SPELLINGS,
    )
    return list(islice(dict.fromkeys(feature.category_aliases[spelling] for spelling, _, _ in near), at_most))
