"""The prose checker finds what its rules forbid, and nothing else."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import check_prose  # noqa: E402 - a tool, outside the packages

RULES = check_prose.Rules()
WORDING = RULES.data["wording"]
SENTENCE = "The " + "long " * 23 + "end."  # 25 words


def check_page(text):
    return [str(problem) for problem in check_prose.check_page(RULES, "page.md", text)]


def check_docstrings(text):
    return [str(problem) for problem in check_prose.check_docstrings(RULES, "module.py", text)]


def rules_of(problems):
    return [problem.split(": ")[1] for problem in problems]


def test_rule_file_is_well_formed():
    assert set(RULES.data) == {"limits", "targets", "openings", "names", "wording"}
    for rule in WORDING:
        assert set(rule) == {"match", "say", "bad", "good"}, rule
        assert all(rule.values()), rule
    patterns = [rule["match"] for rule in WORDING]
    assert len(set(patterns)) == len(patterns)
    suggestions = [say for _, say in RULES.wording]
    assert not [say for say in suggestions for pattern, _ in RULES.wording if pattern.search(say)]


def test_every_target_exists():
    missing = [t for targets in RULES.data["targets"].values() for t in targets if not (ROOT / t).exists()]
    assert not [target for target in missing if target != "emulator/README.md"]


@pytest.mark.parametrize("rule", WORDING, ids=[rule["match"] for rule in WORDING])
def test_wording_rule(rule):
    pattern = re.compile(rule["match"], re.IGNORECASE)
    for text in rule["bad"]:
        assert pattern.search(text), text
        assert "wording" in rules_of(check_page(text)), text
    for text in rule["good"]:
        assert not pattern.search(text), text


@pytest.mark.parametrize("text", RULES.data["openings"]["bad"])
def test_opening_is_rejected(text):
    assert "opening" in rules_of(check_page(f"First a sentence. {text}"))


@pytest.mark.parametrize("text", RULES.data["openings"]["good"])
def test_opening_is_accepted(text):
    assert "opening" not in rules_of(check_page(f"First a sentence. {text}"))


@pytest.mark.parametrize("name", RULES.data["names"]["bad"])
def test_name_is_rejected(name):
    assert RULES.check_name(name.removesuffix("()"), is_function=name.endswith("()"))


@pytest.mark.parametrize("name", RULES.data["names"]["good"])
def test_name_is_accepted(name):
    assert not RULES.check_name(name.removesuffix("()"), is_function=name.endswith("()"))


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE,
        f"{SENTENCE} {SENTENCE}",
        f"{SENTENCE}\n{SENTENCE}",
        f"- {SENTENCE}\n- {SENTENCE}",
        f"| a | b |\n|---|---|\n| {SENTENCE} | {SENTENCE} |",
        f"# {SENTENCE}\n\n{SENTENCE}",
        SENTENCE.replace("long end", "`a span of several words`"),
        SENTENCE.replace("end", "[a link of several words](page.md)"),
        f"    {'word ' * 17}",
        f"```text\n{'word ' * 17}\n```",
    ],
)
def test_sentence_length_is_accepted(text):
    assert check_page(text) == []


@pytest.mark.parametrize("text", [f"Very {SENTENCE}", f"- Very {SENTENCE}", f"Use it, e.g. {SENTENCE}"])
def test_sentence_length_is_rejected(text):
    assert rules_of(check_page(text)) == ["sentence-length"]


def test_position_and_message_of_a_problem():
    page = "# Title\n\nA first line with `told`\nand a **second** that tells more.\n"
    assert check_page(page) == ["page.md:4:23: wording: 'tells'; say instead: report, log, return, state"]


def test_wording_across_lines_and_in_links():
    assert rules_of(check_page("The task makes\nsure of it.")) == ["wording"]
    assert rules_of(check_page("See [how it stands on it](page.md).")) == ["wording"]


def test_code_is_not_prose():
    assert check_page("Set `told` to 1.\n\n```python\ntold = 1  # mend it\n```\n") == []


def test_code_block_fits_the_page():
    fits, too_wide = "x" * 88, "x" * 89
    assert check_page(f"```python\n{fits}\n```") == []
    assert check_page(f"```python\nshort\n{too_wide}\n```") == [
        "page.md:3:89: code-width: a code line has 89 columns, at most 88; wrap the line"
    ]
    assert rules_of(check_page(f"Text.\n\n    {too_wide}")) == ["code-width"]


def test_public_docstrings_are_checked():
    source = '''
"""It tells."""
class Public:
    """It tells."""
    def method(self):
        """It tells."""
        def nested():
            """It tells."""
    def _private(self):
        """It tells."""
class _Private:
    """It tells."""
async def function():
    """It tells."""
'''
    assert sorted(int(problem.split(":")[1]) for problem in check_docstrings(source)) == [2, 4, 6, 14]


def test_fields_and_items_of_a_docstring_are_sentences():
    source = f'''
def function():
    """Return a value.

    :param first: {SENTENCE}
        {SENTENCE}
    :param second: {SENTENCE}

    - {SENTENCE}
    - {SENTENCE}
    """
'''
    assert check_docstrings(source) == []
    assert rules_of(check_docstrings(source.replace(":param second: The", ":param second: Very the"))) == [
        "sentence-length"
    ]


def test_spans_and_literal_blocks_of_a_docstring_are_not_prose():
    source = '''
def function():
    """Return ``told`` or :class:`~package.Told`.

    An example::

        told = mend(spare)

    .. code-block:: python

        told = mend(spare)

    The end tells.
    """
'''
    assert check_docstrings(source) == ["module.py:13:13: wording: 'tells'; say instead: report, log, return, state"]


def test_comments_are_checked_for_wording():
    source = "x = 1  # it tells\ny = 'told'  # `told`\n"
    problems = [str(problem) for problem in check_prose.check_comments(RULES, "module.py", source)]
    assert problems == ["module.py:1:13: wording: 'tells'; say instead: report, log, return, state"]


def test_defined_names_are_checked():
    source = "import told\nclass Spare:\n    def settle(self, told):\n        self.mended = rest = told.spares\n"
    problems = list(check_prose.check_names(RULES, "told.py", source))
    assert [(problem.line, problem.message.split("'")[1]) for problem in problems] == [
        (1, "told"),  # the module
        (2, "Spare"),
        (3, "settle"),
        (3, "told"),
        (4, "mended"),
    ]


def test_command_reports_problems_and_fails(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("It tells.\n")
    assert check_prose.main([str(page)]) == 1
    assert capsys.readouterr().out.startswith(f"{page}:1:4: wording: ")
    page.write_text("It reports.\n")
    assert check_prose.main([str(page)]) == 0
    assert capsys.readouterr().out == ""


def test_directives_are_no_code():
    wide = "x" * 89
    assert check_page(f"```{{eval-rst}}\n{wide}\n```") == []
    assert check_page(f"```mermaid\n{wide}\n```") == []
    assert check_page(f":::{{warning}}\n{SENTENCE}\n:::") == []
