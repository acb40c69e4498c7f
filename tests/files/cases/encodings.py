"""Class 7: encodings, and text that was garbled before it came."""

from collections.abc import Iterator

from tests.files.outcomes import Case, Outcome, Scored, case, refused
from tests.files.table import identified, ids, plain

KIND = "7 encodings and garbled text"

_WEST = ("Müller", "François", "Núñez", "Søren", "Straße", "Zoë", "Ångström")
_CENTRAL = ("Łukasz", "Dvořák", "Żółć", "Őrsi", "Șerban", "Šimůnek", "Čapek")
_CYRILLIC = ("Иванов", "Петрова", "Щукин", "Журавлёв", "Соколова", "Андреев", "Юдина")
_GREEK = ("Παπαδόπουλος", "Γεωργίου", "Νικολάου")
_TURKISH = ("Yılmaz", "Şahin", "Çelik", "Öztürk", "Doğan")  # noqa: RUF001 it is Turkish
_HEBREW = ("כהן", "לוי", "מזרחי")
_ARABIC = ("محمد", "فاطمة", "أحمد")
_JAPANESE = ("田中", "佐藤", "鈴木", "高橋", "ソニー", "カタカナ")
_CHINESE = ("王伟", "李娜", "张敏", "刘洋", "陈静")
_TRADITIONAL = ("陳淑芬", "林志明", "黃美玲")
_KOREAN = ("김민준", "이서연", "박지훈")

_SURE = {
    # Byte order marks or the bytes themselves leave no doubt.
    "utf-8": (b"", _WEST + _CENTRAL[:2] + _CYRILLIC + _JAPANESE),
    "utf-8-sig": (b"", _WEST + _CENTRAL[:2] + _CYRILLIC + _JAPANESE),
    "utf-16-le": (b"\xff\xfe", _WEST + _CYRILLIC + _JAPANESE),
    "utf-16-be": (b"\xfe\xff", _WEST + _CYRILLIC + _JAPANESE),
    "cp1252": (b"", _WEST),
    "latin-1": (b"", _WEST),
}
_UNMARKED = {"utf-16-le": _WEST, "utf-16-be": _WEST}
_UNSURE = {
    "iso8859-15": _WEST,
    "mac_roman": _WEST,
    "cp850": _WEST,
    "cp437": ("Müller", "François", "Núñez", "Straße"),
    "cp1250": ("Łukasz", "Dvořák", "Żółć", "Őrsi", "Šimůnek", "Čapek"),
    "iso8859-2": ("Łukasz", "Dvořák", "Żółć", "Őrsi", "Šimůnek", "Čapek"),
    "mac_latin2": ("Łukasz", "Dvořák", "Őrsi", "Čapek"),
    "cp852": ("Łukasz", "Dvořák", "Őrsi", "Čapek"),
    "cp1251": _CYRILLIC,
    "koi8-r": _CYRILLIC,
    "iso8859-5": _CYRILLIC,
    "cp866": _CYRILLIC,
    "mac_cyrillic": _CYRILLIC,
    "cp1253": _GREEK,
    "iso8859-7": _GREEK,
    "cp1254": _TURKISH,
    "cp1255": _HEBREW,
    "cp1256": _ARABIC,
    "shift_jis": _JAPANESE,
    "cp932": _JAPANESE,
    "euc_jp": _JAPANESE,
    "iso2022_jp": _JAPANESE,
    "gbk": _CHINESE,
    "gb18030": _CHINESE,
    "big5": _TRADITIONAL,
    "euc_kr": _KOREAN,
    "cp949": _KOREAN,
    "utf-32": _WEST + _JAPANESE,
    "cp037": ("Mueller", "Francois"),
}
_ASKED = refused("unreadable_encoding not_a_csv", r"(?i)UTF-8|encoding|save the table as CSV")


