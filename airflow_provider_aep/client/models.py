"""Pydantic models of AEP's responses. They accept unknown fields, and declare only the fields that this package reads.

Sources: Adobe's OpenAPI files and documented samples. Where two documents show different shapes, both are accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator


class AepModel(BaseModel):
    """Base class of all models. A ``null`` counts as an absent field."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: object) -> object:
        return {k: v for k, v in data.items() if v is not None} if isinstance(data, dict) else data

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Return only declared fields, because AEP's texts may quote rows."""
        return [(name, value) for name, value in super().__repr_args__() if name in type(self).model_fields]


def parse_int(value: object) -> int | None:
    """Return the integer in a number or a text, as AEP may return either; ``None`` for any other value."""
    try:
        return int(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


class Ref(AepModel):
    """The response to a create or a patch: id and etag."""

    id: str
    etag: str = Field("", validation_alias=AliasChoices("etag", "eTag"))


class SpecRef(AepModel):
    """A reference to a connection spec or flow spec."""

    id: str
    version: str | None = None


class AuthSpec(AepModel):
    """An authentication type of a connection spec; ``spec`` is the JSON Schema of its parameters."""

    name: str
    type: str = ""
    spec: dict[str, Any] = Field(default_factory=dict)


class ConnectionSpec(AepModel):
    """A connection spec: the description of a connector."""

    id: str
    name: str = ""
    version: str = "1.0"
    authSpec: list[AuthSpec] = Field(default_factory=list)
    attributes: dict[str, Any] = Field(default_factory=dict)


class FlowObject(AepModel):
    """The fields that connections, source connections, target connections and flows share.

    Times are milliseconds since the epoch.
    """

    id: str
    name: str = ""
    description: str = ""
    state: str = ""
    etag: str = Field("", validation_alias=AliasChoices("etag", "eTag"))
    createdAt: int = 0
    connectionSpec: SpecRef | None = None


class Connection(FlowObject):
    """A base connection."""

    auth: dict[str, Any] = Field(default_factory=dict, repr=False)


class SourceConnection(FlowObject):
    """A source connection."""

    baseConnectionId: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)


class TargetConnection(FlowObject):
    """A target connection."""

    baseConnectionId: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)


class Transformation(AepModel):
    """A transformation of a flow, such as ``Mapping`` or ``Copy``."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)


class Flow(FlowObject):
    """A flow (dataflow)."""

    flowSpec: SpecRef | None = None
    sourceConnectionIds: list[str] = Field(default_factory=list)
    targetConnectionIds: list[str] = Field(default_factory=list)
    transformations: list[Transformation] = Field(default_factory=list)
    scheduleParams: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] | None = None


class TransformationSpec(AepModel):
    """A transformation that a flow spec supports."""

    name: str = ""


class FlowSpec(AepModel):
    """A flow spec: the description of a kind of flow, and the connectors that it supports."""

    id: str
    name: str = ""
    version: str = "1.0"
    sourceConnectionSpecIds: list[str] = Field(default_factory=list)
    transformationSpecs: list[TransformationSpec] = Field(
        default_factory=list, validation_alias=AliasChoices("transformationSpecs", "transformationSpec")
    )

    @property
    def supports_delta(self) -> bool:
        """Whether flows accept a delta column. REST sources lack the ``Copy`` transformation for it."""
        return any(t.name == "Copy" for t in self.transformationSpecs)


class Table(AepModel):
    """A table of a source, as explore returns it."""

    name: str
    path: str = ""
    type: str = "table"


class Column(AepModel):
    """A column, as explore returns it. The source connection receives it unchanged, except for nulls."""

    name: str
    type: str = ""
    xdm: dict[str, Any] = Field(default_factory=dict)
    path: str | None = None
    """Path of a field of a nested record; ``None`` for a column of a table."""

    @property
    def verbatim(self) -> dict[str, Any]:
        """The column as AEP returned it, without nulls."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class RunError(AepModel):
    """An error of a run or batch. AEP's ``message`` is not read, because it may quote rows."""

    code: str = ""


class StatusSummary(AepModel):
    """Status and errors of a run or activity."""

    status: str | None = None
    errors: list[RunError] = Field(default_factory=list)
    extensions: dict[str, Any] = Field(default_factory=dict, repr=False)


class RecordSummary(AepModel):
    """Counts of records; -1 stands for an unknown count."""

    inputRecordCount: int | None = None
    outputRecordCount: int | None = None
    failedRecordCount: int | None = None


class FileSummary(AepModel):
    """Counts of files."""

    failedFileCount: int | None = None


class SizeSummary(AepModel):
    """Counts of bytes; -1 stands for an unknown count."""

    inputBytes: int | None = None
    outputBytes: int | None = None


class DurationSummary(AepModel):
    """Start and end of a run in milliseconds since the epoch."""

    startedAtUTC: int | None = None
    completedAtUTC: int | None = None
    extensions: dict[str, Any] = Field(default_factory=dict)


class RunMetrics(AepModel):
    """Metrics of a run."""

    statusSummary: StatusSummary = Field(default_factory=StatusSummary)
    recordSummary: RecordSummary = Field(default_factory=RecordSummary)
    sizeSummary: SizeSummary = Field(default_factory=SizeSummary)
    fileSummary: FileSummary = Field(default_factory=FileSummary)
    durationSummary: DurationSummary = Field(default_factory=DurationSummary)


class Activity(AepModel):
    """An activity of a run, such as ingestion."""

    id: str = ""
    name: str = ""
    statusSummary: StatusSummary = Field(default_factory=StatusSummary)
    targetInfo: list[dict[str, Any]] = Field(default_factory=list)


