"""AEP's answers as models: lenient in what they accept, exact in what we read.

Sources: Adobe's OpenAPI files and documented samples. Where two documents disagree on a shape, both are read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator


class AepModel(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: object) -> object:
        return {k: v for k, v in data.items() if v is not None} if isinstance(data, dict) else data

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What we declare and nothing else: AEP's own words may quote rows."""
        return [(name, value) for name, value in super().__repr_args__() if name in type(self).model_fields]


def whole(value: object) -> int | None:
    """A number as AEP echoes it, or its text; ``None`` if it is neither."""
    try:
        return int(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


class Ref(AepModel):
    """The answer to a create or a patch."""

    id: str
    etag: str = Field("", validation_alias=AliasChoices("etag", "eTag"))


class SpecRef(AepModel):
    id: str
    version: str | None = None


class AuthSpec(AepModel):
    name: str
    type: str = ""
    spec: dict[str, Any] = Field(default_factory=dict)


class ConnectionSpec(AepModel):
    id: str
    name: str = ""
    version: str = "1.0"
    authSpec: list[AuthSpec] = Field(default_factory=list)
    attributes: dict[str, Any] = Field(default_factory=dict)


class FlowObject(AepModel):
    """What connections, source connections, target connections and flows have in common.

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
    auth: dict[str, Any] = Field(default_factory=dict, repr=False)


class SourceConnection(FlowObject):
    baseConnectionId: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)


class TargetConnection(FlowObject):
    baseConnectionId: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)


class Transformation(AepModel):
    name: str
    params: dict[str, Any] = Field(default_factory=dict)


class Flow(FlowObject):
    flowSpec: SpecRef | None = None
    sourceConnectionIds: list[str] = Field(default_factory=list)
    targetConnectionIds: list[str] = Field(default_factory=list)
    transformations: list[Transformation] = Field(default_factory=list)
    scheduleParams: dict[str, Any] = Field(default_factory=dict)


class TransformationSpec(AepModel):
    name: str = ""


class FlowSpec(AepModel):
    id: str
    name: str = ""
    version: str = "1.0"
    sourceConnectionSpecIds: list[str] = Field(default_factory=list)
    transformationSpecs: list[TransformationSpec] = Field(
        default_factory=list, validation_alias=AliasChoices("transformationSpecs", "transformationSpec")
    )

    @property
    def takes_delta(self) -> bool:
        """Whether its flows can be told a delta column: REST sources have no ``Copy`` transformation."""
        return any(t.name == "Copy" for t in self.transformationSpecs)


class Table(AepModel):
    """An entry of an explored root."""

    name: str
    path: str = ""
    type: str = "table"


class Column(AepModel):
    """A column as explore gives it; passed on to the source connection as it is, but for nulls."""

    name: str
    type: str = ""
    xdm: dict[str, Any] = Field(default_factory=dict)

    @property
    def verbatim(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude_unset=True)


class RunError(AepModel):
    """AEP's ``message`` is not read: it may quote rows."""

    code: str = ""


class StatusSummary(AepModel):
    status: str | None = None
    errors: list[RunError] = Field(default_factory=list)
    extensions: dict[str, Any] = Field(default_factory=dict, repr=False)


class RecordSummary(AepModel):
    """Counts of records; -1 means that AEP does not know."""

    inputRecordCount: int | None = None
    outputRecordCount: int | None = None
    failedRecordCount: int | None = None


class FileSummary(AepModel):
    failedFileCount: int | None = None


class SizeSummary(AepModel):
    """Bytes; -1 means that AEP does not know."""

    inputBytes: int | None = None
    outputBytes: int | None = None


class DurationSummary(AepModel):
    startedAtUTC: int | None = None
    completedAtUTC: int | None = None
    extensions: dict[str, Any] = Field(default_factory=dict)


class RunMetrics(AepModel):
    statusSummary: StatusSummary = Field(default_factory=StatusSummary)
    recordSummary: RecordSummary = Field(default_factory=RecordSummary)
    sizeSummary: SizeSummary = Field(default_factory=SizeSummary)
    fileSummary: FileSummary = Field(default_factory=FileSummary)
    durationSummary: DurationSummary = Field(default_factory=DurationSummary)


class Activity(AepModel):
    id: str = ""
    name: str = ""
    statusSummary: StatusSummary = Field(default_factory=StatusSummary)
    targetInfo: list[dict[str, Any]] = Field(default_factory=list)


class Run(AepModel):
    id: str
    flowId: str = ""
    createdAt: int = 0
    params: dict[str, Any] = Field(default_factory=dict, repr=False)
    metrics: RunMetrics = Field(default_factory=RunMetrics)
    activities: list[Activity] = Field(default_factory=list, validation_alias=AliasChoices("activities", "activites"))

    @property
    def window(self) -> tuple[int | None, int | None]:
        """Start and end in seconds since the epoch: as it was asked for, or else as AEP has understood it."""
        start, end = (whole(self.params.get(name)) for name in ("windowStartTime", "windowEndTime"))
        if start is not None and end is not None:
            return start, end
        known = self.metrics.durationSummary.extensions
        start, end = whole(known.get("windowStart")), whole(known.get("windowEnd"))
        return None if start is None else start // 1000, None if end is None else end // 1000


class XdmSchema(AepModel):
    """A schema or a class, or the short form of a list (``title``, ``$id``, ``meta:altId``, ``version``)."""

    id: str = Field(validation_alias="$id")
    title: str = ""
    description: str = ""
    version: str = "1.0"
    type: str = ""
    class_id: str = Field("", validation_alias="meta:class")
    extends: list[str] = Field(default_factory=list, validation_alias="meta:extends")
    immutable_tags: list[str] = Field(default_factory=list, validation_alias="meta:immutableTags")
    allOf: list[dict[str, Any]] = Field(default_factory=list)
    properties: dict[str, Any] = Field(default_factory=dict)


class Descriptor(AepModel):
    """What the registry knows of a field of a schema; ``property_path`` has slashes: ``/personalEmail/address``."""

    id: str = Field("", validation_alias="@id")
    type: str = Field("", validation_alias="@type")
    schema_id: str = Field("", validation_alias="xdm:sourceSchema")
    property_path: str = Field("", validation_alias="xdm:sourceProperty")
    namespace: str = Field("", validation_alias="xdm:namespace")
    is_primary: bool = Field(False, validation_alias="xdm:isPrimary")


class Stats(AepModel):
    tenantId: str


class SchemaRef(AepModel):
    id: str
    contentType: str = ""


class DataSet(AepModel):
    id: str
    name: str = ""
    description: str = ""
    created: int = 0
    schemaRef: SchemaRef | None = None
    tags: dict[str, list[str]] = Field(default_factory=dict)
    state: str | None = None


class Batch(AepModel):
    """What Catalog says of a batch; its error's ``description`` may quote rows and is not read."""

    id: str
    status: str = ""
    created: int = 0
    metrics: RecordSummary = Field(default_factory=RecordSummary)
    errors: list[RunError] = Field(default_factory=list)


class Mapping(AepModel):
    sourceType: str = "ATTRIBUTE"
    source: str = Field("", validation_alias=AliasChoices("source", "sourceAttribute"))
    destination: str = Field("", validation_alias=AliasChoices("destination", "destinationXdmPath"))


class MappingSet(AepModel):
    id: str
    version: int = 0
    name: str | None = None
    createdDate: int = 0
    tags: list[Any] = Field(default_factory=list)
    mappings: list[Mapping] = Field(default_factory=list)
    outputSchemaRef: SchemaRef | None = None
    xdmSchema: str | None = None

    def tagged(self, name: str) -> list[str]:
        """The values of a tag."""
        tags = [t for t in self.tags if isinstance(t, dict) and t.get("name") == name]
        return [str(value) for tag in tags for value in tag.get("values") or []]

    @property
    def schema_id(self) -> str | None:
        return self.outputSchemaRef.id if self.outputSchemaRef else self.xdmSchema


class MappingValidation(AepModel):
    status: str
    errors: list[Any] | None = None


class Sandbox(AepModel):
    name: str
    state: str = ""
    type: str = ""
    title: str = ""
