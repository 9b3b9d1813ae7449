"""Dates: Java's ``DateTimeFormatter`` patterns, and the formats that AEP tries without a pattern.

Source: Adobe's "Data format handling" and Java's documentation of ``DateTimeFormatter``. Texts are English.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aep_data_prep.errors import EvaluationError

DEFAULT_FORMATS = (
    "yyyy-MM-dd HH:mm:ssZ",
    "yyyy-MM-dd HH:mm:ss.SSSZ",
    "yyyy-MM-dd HH:mm:ss.SSS",
    "yyyy-MM-dd'T'HH:mm:ss.SSSX",
    "yyyy-MM-dd'T'HH:mm:ss'Z'",
    "yyyy-MM-dd",
    "yyyy/MM/dd",
    "yyyy.MM.dd",
    "yyyy-MMM-dd",
    "yyyyMMdd",
    "MM-dd-yyyy",
    "MMddyyyy",
    "M/dd/yyyy",
    "dd.M.yyyy",
    "M/dd/yyyy hh:mm:ss a",
    "dd.M.yyyy hh:mm:ss a",
    "dd.MMM.yyyy",
    "dd-MMM-yyyy",
)
"""Tried in this order; the first match wins."""

SAMPLE_FORMATS = (
    "yyyy-MM-dd HH:mm:ss",
    "yyyy-MM-dd HH:mm",
    "yyyy-MM-dd'T'HH:mm:ss.SSS",
    "yyyy-MM-dd'T'HH:mm:ss",
    "yyyy-MM-dd'T'HH:mm:ssXXX",
)
"""Not in Adobe's list, but used by Adobe's samples without a pattern."""

LETTERS = "GyYuMLwWDdFEaHkKhmsSzZXxVOQqe"
_WRITTEN_ONLY = "GYwWFe"
"""Letters of weeks and eras, which Java can write, but not resolve to a date together with months and days."""
_MONTHS = (
    "", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ZONES = {
    "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "MST": "America/Denver", "MDT": "America/Denver",
    "CST": "America/Chicago", "CDT": "America/Chicago", "EST": "America/New_York", "EDT": "America/New_York",
    "CET": "Europe/Paris", "CEST": "Europe/Paris", "BST": "Europe/London", "GMT": "UTC", "Z": "UTC",
}  # fmt: skip
"""Zones of abbreviations, as Java reads them."""


def zone(name: str) -> tzinfo:
    """Return the time zone of an IANA name, an abbreviation or an offset.

    :raises EvaluationError: the zone is unknown
    """
    if re.fullmatch(r"[+-]\d\d(:?\d\d)?", name):
        return _offset(name)
    try:
        return UTC if _ZONES.get(name, name) == "UTC" else ZoneInfo(_ZONES.get(name, name))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a name may be a folder of the database
        raise EvaluationError(f"'{name}' is no time zone. Use a name such as Europe/Paris.") from None


def _offset(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes)) if minutes else UTC


@dataclass(frozen=True, slots=True)
class _Token:
    letter: str
    count: int
    text: str = ""


@lru_cache(maxsize=512)
def _tokens(pattern: str) -> tuple[_Token, ...]:
    """Return letters with their counts, and literal texts.

    :raises EvaluationError: the pattern has an unknown letter, or an open quotation mark
    """
    tokens: list[_Token] = []
    for found in re.finditer(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+|'", pattern):
        text = found[0]
        if found[2]:
            if found[2] not in LETTERS:
                raise EvaluationError(f"'{found[2]}' is no letter of a date pattern. Put literal text in quotes: 'T'.")
            tokens.append(_Token(found[2], len(text)))
        elif text == "'":
            raise EvaluationError(f"The date pattern {pattern!r} has an open quotation mark.")
        else:
            tokens.append(
                _Token("", 0, "'" if text == "''" else (found[1] or "").replace("''", "'") or text.strip("'"))
            )
    return tuple(tokens)


# -- parse ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _reader(pattern: str) -> tuple[re.Pattern[str], tuple[_Token, ...]]:
    """Return a regular expression with a group for each letter, and the letters.

    :raises EvaluationError: the pattern is not valid, or its letters do not determine a date
    """
    parts: list[str] = []
    letters: list[_Token] = []
    for token in _tokens(pattern):
        if not token.letter:
            literal = token.text
            parts.append("".join({"[": "(?:", "]": ")?"}.get(c, re.escape(c)) for c in literal))
            continue
        if token.letter in _WRITTEN_ONLY:
            raise EvaluationError(
                f"{token.letter} of the date pattern {pattern!r} does not determine a date. Use y, M and d."
            )
        letters.append(token)
        parts.append(f"({_expression(token)})")
    return re.compile("".join(parts)), tuple(letters)


def _expression(token: _Token) -> str:
    letter, count = token.letter, token.count
    if letter in "yu":
        return r"\d\d" if count == 2 else rf"\d{{{count}}}" if count > 2 else r"\d{1,9}"
    if letter in "ML" and count > 2:
        return "|".join(n if count > 3 else n[:3] for n in _MONTHS[1:])
    if letter == "E":
        return "|".join(n if count > 3 else n[:3] for n in _DAYS)
    if letter == "a":
        return "AM|PM"
    if letter == "S":
        return rf"\d{{{count}}}"
    if letter == "Z":
        return r"[+-]\d\d:\d\d|Z" if count == 5 else r"GMT(?:[+-]\d\d:\d\d)?" if count == 4 else r"[+-]\d{4}"
    if letter in "Xx":
        digits = {1: r"\d\d(?:\d\d)?", 2: r"\d{4}"}.get(count, r"\d\d:\d\d")
        return rf"[+-]{digits}" + ("|Z" if letter == "X" else "")
    if letter in "zV":
        return r"[A-Za-z]+(?:/[A-Za-z_/]+)?(?:[+-]\d+)?"
    if letter == "O":
        return r"GMT(?:[+-]\d{1,2}(?::\d\d)?)?"
    if letter in "Qq" and count > 2:
        return "Q[1-4]" if count == 3 else "[1-4][a-z]{2} quarter"
    return r"\d{1,2}" if count == 1 and letter != "D" else r"\d{1,3}" if letter == "D" else rf"\d{{{count}}}"


def _hour_of_half_day(number: Mapping[str, int], half: str | None, pattern: str) -> int:
    """Return the hour of the day, of ``h`` (1 to 12) or ``K`` (0 to 11) and ``a``."""
    if half is None:
        raise EvaluationError(f"The date pattern {pattern!r} has h or K without a. Use HH for a 24-hour clock.")
    hour, low = (number["h"], 1) if "h" in number else (number["K"], 0)
    if not low <= hour <= low + 11:
        raise EvaluationError(f"{hour} is no hour of the date pattern {pattern!r}: it takes {low} to {low + 11}.")
    return hour % 12 + (12 if half == "PM" else 0)


@lru_cache(maxsize=512)
def _numeric_reader(pattern: str) -> Callable[[str], datetime | None] | None:
    """Return a quick reader of a pattern with plain numbers only; ``None`` for any other pattern.

    The reader returns ``None`` for a text that is no date, whose error :func:`parse_date` then finds.
    """
    expression, letters = _reader(pattern)
    position = {token.letter: number for number, token in enumerate(letters)}
    if (
        len(position) < len(letters)
        or not position.keys() <= set("yMdHmsS")
        or "[" in pattern
        or any(t.count == 2 if t.letter == "y" else t.count > 2 and t.letter != "S" for t in letters)
    ):
        return None
    defaults = {"y": 1970, "M": 1, "d": 1, "H": 0, "m": 0, "s": 0}
    slots = [(position.get(letter), default) for letter, default in defaults.items()]
    fraction = position.get("S")
    fullmatch = expression.fullmatch

    def read(text: str) -> datetime | None:
        match = fullmatch(text)
        if not match:
            return None
        groups = match.groups()
        year, month, day, hour, minute, second = [default if at is None else int(groups[at]) for at, default in slots]
        micro = 0 if fraction is None else int(groups[fraction][:6].ljust(6, "0"))
        try:
            return datetime(year, month, day, hour, minute, second, micro, UTC)
        except ValueError:
            return None

    return read


def check_pattern(pattern: str) -> None:
    """Refuse a text that is no pattern of dates.

    :raises EvaluationError: it has a letter without a meaning
    """
    _tokens(pattern)


def parse_date(text: str, pattern: str, *, day_of_month: str = "error") -> datetime:
    """Return the date of a text by a pattern. Without a zone in the text, it is UTC.

    :param day_of_month: ``last`` reads 31 April as 30 April
    :raises EvaluationError: the text does not fit the pattern, or is no date
    """
    numeric = _numeric_reader(pattern)
    if numeric and (quick := numeric(text)):
        return quick
    expression, letters = _reader(pattern)
    match = expression.fullmatch(text)
    if not match:
        raise EvaluationError(f"{text!r} does not fit the date pattern {pattern!r}.")
    fields: dict[str, str] = {}
    fraction = zone_text = ""
    names: dict[str, int] = {}
    for token, found in zip(letters, match.groups(), strict=True):
        if found is None:
            continue
        if token.letter == "S":
            fraction = found
        elif token.letter in "zZXxVO":
            zone_text = found
        elif token.letter in "ML" and token.count > 2:
            names["M"] = [n[:3] for n in _MONTHS].index(found[:3])
        elif token.letter in "uy" and token.count == 2:
            fields["y"] = f"20{found}"
        else:
            fields["y" if token.letter == "u" else token.letter] = found
    number = {k: int(v) for k, v in fields.items() if v.isdigit()} | names
    month, day, year = number.get("M", number.get("L", 1)), number.get("d", 1), number.get("y", 1970)
    hour = number.get("H", number.get("k", 0) % 24)
    if "h" in number or "K" in number:
        hour = _hour_of_half_day(number, fields.get("a"), pattern)
    try:
        if day_of_month == "last" and 1 <= month <= 12 and 28 < day <= 31:
            day = min(day, calendar.monthrange(year, month)[1])
        moment = datetime(
            year, month, day, hour, number.get("m", 0), number.get("s", 0), int(fraction[:6].ljust(6, "0") or 0)
        )
        if "D" in number:
            moment = moment.replace(month=1, day=1) + timedelta(days=number["D"] - 1)
    except ValueError as e:
        raise EvaluationError(f"{text!r} is no date: {e}.") from None
    if (weekday := fields.get("E")) and not _DAYS[moment.weekday()].startswith(weekday):
        raise EvaluationError(f"{text!r} is no date: it is a {_DAYS[moment.weekday()]}.")
    return moment.replace(tzinfo=_zone_of(zone_text) if zone_text else UTC)


def _zone_of(text: str) -> tzinfo:
    offset = text.removeprefix("GMT")
    if offset != text:
        hours, _, minutes = offset[1:].partition(":")
        return _offset(f"{offset[0]}{hours.zfill(2)}{minutes or '00'}") if offset else UTC
    return _offset(text) if text[0] in "+-Z" and not text[1:].isalpha() else zone(text)


_ANY_DIGIT = str.maketrans("123456789", "000000000")


@lru_cache(maxsize=4096)
def _patterns_of_shape(shape: str, minutes: str) -> tuple[str, ...]:
    """Return the default formats that texts of a shape fit: no format distinguishes one digit from another."""
    formats = (*DEFAULT_FORMATS, *(SAMPLE_FORMATS if minutes == "accept" else ()))
    return tuple(pattern for pattern in formats if _reader(pattern)[0].fullmatch(shape))


def parse_default(text: str, *, minutes: str = "accept", day_of_month: str = "error") -> datetime:
    """Return the date of a text by the formats that AEP tries without a pattern.

    :param minutes: ``accept`` also tries the forms of Adobe's samples
    :raises EvaluationError: no format fits
    """
    for pattern in _patterns_of_shape(text.translate(_ANY_DIGIT), minutes):
        with suppress(EvaluationError):  # 12112020 fits yyyyMMdd, and is a date only as MMddyyyy
            return parse_date(text, pattern, day_of_month=day_of_month)
    raise EvaluationError(f'{text!r} is in none of the default date formats. Use date(field, "pattern").')


# -- format -----------------------------------------------------------------------------------------------------------


def format_date(moment: datetime, pattern: str) -> str:
    """Return a date as text by a pattern.

    :raises EvaluationError: the pattern is not valid
    """
    return "".join(token.text if not token.letter else _written(moment, token) for token in _tokens(pattern))


def _written(moment: datetime, token: _Token) -> str:
    letter, count = token.letter, token.count
    numbers: dict[str, Callable[[], int]] = {
        "d": lambda: moment.day,
        "H": lambda: moment.hour,
        "k": lambda: moment.hour or 24,
        "h": lambda: moment.hour % 12 or 12,
        "K": lambda: moment.hour % 12,
        "m": lambda: moment.minute,
        "s": lambda: moment.second,
        "D": lambda: moment.timetuple().tm_yday,
        "w": lambda: moment.isocalendar().week,
        "W": lambda: (moment.day + moment.replace(day=1).weekday() - 1) // 7 + 1,
        "F": lambda: (moment.day - 1) // 7 + 1,
    }
    if letter in numbers:
        return str(numbers[letter]()).zfill(count)
    if letter in "yuY":
        year = moment.isocalendar().year if letter == "Y" else moment.year
        return str(year % 100).zfill(2) if count == 2 else str(year).zfill(count)
    if letter in "ML":
        return _named(_MONTHS, moment.month, count)
    if letter in "Ee":
        return _named(_DAYS, moment.weekday(), count if letter == "e" else max(count, 3), first=1)
    if letter in "Qq":
        quarter = (moment.month + 2) // 3
        return str(quarter).zfill(count) if count < 3 else f"Q{quarter}"
    if letter == "a":
        return "AM" if moment.hour < 12 else "PM"
    if letter == "S":
        return f"{moment.microsecond:06d}".ljust(count, "0")[:count]
    if letter == "G":
        return "AD"
    return _written_zone(moment, letter, count)


def _named(names: Sequence[str], index: int, count: int, first: int = 0) -> str:
    return str(index + first).zfill(count) if count < 3 else names[index] if count > 3 else names[index][:3]


def _written_zone(moment: datetime, letter: str, count: int) -> str:
    if letter == "V":
        return str(moment.tzinfo) if moment.tzinfo is not UTC else "UTC"
    if letter == "z":
        return moment.tzname() or "UTC"
    minutes = int((moment.utcoffset() or timedelta()).total_seconds() // 60)
    sign, hours, rest = "-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60
    if letter == "O" or (letter == "Z" and count == 4):
        if not minutes:
            return "GMT"
        return (
            f"GMT{sign}{hours:02d}:{rest:02d}" if count == 4 else f"GMT{sign}{hours}" + (f":{rest:02d}" if rest else "")
        )
    if not minutes and (letter == "X" or (letter == "Z" and count == 5)):
        return "Z"
    colon = ":" if count == 5 or (letter in "Xx" and count == 3) else ""
    if letter in "Xx" and count == 1 and not rest:
        return f"{sign}{hours:02d}"
    return f"{sign}{hours:02d}{colon}{rest:02d}"


def iso(moment: datetime) -> str:
    """Return a date as Adobe's samples print it, such as ``2019-10-23T11:24:00Z``; with milliseconds if it has any."""
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond >= 1000 else "seconds")
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def java_text(moment: datetime) -> str:
    """Return a date as Java's ``Date`` prints it, such as ``Wed Oct 23 11:24:00 UTC 2019``."""
    return format_date(moment, "EEE MMM dd HH:mm:ss z yyyy")
