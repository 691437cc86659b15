"""How people write numbers: decimal comma, thousands, currencies, percent, and what stands for a missing one."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

POINT, COMMA = ".", ","

MISSING = frozenset(
    (
        *("", "nan", "na", "n/a", "#n/a", "<na>", "n.a.", "null", "(null)", "none", "nil", "missing", "\\n"),
        *("?", "-", "--", "---", ".", "..", "...", ":", "*", "#n/v", "#nv", "#div/0!", "#value!", "#ref!", "#num!"),
        *("nd", "n.d.", "no data", "nodata", "undefined", "unavailable"),
    )
)
"""What people write where a number is missing, in lower case."""

_SCALES = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_CURRENCY = r"(?:[$€£¥₹₩₽₺]|R\$|A\$|C\$|US\$|USD|EUR|GBP|JPY|CHF|INR|CNY|BRL|SEK|NOK|DKK|PLN|kr|zł|Rs\.?)"
_BLANKS = "\u00a0\u202f\u2009 "
_PLAIN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)


@cache
def _pattern(decimal: str) -> re.Pattern[str]:
    marks = re.escape("," if decimal == POINT else ".") + _BLANKS + "'’"
    return re.compile(
        rf"(?P<bracket>\()?(?P<sign>[-+−])?(?P<before>{_CURRENCY})?[{_BLANKS}]?(?P<inner>[-+−])?"
        rf"(?P<number>(?:[1-9]\d{{0,2}}(?P<mark>[{marks}])(?:\d{{2,3}}(?P=mark))*\d{{3}}|\d+)?"
        rf"(?:(?<=\d){re.escape(decimal)}\d*|{re.escape(decimal)}\d+)?)"
        rf"(?:[eEdD](?P<exponent>[-+]?\d+))?"
        rf"[{_BLANKS}]?(?:(?P<percent>%)|(?P<scale>[KMBTkmbt])|(?P<after>{_CURRENCY}))?(?(bracket)\))",
        re.ASCII,
    )


def read_number(cell: str, decimal: str) -> float | None:
    """The number that a cell holds, NaN where it says that one is missing, None where it holds something else.

    Thousands separators, signs of currency and of percent are taken off (12% is 12); brackets mean a minus, and K, M,
    B and T thousands, millions, billions and trillions.
    """
    cell = cell.strip()
    if decimal == POINT and _PLAIN.fullmatch(cell):
        return float(cell)
    if is_missing(cell):
        return float("nan")
    found = _pattern(decimal).fullmatch(cell)
    if found is None or not any(map(str.isdigit, found["number"])) or (found["sign"] and found["inner"]):
        return None
    digits = found["number"]
    if found["mark"]:
        digits = digits.replace(found["mark"], "")
    value = float(f"{digits.replace(decimal, '.')}e{found['exponent'] or 0}")
    minus = bool(found["bracket"]) != ((found["sign"] or found["inner"]) in ("-", "−"))
    scale = _SCALES[found["scale"].lower()] if found["scale"] else 1.0
    return (-value if minus else value) * scale


def is_missing(cell: str) -> bool:
    """Whether a cell is empty or holds what people write where a number is missing."""
    return cell.strip().lower() in MISSING


def is_number(cell: str, decimal: str = POINT) -> bool:
    """Whether a cell holds a number; what stands for a missing one does not."""
    number = read_number(cell, decimal)
    return number is not None and number == number


def is_plain(cell: str, decimal: str) -> bool:
    """Whether pandas reads the cell as it is: a number with nothing but its decimal sign, or a missing one."""
    return is_missing(cell) or _PLAIN.fullmatch(cell.strip().replace(decimal, ".", 1)) is not None


def signs_of(cell: str, decimal: str) -> set[str]:
    """In words, what stands around the digits of a number."""
    found = _pattern(decimal).fullmatch(cell.strip())
    words = {"mark": "thousands separators", "percent": "percent signs", "scale": "K, M and B", "bracket": "brackets"}
    signs = {word for group, word in words.items() if found and found[group]}
    return signs | ({"currency signs"} if found and (found["before"] or found["after"]) else set())


def decimal_of(cells: Iterable[str], separator: str) -> str:
    """The decimal sign of most cells that can have one only, of 1.5 and 1,5 and not of 1.234."""
    votes: Counter[str] = Counter()
    either = False
    for cell in cells:
        if "," not in cell and "." not in cell:
            continue
        with_point, with_comma = is_number_with_unit(cell, POINT), is_number_with_unit(cell, COMMA)
        votes[POINT] += with_point and not with_comma
        votes[COMMA] += with_comma and not with_point
        either |= with_point and with_comma and "," in cell and cell.count(",") == 1
    if votes[POINT] != votes[COMMA]:
        return max((POINT, COMMA), key=lambda sign: votes[sign])
    return COMMA if either and separator == ";" else POINT


def unit_of(cells: Iterable[str], decimal: str) -> str | None:
    """What follows the number in every cell of a column, such as ``kWh``; None where that is nothing, or differs."""
    units = {_unit(cell, decimal) for cell in cells if not is_missing(cell)}
    return units.pop() if len(units) == 1 else None


_UNIT = re.compile(r"(?P<number>.*\d)\s*(?P<unit>[^\W\d_][^\d]{0,9}|[°µ'\"″′][^\d]{0,9})", re.ASCII)


def _unit(cell: str, decimal: str) -> str | None:
    found = _UNIT.fullmatch(cell.strip())
    return found["unit"] if found and is_number(found["number"], decimal) else None


def is_number_with_unit(cell: str, decimal: str) -> bool:
    """Whether a cell holds a number, and perhaps a unit."""
    return is_number(cell, decimal) or _unit(cell, decimal) is not None


def without_unit(cell: str, units: Mapping[int, str], column: int) -> str:
    """The cell without the unit of its column."""
    if column not in units:
        return cell
    found = _UNIT.fullmatch(cell.strip())
    return found["number"] if found and found["unit"] == units[column] else cell
