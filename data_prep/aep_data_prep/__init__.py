"""The mapping language of Adobe Experience Platform's Data Prep: parse, check, evaluate and apply mappings offline.

>>> from aep_data_prep import evaluate
>>> evaluate('trim(split(caller, ",")[0])', {"caller": "Doe, Jane"})
'Doe'
"""

from aep_data_prep.checks import Column, Grade, Problem, check
from aep_data_prep.choices import CHOICES, Choice
from aep_data_prep.errors import DataPrepError, EvaluationError, ExpressionSyntaxError, NotOfflineError
from aep_data_prep.evaluate import evaluate
from aep_data_prep.mapping import CompiledMappings, Kind, MappedRow, MappingEntry, TransformError
from aep_data_prep.schema import Field, field_of
from aep_data_prep.syntax import parse

__all__ = [
    "CHOICES",
    "Choice",
    "Column",
    "CompiledMappings",
    "DataPrepError",
    "EvaluationError",
    "ExpressionSyntaxError",
    "Field",
    "Grade",
    "Kind",
    "MappedRow",
    "MappingEntry",
    "NotOfflineError",
    "Problem",
    "TransformError",
    "check",
    "evaluate",
    "field_of",
    "parse",
]
