"""How numbers are written."""

from collections.abc import Callable, Iterator, Mapping

from tests.files.outcomes import Case, case, same, warned
from tests.files.table import not_knowing, plain

KIND = "numbers"

_MONEY: Mapping[str, Callable[[str], str]] = {
    "$29.99": lambda value: f"${value}",
    "29.99 $": lambda value: f"{value} $",
    "USD 29.99": lambda value: f"USD {value}",
    "29.99 EUR": lambda value: f"{value} EUR",
    "£29.99": lambda value: f"£{value}",
    "29.990": lambda value: f"{value}0",
    "29.990000": lambda value: f"{value}0000",
    "+29.99": lambda value: f"+{value}",
    "2.999E+01": lambda value: f"{float(value):.6E}",
    "'29.99": lambda value: f"'{value}",
    "0029.99": lambda value: f"00{value}",
    "29.99 in no-break spaces": lambda value: f"\u00a0{value}\u00a0",
    "29.99 with /month": lambda value: f"{value} /month",
}
_GERMAN: Mapping[str, Callable[[str], str]] = {
    "29,99 €": lambda value: f"{value} €",
    "€ 29,99": lambda value: f"€ {value}",
    "29,99EUR": lambda value: f"{value}EUR",
    "29,990": lambda value: f"{value}0",
    "CHF 29,99": lambda value: f"CHF {value}",
    "R$ 29,99": lambda value: f"R$ {value}",
    "29,99 zł": lambda value: f"{value} zł",
}


def cases() -> Iterator[Case]:
    for form, write in _MONEY.items():
        asked = (
            [warned(not_knowing("MonthlyCharges"), r"(?i)monthly charge.*(no|not a) number")]
            if "/" in form
            else []
        )
        yield case(KIND, f"charges such as {form}", plain().written("MonthlyCharges", write), same(), *asked)
    german = plain().decimal_commas()
    for form, write in _GERMAN.items():
        yield case(KIND, f"charges such as {form}", german.written("MonthlyCharges", write).text(";"))
    thousands = plain().written("TotalCharges", lambda value: f"{float(value):,.2f}" if value else "")
    yield case(KIND, "totals such as 1,234.56", thousands)
    for form, tenure in {
        "12.0": lambda value: f"{value}.0",
        "12.00": lambda value: f"{value}.00",
        "012": lambda value: f"0{value}",
        "1.2E+01": lambda value: f"{float(value):.2E}",
        " 12 ": lambda value: f" {value} ",
        "'12": lambda value: f"'{value}",
    }.items():
        yield case(KIND, f"tenure such as “{form}”", plain().written("tenure", tenure))
    yield case(KIND, "tenure such as 12,0", german.written("tenure", lambda value: f"{value},0").text(";"))
    yield case(
        KIND, "whole charges with decimal points among them", plain().written("MonthlyCharges", _short)
    )


def _short(value: str) -> str:
    """Write a number as short as it can be: 20.00 as 20, 29.50 as 29.5."""
    return f"{float(value):g}"