def cases() -> Iterator[Case]:
    for codec, (mark, names) in _SURE.items():
        yield from _both(codec, mark, names, f"{codec} {'with a mark' if mark else ''}".strip(), sure=True)
    for codec, names in _UNMARKED.items():
        yield from _both(codec, b"", names, f"{codec} without a mark", sure=True)
    for codec, names in _UNSURE.items():
        yield from _both(codec, b"", names, codec, sure=False)
    yield from _garbled()
    yield from _broken()


def _both(codec: str, mark: bytes, names: tuple[str, ...], name: str, *, sure: bool) -> Iterator[Case]:
    """The names in a column nobody reads, and as the ids."""
    cities = [names[n % len(names)] for n in range(300)]
    content = mark + plain().with_column("City", cities, at=1).text().encode(codec)
    yield case(KIND, f"{name}, in another column", content, *_scored([*ids()], sure=sure))
    new_ids = [f"{city} {n}" for n, city in enumerate(cities)]
    table = plain().filled("customerID", new_ids)
    yield case(KIND, f"{name}, in the ids", mark + table.text().encode(codec), *_scored(new_ids, sure=sure))


def _scored(new_ids: list[str], *, sure: bool) -> tuple[Outcome, ...]:
    customers = identified(new_ids)
    if sure:
        return (Scored(customers),)
    return (Scored(customers, may_be_garbled=True), _ASKED)


def _garbled() -> Iterator[Case]:
    """Ids that were garbled by whoever wrote the file."""
    garbled = {
        "UTF-8 that was read as Windows-1252": lambda name: name.encode().decode("cp1252", "replace"),
        "UTF-8 that was read as Latin-1": lambda name: name.encode().decode("latin-1"),
        "UTF-8 that was garbled twice": lambda name: (
            name.encode().decode("latin-1").encode().decode("latin-1")
        ),
        "replacement characters": lambda name: "".join(c if c.isascii() else "\ufffd" for c in name),
        "question marks": lambda name: "".join(c if c.isascii() else "??" for c in name),
        "UTF-8 that was read as MacRoman": lambda name: name.encode().decode("mac_roman"),
    }
    for name, garble in garbled.items():
        new_ids = [" ".join(f"{garble(_WEST[n % len(_WEST)])} {n}".split()) for n in range(300)]
        yield case(
            KIND,
            f"ids hold {name}",
            plain().filled("customerID", new_ids),
            Scored(identified(new_ids), ("(?i)garbled|question marks|replacement|encoding|look",), "fair"),
        )
    cyrillic = [f"{_CYRILLIC[n % 7].encode('cp1251').decode('cp1252')} {n}" for n in range(300)]
    yield case(
        KIND,
        "ids hold Cyrillic that was read as Windows-1252",
        plain().filled("customerID", cyrillic),
        Scored(identified(cyrillic), ("(?i)garbled|encoding|look",), "fair"),
    )
    honest = [f"{_WEST[n % len(_WEST)]} & Söhne {n}" for n in range(300)]
    yield case(
        KIND,
        "ids with umlauts are no garbled ones",
        plain().filled("customerID", honest),
        Scored(identified(honest)),
    )


def _broken() -> Iterator[Case]:
    content = plain().with_column("City", "Köln", at=1).text().encode()
    yield case(
        KIND,
        "UTF-8 cut in the middle of a character in one cell",
        content.replace(b"K\xc3\xb6ln", b"K\xc3ln", 1),
    )
    yield case(
        KIND,
        "UTF-8 with one Windows-1252 cell",
        content.replace("Köln".encode(), "Köln".encode("cp1252"), 1),
        Scored(identified(ids()), (r"(?i)could not be read|cannot be read|characters",)),
    )
    yield case(KIND, "NUL bytes at the end", plain().text().encode() + b"\0" * 64)
    yield case(KIND, "a control-Z at the end", plain().text().encode() + b"\x1a")
    yield case(KIND, "two byte order marks", b"\xef\xbb\xbf\xef\xbb\xbf" + plain().text().encode())
