"""Java's date patterns: a date is read and written as by ``DateTimeFormatter``."""

from datetime import UTC, datetime

import pytest

from aep_data_prep.dates import format_date, iso, parse_date, parse_default
from aep_data_prep.errors import EvaluationError


@pytest.mark.parametrize(
    ("text", "pattern", "date"),
    [
        ("2026-01-31", "yyyy-MM-dd", "2026-01-31T00:00:00Z"),
        ("31.1.26", "dd.M.yy", "2026-01-31T00:00:00Z"),
        ("31 January 2026", "dd MMMM yyyy", "2026-01-31T00:00:00Z"),
        ("Sat 31 Jan 2026", "EEE dd MMM yyyy", "2026-01-31T00:00:00Z"),
        ("2026-031", "yyyy-DDD", "2026-01-31T00:00:00Z"),
        ("20260131140500", "yyyyMMddHHmmss", "2026-01-31T14:05:00Z"),
        ("12:30 AM", "hh:mm a", "1970-01-01T00:30:00Z"),
        ("0:30 PM", "K:mm a", "1970-01-01T12:30:00Z"),
        ("24:30", "kk:mm", "1970-01-01T00:30:00Z"),
        ("10:00:00.25", "HH:mm:ss.SS", "1970-01-01T10:00:00.250Z"),
        ("2026-01-31T10:00+02:00", "yyyy-MM-dd'T'HH:mmXXX", "2026-01-31T10:00:00+02:00"),
        ("2026-01-31 10:00 PST", "yyyy-MM-dd HH:mm z", "2026-01-31T10:00:00-08:00"),
        ("2026-01-31 10:00 GMT+2", "yyyy-MM-dd HH:mm O", "2026-01-31T10:00:00+02:00"),
        ("2026-01-31", "yyyy-MM-dd[ HH:mm]", "2026-01-31T00:00:00Z"),
        ("31'1", "dd''M", "1970-01-31T00:00:00Z"),
    ],
)
def test_a_date_is_read_by_a_pattern(text, pattern, date):
    assert iso(parse_date(text, pattern)) == date


@pytest.mark.parametrize(
    ("text", "pattern", "says"),
    [
        ("2026-00-31", "yyyy-MM-dd", "no date"),
        ("2026-00-31 10:00 AM", "yyyy-MM-dd hh:mm a", "no date"),
        ("2026-13-31", "yyyy-MM-dd", "no date"),
        ("2026-02-29", "yyyy-MM-dd", "no date"),
        ("2026-1-31", "yyyy-MM-dd", "does not fit"),
        ("Sun 31 Jan 2026", "EEE dd MMM yyyy", "a Saturday"),
        ("13:00 AM", "hh:mm a", "takes 1 to 12"),
        ("12:00 AM", "K:mm a", "takes 0 to 11"),
        ("10:00", "hh:mm", "without a"),
        ("2026-01-31", "YYYY-MM-dd", "does not determine"),
        ("2026 AD", "yyyy G", "does not determine"),
        ("2026", "yyyy'", "open quotation mark"),
    ],
)
def test_a_text_that_is_no_date_is_an_error(text, pattern, says):
    with pytest.raises(EvaluationError, match=says):
        parse_date(text, pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd'T'HH:mm:ss.SSSX", "2026-01-31T14:05:09.120Z"),
        ("yy/M/d h:m a", "26/1/31 2:5 PM"),
        ("EEEE, d MMMM", "Saturday, 31 January"),
        ("YYYY 'week' w D Q", "2026 week 5 31 1"),
        ("HH:mm ZZZZZ 'o''clock'", "14:05 Z o'clock"),
        ("K k H O G", "2 14 14 GMT AD"),
    ],
)
def test_a_date_is_written_by_a_pattern(pattern, text):
    assert format_date(datetime(2026, 1, 31, 14, 5, 9, 120_000, UTC), pattern) == text


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("20260131", "2026-01-31T00:00:00Z"),
        ("12112020", "2020-12-11T00:00:00Z"),  # no month 20, so MMddyyyy
        ("1/31/2026 02:05:09 PM", "2026-01-31T14:05:09Z"),
        ("2026-01-31T14:05:09.120Z", "2026-01-31T14:05:09.120Z"),
        ("2026-01-31 14:05:09", "2026-01-31T14:05:09Z"),
    ],
)
def test_a_date_is_read_without_a_pattern(text, date):
    assert iso(parse_default(text)) == date
