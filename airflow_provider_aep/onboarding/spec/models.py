"""The models of an onboarding file. They hold intent: no ids of one sandbox, no secrets, no templates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from airflow_provider_aep.mappings import Constant, Expression
from airflow_provider_aep.naming import ONBOARDING_PATTERN
from airflow_provider_aep.systems import SYSTEMS

Kind = Literal["base", "source", "field_group", "schema", "dataset", "target", "mapping", "flow"]
Every = Annotated[str, Field(pattern=r"^(once|(\d+ )?(minute|hour|day|week)s?)$")]


def _name(value: str) -> str:
    if not re.match(ONBOARDING_PATTERN, value):
        raise ValueError("a name has 1 to 80 printable characters, without a space at either end")
    return value


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"minLength": 1, "maxLength": 80})]


class Model(BaseModel):
    """Base of the models: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Column(Model):
    """A column of the source.

    :param name: as the source has it
    :param type: ``string``, ``integer``, ``number``, ``boolean``, ``date``, ``date-time``, ``array`` or ``object``
    """

    name: str
    type: Literal["string", "integer", "number", "boolean", "date", "date-time", "array", "object"] = "string"


class Source(Model):
    """Where the rows come from.

    :param system: a source system
    :param connection: id of the Airflow connection of the source, which holds the secret; default: ``aep_<system>``
    :param table: table of the source; not for a source of records
    :param params: parameters of a REST source
    :param columns: ``explore`` asks AEP; a list lets ``validate`` check mappings without AEP
    """

    system: Annotated[str, Field(json_schema_extra={"enum": sorted(SYSTEMS)})]
    connection: str | None = None
    table: str | None = None
    params: dict[str, Any] | None = None
    columns: Literal["explore"] | list[Column] = "explore"


class Schema(Model):
    """The schema of the rows.

    :param class_: a class by ``$id``, title or Adobe's short name
    :param field_groups: field groups, by the same names
    :param fields: custom fields in short form; they become a field group of the onboarding
    """

    class_: str = Field(default="profile", alias="class")
    field_groups: list[str] = ["profile-person-details", "profile-personal-details"]
    fields: dict[str, Any] = {}


def _source_of(value: Any) -> Any:
    """Return the source of a field as an operator takes it."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        [(kind, inner)] = value.items()
        if kind in {"expr", "path"} and isinstance(inner, str) and inner:
            return Expression(inner) if kind == "expr" else inner
        if kind == "value" and isinstance(inner, str | int | float | bool):
            return Constant(inner)
    raise ValueError("a mapping is a column, {expr: ...}, {value: ...} or {path: ...}")


MappingSource = Annotated[
    Any,
    PlainValidator(_source_of),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                *(
                    {
                        "type": "object",
                        "properties": {key: {"type": types}},
                        "required": [key],
                        "additionalProperties": False,
                    }
                    for key, types in (
                        ("expr", "string"),
                        ("path", "string"),
                        ("value", ["string", "number", "boolean"]),
                    )
                ),
            ]
        }
    ),
]


class Test(Model):
    """A test of the mappings, without AEP.

    :param row: a row of the source
    :param expect: expected values by path of a field; ``null`` expects no value
    :param rejected: whether AEP rejects the row
    """

    __test__ = False

    name: str
    row: dict[str, Any]
    expect: dict[str, Any] = {}
    rejected: bool = False


class Identity(Model):
    """A field that is an identity.

    :param namespace: code of an identity namespace
    """

    path: str
    namespace: str = "Email"
    primary: bool = False


class Profile(Model):
    """Whether the rows reach Real-Time Customer Profile, which AEP cannot undo.

    :param irreversible: must be ``true`` beside ``enabled``
    :param upsert: whether a row updates the fields that it has, and a profile keeps the others
    """

    enabled: bool = False
    irreversible: bool = False
    upsert: bool = False


class Schedule(Model):
    """When the flow runs.

    :param every: ``once``, ``15 minutes``, ``hour``, ``6 hours``, ``day`` or ``week``
    :param delta_column: column by which AEP finds changed rows; default: that of the system
    :param backfill: whether the first run ingests all rows
    """

    every: Every = "once"
    delta_column: str | None = None
    backfill: bool | None = None

    def frequency(self) -> tuple[str, int | None]:
        """Return frequency and interval of the flow."""
        if self.every == "once":
            return "once", None
        number, _, unit = self.every.rpartition(" ")
        return unit.removesuffix("s"), int(number) if number else None


class Quality(Model):
    """How much loss a run may have.

    :param max_failed_ratio: failed records of one read, above which a wait fails
    :param max_failed_records: failed records above which a wait fails
    """

    max_failed_ratio: float | None = Field(default=None, ge=0, le=1)
    max_failed_records: int | None = Field(default=None, ge=0)


class Options(Model):
    """Options of the flow.

    :param partial_ingestion_percent: percentage of failed records up to which a run succeeds
    :param error_diagnostics: whether AEP keeps failed records
    """

    partial_ingestion_percent: float | None = Field(default=None, gt=0, le=100)
    error_diagnostics: bool | None = None


class Environment(Model):
    """An environment: a sandbox of AEP.

    :param connection: id of an Airflow connection of type ``aep``
    :param type: type of the sandbox; ``production`` needs a confirmation for writes
    """

    connection: str
    type: Literal["development", "production"] = "development"


class Onboarding(Model):
    """One source, from its base connection to its flow.

    :param version: of the format
    :param onboarding: the name, from which the names of all objects derive
    :param adopt: whether objects that were not created by this onboarding may be used
    :param take_over: objects that were not created by this onboarding, and may be changed
    :param replace: objects that may be replaced if AEP cannot change them in place
    :param only: environments of the file; default: all
    :param names: names of objects that do not follow the pattern
    :param meta: free; it is not sent
    """

    version: Literal[1]
    onboarding: Name
    description: str | None = None
    source: Source
    schema_: Schema = Field(default_factory=Schema, alias="schema")
    mappings: dict[str, MappingSource]
    tests: list[Test] = []
    identities: list[Identity] = []
    profile: Profile = Profile()
    schedule: Schedule = Schedule()
    quality: Quality = Quality()
    options: Options = Options()
    names: dict[Kind, str] = {}
    adopt: bool = False
    take_over: list[Kind] = []
    replace: list[Kind] = []
    only: list[str] | None = None
    meta: dict[str, Any] = {}
    environments: dict[str, dict[str, Any]] = {}


class Folder(Model):
    """``aep.yaml`` of a folder: its environments, and defaults of its files."""

    version: Literal[1]
    environments: dict[str, Environment] = {}
    defaults: dict[str, Any] = {}
