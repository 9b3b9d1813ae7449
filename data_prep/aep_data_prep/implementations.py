"""The functions that can be computed without AEP, by name. Each takes the evaluation's context, then its arguments."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from aep_data_prep import dates
from aep_data_prep.errors import EvaluationError
from aep_data_prep.operators import compare, is_empty, size
from aep_data_prep.values import array_of, date_of, integer_of, map_of, number_of, text_of, type_name

if TYPE_CHECKING:
    from aep_data_prep.context import Context

Implementation = Callable[..., Any]
IMPLEMENTATIONS: dict[str, Implementation] = {}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHARSETS = {"UTF-8": "utf-8", "UTF-16": "utf-16-be", "ISO-8859-1": "latin-1", "US-ASCII": "ascii"}
_PORTS = {"http": 80, "https": 443, "ftp": 21, "sftp": 22, "ssh": 22}
_KEPT_IN_URLS = "-_."
_LONGEST_PADDED = 1_000_000
_COMPONENTS = {
    word: part
    for part, words in {
        "year": "year yyyy yy", "quarter": "quarter qq q", "month": "month mm m", "dayofyear": "dayofyear dy y",
        "day": "day dd d", "week": "week ww", "weekday": "weekday dw", "hour": "hour hh hh24", "hour12": "hh12",
        "minute": "minute mi n", "second": "second ss s", "millisecond": "millisecond sss",
    }.items()
    for word in words.split()
}  # fmt: skip


def function(*names: str) -> Callable[[Implementation], Implementation]:
    """Register an implementation under the names of the catalogue."""

    def register(implementation: Implementation) -> Implementation:
        for name in names:
            IMPLEMENTATIONS[name] = implementation
        return implementation

    return register


def _text(name: str, apply: Callable[[str], Any], *aliases: str) -> None:
    """Register a function of one text, which returns null for null."""
    function(name, *aliases)(lambda context, text: None if text is None else apply(context.text(text)))


def _pairs(arguments: Sequence[Any]) -> dict[str, Any]:
    return {text_of(k): v for k, v in zip(arguments[::2], arguments[1::2], strict=True)}


def _values(arguments: Sequence[Any]) -> Sequence[Any]:
    """Return the arguments, or the elements of the only one if it is an array."""
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments


# -- text -------------------------------------------------------------------------------------------------------------

_text("lower", str.lower, "lcase")
_text("upper", str.upper, "ucase")
_text("trim", str.strip)
_text("ltrim", str.lstrip)
_text("rtrim", str.rstrip)
_text("get_url_encoded", lambda s: quote(s, safe=_KEPT_IN_URLS).replace("~", "%7E"))
_text("get_url_decoded", unquote)


@function("concat")
def _concat(context: Context, *texts: Any) -> str | None:
    if context.choices["concat-null"] == "null" and None in texts:
        return None
    return "".join(map(context.text, texts))


@function("explode")
def _explode(context: Context, text: Any, pattern: Any = ",") -> list[str] | None:
    if text is None:
        return None
    parts = _parts(context.text(text), _compiled(text_of(pattern)))
    if context.choices["explode-trailing"] == "drop":
        while parts and not parts[-1]:
            parts.pop()
    return parts


def _parts(text: str, expression: re.Pattern[str]) -> list[str]:
    """Split as Java does: groups are no parts, and an empty match at the start splits nothing."""
    if not expression.groups and not expression.fullmatch(""):
        return expression.split(text)
    parts, start = [], 0
    for match in expression.finditer(text):
        if match.end():
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


@function("split")
def _split(context: Context, text: Any, separators: Any) -> list[str] | None:
    if text is None:
        return None
    if not text_of(separators):
        return [context.text(text)]
    return [part for part in re.split(f"[{re.escape(text_of(separators))}]", context.text(text)) if part]


@function("instr")
def _instr(context: Context, text: Any, part: Any, start: Any = 0, occurrence: Any = 1) -> int:
    if text is None or part is None:
        return -1
    position = integer_of(start) - 1
    for _ in range(integer_of(occurrence)):
        position = context.text(text).find(text_of(part), position + 1)
        if position < 0:
            return -1
    return position


@function("replacestr")
def _replacestr(context: Context, text: Any, old: Any, new: Any) -> str | None:
    if text is None or not old or new is None:
        return None if text is None else context.text(text)
    count = -1 if context.choices["replacestr"] == "all" else 1
    return context.text(text).replace(text_of(old), text_of(new), count)


@function("substr")
def _substr(context: Context, text: Any, start: Any, length: Any) -> str | None:
    if text is None:
        return None
    begin, count = integer_of(start), integer_of(length)
    if begin < 0 or count < 0:
        raise EvaluationError("substr takes no negative position or length.")
    return context.text(text)[begin : begin + count]


@function("join")
def _join(context: Context, separator: Any, array: Any) -> str | None:
    return None if array is None else text_of(separator).join(map(context.text, array_of(array)))


def _pad(context: Context, text: Any, length: Any, padding: Any) -> tuple[str, str] | None:
    if text is None:
        return None
    own = context.text(text)
    if integer_of(length) > _LONGEST_PADDED:
        raise EvaluationError(f"A text is padded to at most {_LONGEST_PADDED} characters.")
    missing = integer_of(length) - len(own)
    filler = text_of(padding) or " "
    return own, (filler * (missing // len(filler) + 1))[:missing] if missing > 0 else ""


@function("lpad")
def _lpad(context: Context, text: Any, length: Any, padding: Any) -> str | None:
    padded = _pad(context, text, length, padding)
    return padded and padded[1] + padded[0]


@function("rpad")
def _rpad(context: Context, text: Any, length: Any, padding: Any) -> str | None:
    padded = _pad(context, text, length, padding)
    return padded and padded[0] + padded[1]


@function("left")
def _left(context: Context, text: Any, length: Any) -> str | None:
    return None if text is None else context.text(text)[: max(integer_of(length), 0)]


@function("right")
def _right(context: Context, text: Any, length: Any) -> str | None:
    count = max(integer_of(length), 0)
    return None if text is None else context.text(text)[-count:] if count else ""


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as e:
        raise EvaluationError(f"{pattern!r} is no regular expression: {e}.") from None


@function("extract_regex")
def _extract_regex(context: Context, text: Any, pattern: Any) -> list[str | None] | None:
    if text is None:
        return None
    match = _compiled(text_of(pattern)).search(context.text(text))
    return [match[0], *match.groups()] if match else []


@function("matches_regex")
def _matches_regex(context: Context, text: Any, pattern: Any) -> bool | None:
    if text is None:
        return None
    expression = _compiled(text_of(pattern))
    find = expression.fullmatch if context.choices["regex-match"] == "whole" else expression.search
    return find(context.text(text)) is not None


# -- hashes -----------------------------------------------------------------------------------------------------------


def _crc32(content: bytes) -> str:
    return struct.pack("<I", zlib.crc32(content)).hex()


def _hash(name: str, digest: Callable[[bytes], str]) -> None:
    @function(name)
    def compute(context: Context, text: Any, charset: Any = "UTF-8") -> str | None:
        if charset not in _CHARSETS:
            raise EvaluationError(f"{text_of(charset)!r} is no charset. Use one of: {', '.join(_CHARSETS)}.")
        if text is None:
            if context.choices["hash-null"] == "error":
                raise EvaluationError(f"{name} has no value for null.")
            return None
        try:
            content = context.text(text).encode(_CHARSETS[charset])
        except UnicodeEncodeError as e:
            raise EvaluationError(f"The text has a character that {charset} does not have: {e.reason}.") from None
        # Java writes a mark of the byte order, the most significant byte first.
        return digest(b"\xfe\xff" + content if charset == "UTF-16" else content)


for _name in ("sha1", "sha256", "sha512", "md5"):
    _hash(_name, lambda content, name=_name: hashlib.new(name, content, usedforsecurity=False).hexdigest())  # type: ignore[misc]
_hash("crc32", _crc32)


# -- URLs -------------------------------------------------------------------------------------------------------------


def _split_url(url: Any) -> SplitResult | None:
    """Return the parts of a URL; ``None`` for another text."""
    try:
        parts = urlsplit(text_of(url))
    except ValueError:
        return None
    return parts if parts.scheme else None


def _url(name: str, part: Callable[[Any], Any]) -> None:
    @function(name)
    def read(context: Context, url: Any) -> Any:
        parts = _split_url(url)
        try:
            return None if parts is None else part(parts)
        except ValueError:  # a port that is no number
            return None


_url("get_url_protocol", lambda parts: parts.scheme)
_url("get_url_host", lambda parts: parts.hostname)
_url("get_url_port", lambda parts: parts.port or _PORTS.get(parts.scheme))


@function("get_url_path")
def _get_url_path(context: Context, url: Any, full: Any = True) -> str | None:
    parts = _split_url(url)
    if parts is None:
        return None
    return parts.path if full else parts.path.rsplit("/", 1)[-1]


@function("get_url_query_str")
def _get_url_query_str(context: Context, url: Any, anchor: Any) -> dict[str, str] | None:
    if anchor not in {"retain", "remove", "append"}:
        raise EvaluationError(f'{text_of(anchor)!r} is no anchor mode. Use "retain", "remove" or "append".')
    parts = _split_url(url)
    if parts is None:
        return None
    query = f"{parts.query}#{parts.fragment}" if anchor == "retain" and parts.fragment else parts.query
    found = dict(parse_qsl(query, keep_blank_values=True))
    if anchor == "append" and parts.fragment:
        found["_anchor_"] = parts.fragment
    return found


# -- dates ------------------------------------------------------------------------------------------------------------


@function("now")
def _now(context: Context) -> datetime:
    return context.now()


@function("timestamp")
def _timestamp(context: Context) -> int:
    return (context.now() - _EPOCH) // timedelta(milliseconds=1)


@function("date")
def _date(context: Context, text: Any, pattern: Any = None, default: Any = None) -> datetime | None:
    if text is None or text == "":
        return None if default is None else date_of(default, context.choices)
    if isinstance(text, datetime):
        return text
    if pattern is None:
        return date_of(text, context.choices)
    return dates.parse_date(context.text(text), text_of(pattern), day_of_month=context.choices["day-of-month"])


@function("format")
def _format(context: Context, date: Any, pattern: Any) -> str | None:
    return None if date is None else dates.format_date(date_of(date, context.choices), text_of(pattern))


@function("dformat")
def _dformat(context: Context, milliseconds: Any, pattern: Any) -> str | None:
    if milliseconds is None:
        return None
    return dates.format_date(_EPOCH + timedelta(milliseconds=integer_of(milliseconds)), text_of(pattern))


def _component(context: Context, word: Any) -> str:
    name = text_of(word).lower()
    if name == "w":
        return context.choices["part-w"]
    if name not in _COMPONENTS:
        raise EvaluationError(
            f"{text_of(word)!r} is no component of a date. Use year, month, day, hour, minute or second."
        )
    return _COMPONENTS[name]


@function("date_part")
def _date_part(context: Context, component: Any, date: Any) -> int | None:
    part = _component(context, component)
    if date is None:
        return None
    moment = date_of(date, context.choices)
    other: dict[str, Callable[[], int]] = {
        "quarter": lambda: (moment.month + 2) // 3,
        "dayofyear": lambda: moment.timetuple().tm_yday,
        "week": lambda: moment.isocalendar().week,
        "weekday": moment.isoweekday,
        "hour12": lambda: moment.hour % 12 or 12,
        "millisecond": lambda: moment.microsecond // 1000,
    }
    return other[part]() if part in other else int(getattr(moment, part))


@function("set_date_part")
def _set_date_part(context: Context, component: Any, value: Any, date: Any) -> datetime | None:
    part = _component(context, component)
    if part not in {"year", "month", "day", "hour", "minute", "second"}:
        raise EvaluationError(f"set_date_part cannot set {part}. Use year, month, day, hour, minute or second.")
    if date is None:
        return None
    try:
        return date_of(date, context.choices).replace(microsecond=0, **{part: integer_of(value)})  # type: ignore[arg-type]
    except ValueError as e:
        raise EvaluationError(f"The date has no {part} {text_of(value)}: {e}.") from None


@function("make_date_time", "make_timestamp")
def _make_date_time(context: Context, *parts: Any) -> datetime:
    *numbers, zone = parts
    year, month, day, hour, minute, second, nano = map(integer_of, numbers)
    try:
        return datetime(year, month, day, hour, minute, second, nano // 1000, tzinfo=dates.zone(text_of(zone)))
    except ValueError as e:
        raise EvaluationError(f"The parts are no date: {e}.") from None


@function("zone_date_to_utc")
def _zone_date_to_utc(context: Context, date: Any) -> datetime | None:
    return None if date is None else date_of(date, context.choices).astimezone(UTC)


@function("zone_date_to_zone")
def _zone_date_to_zone(context: Context, date: Any, zone: Any) -> datetime | None:
    return None if date is None else date_of(date, context.choices).astimezone(dates.zone(text_of(zone)))


# -- objects and maps -------------------------------------------------------------------------------------------------

function("is_empty")(lambda context, value: is_empty(value))
function("nullify")(lambda context: None)
function("to_object", "to_map")(lambda context, *pairs: _pairs(pairs))
function("contains_key", "is_set")(lambda context, path: context.has(text_of(path)))
function("get_keys")(lambda context, value: None if value is None else list(map_of(value)))


@function("arrays_to_objects")
def _arrays_to_objects(context: Context, *pairs: Any) -> list[dict[str, Any]]:
    keys = [text_of(key) for key in pairs[::2]]
    arrays = [[] if array is None else array_of(array) for array in pairs[1::2]]
    join = zip_longest if context.choices["objects-length"] == "longest" else zip
    return [
        {key: value for key, value in zip(keys, values, strict=True) if value is not None} for values in join(*arrays)
    ]


def _fields(text: str, value_delimiter: Any, field_delimiter: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in text.split(text_of(field_delimiter) or ","):
        key, found, value = part.partition(text_of(value_delimiter) or ":")
        if found:
            fields.setdefault(key.strip(), value.strip())
    return fields


@function("str_to_object")
def _str_to_object(context: Context, text: Any, value_delimiter: Any = ":", field_delimiter: Any = ",") -> Any:
    return None if text is None else _fields(context.text(text), value_delimiter, field_delimiter)


@function("get_values")
def _get_values(context: Context, text: Any, key: Any, value_delimiter: Any, field_delimiter: Any = ",") -> Any:
    return None if text is None else _fields(context.text(text), value_delimiter, field_delimiter).get(text_of(key))


@function("map_get_values")
def _map_get_values(context: Context, value: Any, keys: Any) -> Any:
    if value is None:
        return None
    own = map_of(value)
    if isinstance(keys, list):
        found = [own[k] for k in map(text_of, keys) if k in own]
        return [v for n, v in enumerate(found) if v not in found[:n]]
    single = own.get(text_of(keys))
    return {text_of(keys): single} if context.choices["map-single-key"] == "map" else single


@function("map_has_keys")
def _map_has_keys(context: Context, value: Any, keys: Any) -> bool:
    own = {} if value is None else map_of(value)
    return any(text_of(key) in own for key in (keys if isinstance(keys, list) else [keys]))


@function("add_to_map")
def _add_to_map(context: Context, *maps: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for one in maps:
        merged = {**map_of(one), **merged} if one is not None else merged
    return merged


def _keyed(context: Context, array: Any, key: str) -> dict[str, Any]:
    keyed: dict[str, Any] = {}
    for item in array_of(array):
        name = text_of(map_of(item).get(key))
        if name not in keyed or context.choices["duplicate-keys"] == "last":
            keyed[name] = item
    return keyed


@function("object_to_map")
def _object_to_map(context: Context, *arguments: Any) -> Any:
    if len(arguments) == 1:
        return None if arguments[0] is None else dict(map_of(arguments[0]))
    if isinstance(arguments[0], list):
        return _keyed(context, arguments[0], text_of(arguments[1]))
    if len(arguments) % 2:
        raise EvaluationError("object_to_map takes keys and values in pairs.")
    return _pairs(arguments)


@function("array_to_map")
def _array_to_map(context: Context, array: Any, key: Any) -> Any:
    return None if array is None else _keyed(context, array, text_of(key))


@function("json_to_object")
def _json_to_object(context: Context, value: Any) -> Any:
    if value is None or isinstance(value, Mapping | list):
        return value
    text = context.text(value)
    try:
        found = json.loads(text)
        if "\\u" in text:  # half of a surrogate pair is no text
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except ValueError as e:
        raise EvaluationError(f"The text is no JSON: {e}.") from None


# -- arrays -----------------------------------------------------------------------------------------------------------

function("coalesce")(lambda context, *values: next((v for v in _values(values) if v is not None), None))
function("first")(lambda context, *values: next(iter(_values(values)), None) if values != (None,) else None)
function("last")(lambda context, *values: [*_values(values), None][-2] if _values(values) else None)
function("size_of")(lambda context, value: size(value))
function("upsert_array_append")(lambda context, array: array)
function("upsert_array_replace")(lambda context, array, position=None: array)
function("add_to_array")(lambda context, array, *values: [*([] if array is None else array_of(array)), *values])
function("join_arrays")(lambda context, *arrays: [item for a in arrays if a is not None for item in array_of(a)])
function("to_array")(lambda context, nulls, *values: [v for v in values if nulls or v is not None])


def _flatten(array: Any) -> list[Any]:
    return [leaf for item in array for leaf in (_flatten(item) if isinstance(item, list) else [item])]


def _destination_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"'{k}':{_destination_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, datetime):
        return str((value - _EPOCH) // timedelta(milliseconds=1))
    return text_of(value)


function("flattenArray")(lambda context, array: None if array is None else _flatten(array_of(array)))
function("array_to_string")(
    lambda context, separator, array: (
        None if array is None else text_of(separator).join(map(_destination_text, _flatten(array_of(array))))
    )
)


# -- comparison and conversion ----------------------------------------------------------------------------------------


def _extreme(operator: str) -> Implementation:
    def find(context: Context, *values: Any) -> Any:
        best = None
        for value in _values(values):
            if value is None:
                continue
            if best is not None and type_name(value).split()[-1] != type_name(best).split()[-1]:
                raise EvaluationError(f"{type_name(best)} and {type_name(value)} have no order.")
            best = value if best is None or compare(operator, value, best) else best
        return best

    return find


function("min")(_extreme("<"))
function("max")(_extreme(">"))


def _float32(value: Any) -> float:
    return float(struct.unpack("f", struct.pack("f", float(number_of(value))))[0])


def _conversion(name: str, convert: Callable[[Any], Any]) -> None:
    function(name)(lambda context, value: None if value is None or value == "" else convert(value))


_conversion("to_bigint", integer_of)
_conversion("to_integer", integer_of)
_conversion("to_decimal", lambda value: float(number_of(value)))
_conversion("to_float", _float32)


@function("uuid", "guid")
def _uuid(context: Context) -> str:
    return context.new_id()
