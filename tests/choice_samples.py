"""An expression for each named choice, and its results by the choice's values."""

from aep_data_prep import EvaluationError

CHOICE_SAMPLES = {
    "arithmetic": ('"2" + 3', "23", 5),
    "concat-null": ('concat("a", x)', "a", None),
    "date-text": ('concat(date("2026-01-31"))', "2026-01-31T00:00:00Z", "Sat Jan 31 00:00:00 UTC 2026"),
    "day-of-month": ('date_part("d", date("2026-02-30", "yyyy-MM-dd"))', EvaluationError, 28),
    "duplicate-keys": ('array_to_map([{"k": 1, "v": 1}, {"k": 1, "v": 2}], "k")["1"].v', 2, 1),
    "explode-trailing": ('join("|", explode("a,,", ","))', "a||", "a"),
    "hash-null": ("md5(x)", None, EvaluationError),
    "map-single-key": ('map_get_values({"a": 1}, "a")', 1, {"a": 1}),
    "minutes": ('date_part("mi", date("2026-01-31 10:05"))', 5, EvaluationError),
    "objects-length": ("size_of(arrays_to_objects('a', [1, 2], 'b', [1]))", 2, 1),
    "part-w": ('date_part("w", date("2026-01-31"))', 5, 6),
    "regex-match": ('matches_regex("abc", "b")', False, True),
    "replacestr": ('replacestr("aa", "a", "b")', "bb", "ba"),
}
