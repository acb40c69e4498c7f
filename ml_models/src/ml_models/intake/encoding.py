"""Finds the encoding of text that is not UTF-8, or says which ones it may be; and garbled text.

A byte beyond ASCII means another letter in each encoding, so a guess can be wrong without any error. An
encoding is used only if it is certain; otherwise the customer is asked to save the file as UTF-8.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import chardet

MAX_SAMPLED_WORDS = 300
"""Distinct ones. More do not make the choice more certain."""

MAX_WORD_BYTES = 48

_MAX_LONG_WORD_BYTES = 1_024
_MAX_LONG_WORDS = 8
_MAX_SEEN = 20_000
"""Words looked at, the same ones included: a long file may have few different ones."""

WINDOWS_1252 = "windows-1252"

_CANDIDATES: Mapping[str, tuple[str, str]] = {
    # chardet's name: our codec, and how a spreadsheet's dialogue names it.
    "cp1252": (WINDOWS_1252, "Western European (Windows-1252)"),
    "cp1250": ("windows-1250", "Central European (Windows-1250)"),
    "iso8859-2": ("iso8859-2", "Central European (ISO 8859-2)"),
    "cp1251": ("windows-1251", "Cyrillic (Windows-1251)"),
    "koi8-r": ("koi8-r", "Cyrillic (KOI8-R)"),
    "iso8859-5": ("iso8859-5", "Cyrillic (ISO 8859-5)"),
    "cp866": ("cp866", "Cyrillic (DOS 866)"),
    "mac-cyrillic": ("mac-cyrillic", "Cyrillic (Macintosh)"),
    "cp1253": ("windows-1253", "Greek (Windows-1253)"),
    "cp1254": ("windows-1254", "Turkish (Windows-1254)"),
    "cp1255": ("windows-1255", "Hebrew (Windows-1255)"),
    "cp1256": ("windows-1256", "Arabic (Windows-1256)"),
    "cp1257": ("windows-1257", "Baltic (Windows-1257)"),
    "cp850": ("cp850", "Western European (DOS 850)"),
    "cp852": ("cp852", "Central European (DOS 852)"),
    "mac-roman": ("mac-roman", "Western European (Macintosh)"),
    "mac-latin2": ("mac-latin2", "Central European (Macintosh)"),
    "cp932": ("cp932", "Japanese (Shift-JIS)"),
    "euc_jis_2004": ("euc_jis_2004", "Japanese (EUC)"),
    "gb18030": ("gb18030", "Chinese (GB 18030)"),
    "big5hkscs": ("big5hkscs", "Chinese (Big5)"),
    "cp949": ("cp949", "Korean (EUC-KR)"),
}
_CLEARLY = 1.5
"""How many times as likely as the next one an encoding has to be, to be certain."""
_NEARLY = 0.8
"""How likely Windows-1252 has to be beside the likeliest to be taken: it is by far the most frequent."""
_MAX_ODD = 0.05
"""Share of odd words in which text can still be right: names of products, typing errors."""

_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_SEPARATORS = (b",", b";", b"\t", b"\r", b"\n", b'"', b" ")
"""None of them is the second byte of a letter in any encoding."""
_SEPARATOR = re.compile(b"[" + b"".join(_SEPARATORS) + b"]")
_IN_WORDS = frozenset(
    "\u2019\u2018\u00b4\u00b7\u2013\u2014\u2011\u00ad\u2122\u00ae\u00a9\u00b0\u2026\u201c\u201d\u201e\u00b2\u00b3"
)
"""Signs that stand next to letters: apostrophes, degrees, trade marks."""
_BEFORE_WORDS = "\u00ab\u00bf\u00a1("
_AFTER_WORDS = "\u00bb.,!?:;)"
"""Quotation marks and the like stand at the ends of words."""
_OTHER_SCRIPTS = ("GREEK", "CYRILLIC", "HEBREW", "ARABIC")


class WordSample:
    """Distinct words beyond ASCII from pieces of a file, as many as are needed to find its encoding."""

    def __init__(self) -> None:
        self._words: dict[bytes, None] = {}
        self._long_words: dict[bytes, None] = {}
        self._seen = 0

    @property
    def is_full(self) -> bool:
        """Whether more pieces change nothing."""
        return len(self._words) >= MAX_SAMPLED_WORDS or self._seen >= _MAX_SEEN

    @property
    def words(self) -> Sequence[bytes]:
        """The words, in the order of the file. Long ones, as in notes, count only if there are no others."""
        return tuple(self._words or self._long_words)

    def add(self, piece: bytes) -> None:
        """Take the words of a piece."""
        position = 0
        while not self.is_full and (match := _BEYOND_ASCII.search(piece, position)):
            at = match.start()
            earliest = max(at - _MAX_LONG_WORD_BYTES, 0)
            start = earliest + max(map(piece[earliest:at].rfind, _SEPARATORS)) + 1
            ended = _SEPARATOR.search(piece, at, at + _MAX_LONG_WORD_BYTES)
            position = ended.start() if ended else at + _MAX_LONG_WORD_BYTES
            word = piece[start:position]
            self._seen += 1
            if len(word) <= MAX_WORD_BYTES:
                self._words.setdefault(word)
            elif len(self._long_words) < _MAX_LONG_WORDS:
                self._long_words.setdefault(word)


class UncertainEncoding(ValueError):
    """A text could be in several encodings, or in none. `candidates` are the likely ones, in words."""

    def __init__(self, candidates: Sequence[str]) -> None:
        self.candidates = tuple(candidates)
        super().__init__(", ".join(candidates))


def legacy_encoding(words: Iterable[bytes]) -> str:
    """Return the encoding of words beyond ASCII that are not UTF-8, as the name of a codec.

    Windows-1252 is taken if its text looks right and no other encoding is much likelier; any other encoding
    only if it is clearly the likeliest.

    Args:
        words: such as `WordSample.words`.

    Raises:
        UncertainEncoding: none is certain.
    """
    sample = b"\n".join(words)
    if not sample:
        return WINDOWS_1252
    likely = _likely(sample)
    best = max((likelihood for _, likelihood in likely.values()), default=0.0)
    western = _decoded(sample, WINDOWS_1252)
    if western and _looks_right(western) and not _has_letters(western):  # prices in € and £
        return WINDOWS_1252
    if western in likely and likely[western][1] >= _NEARLY * best:
        return WINDOWS_1252
    ranked = sorted(likely.values(), key=lambda pair: pair[1], reverse=True)
    if ranked and (len(ranked) == 1 or ranked[0][1] >= _CLEARLY * ranked[1][1]):
        return _CANDIDATES[ranked[0][0]][0]
    raise UncertainEncoding([_CANDIDATES[name][1] for name, _ in ranked[:3]])


def _likely(sample: bytes) -> dict[str, tuple[str, float]]:
    """Return the texts that the bytes may be: each with its likeliest encoding and how likely that is."""
    found: dict[str, tuple[str, float]] = {}
    for each in chardet.detect_all(
        sample,
        ignore_threshold=True,
        compat_names=False,
        include_encodings=_CANDIDATES,
        empty_input_encoding="cp1252",
    ):
        name = each["encoding"] or ""
        if name in _CANDIDATES and (text := _decoded(sample, _CANDIDATES[name][0])) and _looks_right(text):
            found.setdefault(text, (name, each["confidence"]))
    return found


def _decoded(sample: bytes, codec: str) -> str:
    """Decode the sample; empty if that is impossible."""
    try:
        return sample.decode(codec)
    except UnicodeDecodeError:
        return ""


def _has_letters(text: str) -> bool:
    return any(letter.isalpha() and not letter.isascii() for letter in text)


def _looks_right(text: str) -> bool:
    words = text.split("\n")
    odd_ones = filter(_is_odd, words)
    # Stop early: of most encodings nearly every word is odd.
    return len(list(islice(odd_ones, int(_MAX_ODD * len(words)) + 1))) <= _MAX_ODD * len(words)


def _is_odd(word: str) -> bool:
    """Return whether a word has control characters, signs beside letters, capitals within or two scripts."""
    word = word.lstrip(_BEFORE_WORDS).rstrip(_AFTER_WORDS)
    has_latin = any(letter.isascii() and letter.isalpha() for letter in word)
    categories = ["", *map(unicodedata.category, word), ""]
    return any(
        own in {"Cc", "Co", "Cn", "Cs"}
        or (not letter.isascii() and _is_odd_letter(letter, before, own, after))
        or (has_latin and own.startswith("L") and unicodedata.name(letter, "").startswith(_OTHER_SCRIPTS))
        for letter, before, own, after in zip(word, categories, categories[1:], categories[2:], strict=False)
    )


def _is_odd_letter(letter: str, before: str, own: str, after: str) -> bool:
    """Judge a character beyond ASCII by the Unicode categories of its neighbours."""
    if own == "Lu":  # MŸller
        return before == "Ll" or (before == "Lu" and after == "Ll")
    if own == "Lo":  # a Chinese character between two letters with case
        return before in {"Lu", "Ll"} and after in {"Lu", "Ll"}
    # Only beside letters with case: in Chinese and Japanese, punctuation has no spaces around it.
    return own[0] in "SPN" and letter not in _IN_WORDS and not {before, after}.isdisjoint({"Lu", "Ll"})


_CONTINUED = bytes(range(0x80, 0xC0)).decode("cp1252", "ignore")
"""What the second byte of a letter in UTF-8 becomes if it is read as Windows-1252."""

GARBLED = (
    # Replacement and control characters …
    "[\ufffd\u0080-\u009f]"
    # … UTF-8 read as Windows-1252, Latin-1 or MacRoman: ü became Ã¼ or √º …
    f"|[ÂÃÄÅÐÑ][{_CONTINUED}]|[√¬][^\u0000-\u007f]"
    # … Cyrillic or Greek read as Windows-1252: Èâàíîâ …
    "|[\u00c0-\u00ff]{3}"
    # … and letters that became question marks.
    r"|\?\?|[^\W\d_]\?[^\W\d_]"
)
"""What garbled text holds: a regular expression for Python and for Polars, without any backtracking."""

_GARBLED = re.compile(GARBLED)


def looks_garbled(text: str) -> bool:
    """Return whether a text was probably read in the wrong encoding by whoever wrote the file."""
    return _GARBLED.search(text[:MAX_WORD_BYTES]) is not None
