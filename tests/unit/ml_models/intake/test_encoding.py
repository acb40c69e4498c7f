import re

import polars as pl
import pytest

from ml_models.intake.encoding import (
    GARBLED,
    MAX_SAMPLED_WORDS,
    UncertainEncoding,
    WordSample,
    legacy_encoding,
    looks_garbled,
)


def sampled(*words: str, encoding: str) -> tuple[bytes, ...]:
    sample = WordSample()
    sample.add("".join(f"{n},{word} {n};x\n" for n, word in enumerate(words * 3)).encode(encoding))
    return tuple(sample.words)


@pytest.mark.parametrize(
    ("words", "encoding", "codec"),
    [
        (("Müller", "Straße", "Zoë"), "cp1252", "windows-1252"),
        (("Köln",), "cp1252", "windows-1252"),
        (("één",), "cp1252", "windows-1252"),
        (("São Paulo", "Brasília"), "latin-1", "windows-1252"),
        (("£29.85", "30 €"), "cp1252", "windows-1252"),
        (("O’Brien",), "cp1252", "windows-1252"),  # noqa: RUF001
        (("«Été»", "¿Qué?", "déjà"), "cp1252", "windows-1252"),
        (("Köln", "München", "Düsseldorf"), "mac-roman", "mac-roman"),
        (("Łódź", "Kraków", "Gdańsk"), "cp1250", "windows-1250"),
        (("Dvořák",), "cp1250", "windows-1250"),
        (("Αθήνα",), "cp1253", "windows-1253"),
        (("Plzeň", "Brno-střed", "Děčín"), "cp1250", "windows-1250"),
        (("Иванов", "Петрова", "Щукин", "Москва"), "cp1251", "windows-1251"),
        (("Иванов", "Петрова", "Щукин", "Москва"), "koi8-r", "koi8-r"),
        (("田中", "佐藤", "ソニー"), "shift_jis", "cp932"),
        (("王伟", "李娜", "张敏"), "gbk", "gb18030"),
        (("陳淑芬", "林志明", "黃美玲"), "big5", "big5hkscs"),
        (("김민준", "이서연"), "euc_kr", "cp949"),
    ],
)
def test_a_certain_encoding_is_found(words: tuple[str, ...], encoding: str, codec: str):
    found = sampled(*words, encoding=encoding)
    assert legacy_encoding(found) == codec
    assert b"\n".join(found).decode(codec) == b"\n".join(found).decode(encoding)


@pytest.mark.parametrize(
    ("words", "encoding", "says"),
    [
        (("Москва",), "cp1251", "Cyrillic (Windows-1251)"),
        (("Да", "Нет"), "cp1251", "Cyrillic (Windows-1251)"),
        (
            ("Łukasz", "Dvořák", "Żółć", "Őrsi", "Šimůnek", "Čapek"),
            "iso8859-2",
            "Central European (ISO 8859-2)",
        ),
    ],
)
def test_an_uncertain_encoding_is_asked_for(words: tuple[str, ...], encoding: str, says: str):
    with pytest.raises(UncertainEncoding) as caught:
        legacy_encoding(sampled(*words, encoding=encoding))
    assert says in caught.value.candidates
    assert len(caught.value.candidates) <= 3


def test_a_sample_is_bounded_and_distinct():
    sample = WordSample()
    sample.add(b"plain text only\n")
    sample.add("ü,ü,ö\n".encode("cp1252"))
    assert list(sample.words) == [b"\xfc", b"\xf6"]
    sample.add(b"".join(b"\xfc%d," % n for n in range(10_000)))
    assert sample.is_full
    long_one = WordSample()
    long_one.add("解約を検討中、料金が高いため来月連絡する。ソニーの端末を使用".encode("shift_jis") * 3)
    assert legacy_encoding(long_one.words) == "cp932"
    long_one.add("ソニー,x".encode("shift_jis"))
    assert list(long_one.words) == ["ソニー".encode("shift_jis")]
    assert len(sample.words) == MAX_SAMPLED_WORDS


_NAMES = ("Müller", "François", "Núñez", "Straße", "Zoë")


@pytest.mark.parametrize(
    "text",
    [
        *(name.encode().decode("cp1252", "replace") for name in _NAMES),
        *(name.encode().decode("latin-1") for name in _NAMES),
        *(name.encode().decode("mac-roman") for name in _NAMES),
        "M\ufffdller", "M??ller", "M?ller", "Иванов".encode("cp1251").decode("cp1252"),
    ],
)  # fmt: skip
def test_garbled_text_is_recognised(text: str):
    assert looks_garbled(text)


@pytest.mark.parametrize(
    "text",
    [*_NAMES, "4054-FZDSC", "Söhne & Co. 12", "Иванов", "田中", "œuvre créée", "Ångström", "ÄÖ", "A-1?"],
)
def test_right_text_is_not_garbled(text: str):
    assert not looks_garbled(text)


def test_polars_reads_the_same_pattern():
    texts = ["Müller", "Müller".encode().decode("cp1252"), "M\ufffdller", "M??ller", "A-1", "√ºx"]
    expected = [re.search(GARBLED, text) is not None for text in texts]
    assert pl.Series(texts).str.contains(GARBLED).to_list() == expected