class Run(AepModel):
    """A flow run."""

    id: str
    flowId: str = ""
    createdAt: int = 0
    params: dict[str, Any] = Field(default_factory=dict, repr=False)
    metrics: RunMetrics = Field(default_factory=RunMetrics)
    activities: list[Activity] = Field(default_factory=list, validation_alias=AliasChoices("activities", "activites"))

    @property
    def window(self) -> tuple[int | None, int | None]:
        """Start and end in seconds since the epoch: those of the request, else those of AEP's metrics."""
        start, end = (parse_int(self.params.get(name)) for name in ("windowStartTime", "windowEndTime"))
        if start is not None and end is not None:
            return start, end
        extensions = self.metrics.durationSummary.extensions
        start, end = parse_int(extensions.get("windowStart")), parse_int(extensions.get("windowEnd"))
        return None if start is None else start // 1000, None if end is None else end // 1000


class XdmSchema(AepModel):
    """A schema, class or field group. A list may return a short form without ``allOf``."""

    id: str = Field(validation_alias="$id")
    title: str = ""
    description: str = ""
    version: str = "1.0"
    type: str = ""
    alt_id: str = Field("", validation_alias="meta:altId")
    class_id: str = Field("", validation_alias="meta:class")
    extends: list[str] = Field(default_factory=list, validation_alias="meta:extends")
    immutable_tags: list[str] = Field(default_factory=list, validation_alias="meta:immutableTags")
    intended_classes: list[str] = Field(default_factory=list, validation_alias="meta:intendedToExtend")
    allOf: list[dict[str, Any]] = Field(default_factory=list)
    definitions: dict[str, Any] = Field(default_factory=dict)
    properties: dict[str, Any] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """The title, which is the name of other kinds of objects."""
        return self.title


class Descriptor(AepModel):
    """A descriptor of a schema's field; ``property_path`` has slashes, such as ``/personalEmail/address``."""

    id: str = Field("", validation_alias="@id")
    type: str = Field("", validation_alias="@type")
    schema_id: str = Field("", validation_alias="xdm:sourceSchema")
    property_path: str = Field("", validation_alias="xdm:sourceProperty")
    namespace: str = Field("", validation_alias="xdm:namespace")
    is_primary: bool = Field(False, validation_alias="xdm:isPrimary")


class IdentityNamespace(AepModel):
    """An identity namespace of Identity Service.

    :cvar custom: whether it is one of the organization's
    """

    id: int
    code: str
    name: str = ""
    description: str = ""
    id_type: str = Field("", validation_alias="idType")
    custom: bool = False


class Stats(AepModel):
    """Statistics of the Schema Registry, which include the tenant id."""

    tenantId: str


class SchemaRef(AepModel):
    """A reference to a schema."""

    id: str
    contentType: str = ""


class DataSet(AepModel):
    """A dataset of Catalog Service; ``created`` is milliseconds since the epoch."""

    id: str
    name: str = ""
    description: str = ""
    created: int = 0
    schemaRef: SchemaRef | None = None
    tags: dict[str, list[str]] = Field(default_factory=dict)
    state: str | None = None


class Batch(AepModel):
    """A batch of Catalog Service. The ``description`` of its errors is not read, because it may quote rows."""

    id: str
    status: str = ""
    created: int = 0
    metrics: RecordSummary = Field(default_factory=RecordSummary)
    errors: list[RunError] = Field(default_factory=list)


class Mapping(AepModel):
    """One mapping of a mapping set."""

    sourceType: str = "ATTRIBUTE"
    source: str = Field("", validation_alias=AliasChoices("source", "sourceAttribute"))
    destination: str = Field("", validation_alias=AliasChoices("destination", "destinationXdmPath"))


class MappingSet(AepModel):
    """A mapping set of Data Prep."""

    id: str
    version: int = 0
    name: str | None = None
    createdDate: int = 0
    tags: list[Any] = Field(default_factory=list)
    mappings: list[Mapping] = Field(default_factory=list)
    outputSchemaRef: SchemaRef | None = None
    xdmSchema: str | None = None

    def tag_values(self, name: str) -> list[str]:
        """Return the values of a tag."""
        tags = [t for t in self.tags if isinstance(t, dict) and t.get("name") == name]
        return [str(value) for tag in tags for value in tag.get("values") or []]

    @property
    def schema_id(self) -> str | None:
        """The ``$id`` of the target schema; ``None`` if AEP does not return it."""
        return self.outputSchemaRef.id if self.outputSchemaRef else self.xdmSchema


NO_REASON = "AEP gives no reason"
"""Stands for the text of an error that AEP does not return."""


class MappingValidation(AepModel):
    """The result of the validation of one mapping."""

    status: str
    errors: list[Any] | None = None

    @property
    def message(self) -> str:
        """The reasons, as one text. Source: ``TransformErrorInfo`` of the OpenAPI file."""
        texts = [e.get("exception") or e.get("message") if isinstance(e, dict) else e for e in self.errors or ()]
        return "; ".join(str(text) for text in texts if text) or NO_REASON


class ExpressionValidation(AepModel):
    """The result of the validation of an expression."""

    validationStatus: str = ""
    error: str = ""


class MappingPreview(AepModel):
    """The result of a mapping set for one row."""

    data: dict[str, Any] | None = Field(None, repr=False)
    errors: list[Any] | None = Field(None, repr=False)

    @property
    def failed_destinations(self) -> list[str]:
        """The paths of the fields without a value."""
        return [str(e.get("destination")) for e in self.errors or () if isinstance(e, dict)]


class Sandbox(AepModel):
    """A sandbox; ``type`` is ``production`` or ``development``."""

    name: str
    state: str = ""
    type: str = ""
    title: str = ""
