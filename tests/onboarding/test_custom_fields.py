"""custom fields: their short form, and their changes in field groups and classes."""

from dataclasses import replace

import pytest
from chain import CONTEXT, create_by_hand

from airflow_provider_aep.client import schema_registry
from airflow_provider_aep.client.errors import AepConfigurationError, AepConflictError
from airflow_provider_aep.onboarding import build
from airflow_provider_aep.onboarding.reconcile.act import reconcile
from airflow_provider_aep.onboarding.reconcile.terms import Terms
from airflow_provider_aep.onboarding.resources import CLASS, FIELD_GROUP
from airflow_provider_aep.onboarding.xdm.fields import TYPES, object_of, parse_fields, read_object, walk

FIELDS = {
    "ticket.number": {"type": "string", "required": True, "description": "Number that the customer sees"},
    "ticket.priority": {"type": "string", "enum": {"1": "Critical", "2": "High"}},
    "ticket.state": {"type": "string", "suggested_values": ["open", "closed"]},
    "ticket.weight": {"type": "byte", "enum": [1, 2]},
    "ticket.opened": "date-time",
    "ticket.email": {"type": "string", "format": "email"},
    "ticket.tags": "string[]",
    "ticket.labels": {"type": "map", "values": "string"},
    "ticket.comments": {"type": "array", "items": {"type": "object", "fields": {"by": "string", "at.day": "date"}}},
    "_{tenant}.ticket.home": "https://ns.adobe.com/xdm/common/address",
    "score": {"type": "object", "title": "Score", "fields": {"value": "number", "of": "long"}},
}


def group(client, fields, **changes):
    return build.field_group(client, title="Tickets", fields=fields, **{"classes": "profile", **changes})


@pytest.fixture
def make(aep):
    return lambda fields, **changes: reconcile(aep, FIELD_GROUP, group(aep, fields, **changes))


def stored(aep, id_):
    return aep.send(schema_registry.get("fieldgroups", id_)).definitions["customFields"]["properties"]["_emulator"]


# -- the short form ---------------------------------------------------------------------------------------------------


def test_the_short_form_becomes_the_json_schema_that_adobe_describes():
    found = object_of(parse_fields(FIELDS))
    ticket = found["properties"]["ticket"]
    assert found["required"] == ["ticket"]  # AEP needs the parents of a required field, too
    assert ticket["required"] == ["number"]
    assert ticket["properties"] == {
        "number": {"type": "string", "description": "Number that the customer sees"},
        "priority": {"type": "string", "enum": ["1", "2"], "meta:enum": {"1": "Critical", "2": "High"}},
        "state": {"type": "string", "meta:enum": {"open": "open", "closed": "closed"}},
        "weight": {"type": "integer", "minimum": -128, "maximum": 128, "enum": [1, 2],
                   "meta:enum": {"1": "1", "2": "2"}},
        "opened": {"type": "string", "format": "date-time"},
        "email": {"type": "string", "format": "email"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "labels": {"type": "object", "meta:xdmType": "map", "additionalProperties": {"type": "string"}},
        "comments": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "by": {"type": "string"},
                    "at": {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}},
                },
            },
        },
        "home": {"$ref": "https://ns.adobe.com/xdm/common/address"},
    }  # fmt: skip
    assert found["properties"]["score"]["properties"]["of"] == {
        "type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [t for t in TYPES if t not in {"object", "array", "map"}])
def test_each_type_is_read_as_it_is_written(kind):
    fields = parse_fields({"a": kind, "b": f"{kind}[]", "c": {"type": "map", "values": kind}})
    read = {path: replace(field, items=None, required=None) for path, field in walk(read_object(object_of(fields)))}
    assert read == {path: replace(field, items=None) for path, field in walk(fields)}


def test_all_fields_are_read_as_they_are_written():
    fields = parse_fields(FIELDS)
    labels = {path: field.label for path, field in walk(read_object(object_of(fields)))}
    assert labels == {path: field.label for path, field in walk(fields)}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"a b": "string"}, "a b: 'a b' is no name of a field. Use up to 100 of A-Z"),
        ({"_own": "string"}, "'_own' is no name of a field"),
        ({"a..b": "string"}, "'' is no name of a field"),
        ({5: "string"}, "'5' is no name of a field"),
        ({"a": "strings"}, "a: there is no type 'strings'. Did you mean 'string'?"),
        ({"a": "?"}, "a: there is no type '?'. Use one of string, number"),
        ({"a": None}, "a: None has no type"),
        ({"a": {"type": "string", "require": True}}, "a: there is no attribute 'require'. Did you mean 'required'?"),
        ({"a": "string", "A": "string"}, "A: 'A' and 'a' differ in case only"),
        ({"a": "string", "a.b": "string"}, "a.b: 'a' is declared twice"),
        ({"a.b": "string", "a": "string"}, "a: 'a' is declared twice"),
        ({"a": {"type": "string", "enum": ["x", 1]}}, "a: enum has 1, and the values of string are texts"),
        ({"a": {"type": "integer", "enum": [1, "x"]}}, "a: enum has 'x', and the values of integer are whole numbers"),
        ({"a": {"type": "integer", "enum": [True]}}, "a: enum has True"),
        ({"a": {"type": "string", "enum": "x"}}, "a: enum is 'x'. Use a list of values"),
        ({"a": {"type": "string", "enum": [["x"]]}}, "a: enum has ['x'], and the values of string are texts"),
        ({"a": {"type": "string", "enum": [{"x"}]}}, "a: enum has {'x'}, and the values of string are texts"),
        ({"a": {"type": "byte", "enum": [500]}}, "a: enum has 500, which is no byte"),
        ({"a": {"type": "string", "format": ["email"]}}, "a: string has no format \"['email']\""),
        ({"a": {"type": "number", "enum": [1.5]}}, "a: enum is [1.5]. Only text and whole numbers have values"),
        ({"a": {"type": "string", "enum": {"x": 1}}}, "a: the label of 'x' in enum is 1, not text"),
        ({"a": {"type": "object"}}, "a: object without fields. Add fields."),
        ({"a": {"type": "array"}}, "a: array without items"),
        ({"a": {"type": "string", "values": "string"}}, "a: string has no values, which belong to map"),
        ({"a": {"type": "string", "format": "mail"}}, "a: string has no format 'mail'"),
        ({"a": {"type": "integer", "format": "email"}}, "a: integer has no format 'email'"),
        ({"a": "string[][]"}, "a[*]: an element is neither required nor an array itself"),
        ({"a": {"type": "string", "required": "yes"}}, "a: required is 'yes', not True or False"),
        ({"a": {"type": "string", "title": 5}}, "a: title is 5, not text"),
        ({}, "fields is empty"),
        (["a"], "fields: ['a'] is no mapping"),
    ],
)
def test_a_wrong_field_is_refused_by_its_path(fields, says):
    with pytest.raises(AepConfigurationError) as caught:
        parse_fields(fields)
    assert says in str(caught.value)


def test_all_wrong_fields_are_named_at_once():
    fields = {"a b": "string", "x": "strings", "y": {"type": "object", "fields": {"z": {"type": "array"}}}}
    with pytest.raises(AepConfigurationError) as caught:
        parse_fields(fields)
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == ["a b", "x", "y.z"]


# -- changes ----------------------------------------------------------------------------------------------------------


def test_fields_are_created_once_below_the_tenant(emulator, aep, make):
    made = make(FIELDS)
    assert made.action == "created"
    before = emulator.writes()
    assert make(FIELDS).action == "unchanged"
    assert emulator.writes() == before
    assert stored(aep, made.id)["properties"]["ticket"]["required"] == ["number"]


@pytest.mark.parametrize(
    ("changed", "written", "path", "value"),
    [
        ({"ticket.more": "integer"}, ("fields.ticket.more",), "ticket.more.type", "integer"),
        ({"new.a.b": "string"}, ("fields.new",), "new.a.b.type", "string"),
        ({"ticket.priority": {"type": "string", "enum": {"1": "Critical", "2": "High", "3": "Low"}}},
         ("fields.ticket.priority",), "ticket.priority.enum", ["1", "2", "3"]),
        ({"ticket.priority": {"type": "string", "enum": {"1": "Burning", "2": "High"}}},
         ("fields.ticket.priority",), "ticket.priority.meta:enum", {"1": "Burning", "2": "High"}),
        ({"ticket.priority": {"type": "string", "enum": []}},
         ("fields.ticket.priority",), "ticket.priority.enum", None),
        ({"ticket.number": {"type": "string", "description": "Other"}},
         ("fields.ticket.number",), "ticket.number.description", "Other"),
        ({"ticket.opened": {"type": "date-time", "title": "Opened at"}},
         ("fields.ticket.opened",), "ticket.opened.title", "Opened at"),
        ({"score": {"type": "object", "title": "Score", "fields": {"value": "number", "of": "long", "on": "date"}}},
         ("fields.score.on",), "score.on.format", "date"),
        ({"ticket.state": {"type": "string", "suggested_values": {"open": "Open"}}},
         ("fields.ticket.state",), "ticket.state.meta:enum", {"open": "Open", "closed": "closed"}),
    ],
)  # fmt: skip
def test_an_additive_change_is_one_write(emulator, aep, make, changed, written, path, value):
    id_ = make(FIELDS).id
    before = len(emulator.writes())
    outcome = make({**FIELDS, **changed})
    assert (outcome.id, outcome.action, outcome.changed) == (id_, "updated", written)
    assert len(emulator.writes()) == before + 1
    node = stored(aep, id_)
    *steps, member = path.split(".")
    for step in steps:
        node = node["properties"][step]
    assert node.get(member) == value
    assert make({**FIELDS, **changed}).action == "unchanged"


def test_a_field_within_an_array_is_added(aep, make):
    id_ = make(FIELDS).id
    items = {"by": "string", "at.day": "date", "text": {"type": "string", "required": True}}
    comments = {"type": "array", "items": {"type": "object", "fields": items}}
    assert make({**FIELDS, "ticket.comments": comments}).changed == ("fields.ticket.comments[*].text",)
    inside = stored(aep, id_)["properties"]["ticket"]["properties"]["comments"]["items"]
    assert (inside["required"], inside["properties"]["by"]) == (["text"], {"type": "string"})


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"ticket.opened": "date"}, "ticket.opened: it is date-time, declared is date, and a field keeps its type"),
        ({"ticket.weight": "short"}, "ticket.weight: it is byte, declared is short"),
        ({"ticket.tags": "string"}, "ticket.tags: it is string[], declared is string"),
        ({"ticket.tags": "integer[]"}, "ticket.tags[*]: it is string, declared is integer"),
        ({"ticket.email": "string"}, "ticket.email: it is string (email), declared is string"),
        ({"ticket.priority": {"type": "string", "enum": ["1"]}}, "ticket.priority: it allows '2', and AEP removes no"),
        ({"ticket.opened": None}, "ticket.opened: it exists and is not declared, and AEP removes no field"),
        ({"ticket.state": {"type": "string", "enum": ["open"]}}, "ticket.state: it allows all values"),
    ],
)
def test_a_change_that_aep_would_refuse_is_refused_before_the_write(emulator, make, changed, says):
    make(FIELDS)
    before = emulator.writes()
    fields = {path: field for path, field in {**FIELDS, **changed}.items() if field}
    with pytest.raises(AepConflictError) as caught:
        make({**fields, "ticket.new": "string"})
    assert says in str(caught.value)
    assert emulator.writes() == before


def test_all_refusals_are_named_at_once(make):
    make(FIELDS)
    fields = {**FIELDS, "ticket.opened": "date", "score": "string"}
    del fields["ticket.tags"]
    with pytest.raises(AepConflictError) as caught:
        make(fields)
    for path in ("ticket.opened", "score", "ticket.tags"):
        assert f"fields.{path}: it" in str(caught.value)


def test_undeclared_fields_are_kept_if_the_author_says_so(aep, make):
    id_ = make(FIELDS).id
    assert make({"ticket.more": "string"}, keep_undeclared_fields=True).changed == ("fields.ticket.more",)
    assert {"more", "number", "tags"} <= stored(aep, id_)["properties"]["ticket"]["properties"].keys()


def test_a_field_group_of_a_person_keeps_what_the_short_form_does_not_have(aep):
    """A pattern, and a definition of another name."""
    number = {"type": "string", "pattern": "^INC", "maxLength": 12}
    own = {"_emulator": {"type": "object", "properties": {"ticket": {"type": "object", "properties": {"no": number}}}}}
    body = {
        "title": "Tickets", "type": "object", "definitions": {"mine": {"properties": own}},
        "allOf": [{"$ref": "#/definitions/mine"}], "meta:intendedToExtend": [f"{CONTEXT}profile"],
    }  # fmt: skip
    made = aep.send(schema_registry.create("fieldgroups", body))
    same = group(aep, {"ticket.no": "string"})
    assert reconcile(aep, FIELD_GROUP, same).action == "adopted"
    more = group(aep, {"ticket.no": "string", "ticket.state": "string"})
    with pytest.raises(AepConflictError, match="was not created by this onboarding, and differs: fields.ticket.state"):
        reconcile(aep, FIELD_GROUP, more)
    assert reconcile(aep, FIELD_GROUP, more, terms=Terms(take_over=True)).action == "updated"
    found = aep.send(schema_registry.get("fieldgroups", made.id)).definitions["mine"]["properties"]["_emulator"]
    assert found["properties"]["ticket"]["properties"] == {"no": number, "state": {"type": "string"}}


def test_values_of_numbers_and_both_kinds_of_values_change_nothing_twice(make):
    """AEP has the labels of all values in one object, whose keys are texts."""
    fields = {
        "n": {"type": "integer", "suggested_values": [1, 2]},
        "m": {"type": "integer", "enum": {"1": "One"}},  # as JSON has it
        "p": {"type": "string", "enum": ["a"], "suggested_values": ["a", "b"]},
    }
    assert [make(fields).action for _ in range(3)] == ["created", "unchanged", "unchanged"]


def patched(aep, id_, *ops):
    path = "/definitions/customFields/properties/_emulator/properties"
    aep.send(
        schema_registry.patch("fieldgroups", id_, [{"op": "add", **op, "path": f"{path}{op['path']}"} for op in ops])
    )


def test_what_a_person_adds_and_the_author_does_not_declare_is_kept(aep, make):
    fields = {"q": "string", "p": {"type": "string", "enum": ["a"]}}
    id_ = make(fields).id
    patched(
        aep, id_, {"path": "/q/enum", "value": ["u"]}, {"path": "/q/title", "value": "Q"},
        {"path": "/p/meta:enum", "value": {"a": "A of a person", "s": "Suggested"}},
    )  # fmt: skip
    assert make(fields).action == "unchanged"
    assert make({**fields, "p": {"type": "string", "enum": ["a", "b"]}}).action == "updated"
    found = stored(aep, id_)["properties"]
    assert found["p"]["meta:enum"] == {"a": "A of a person", "s": "Suggested", "b": "b"}
    assert (found["q"]["enum"], found["q"]["title"]) == (["u"], "Q")


def required_of(aep, id_):
    body = aep.send(schema_registry.get("fieldgroups", id_)).definitions["customFields"]
    namespace = body["properties"]["_emulator"]
    return body.get("required"), namespace.get("required"), namespace["properties"]["o"].get("required")


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"o.a": {"type": "string", "required": True}}, (["_emulator"], ["o"], ["a"])),
        ({"o": {"type": "object", "required": True, "fields": {"a": "string"}}}, (["_emulator"], ["o"], None)),
    ],
)
def test_a_field_that_becomes_required_later_is_as_one_that_was_at_first(aep, make, declared, expected):
    first = reconcile(aep, FIELD_GROUP, build.field_group(aep, title="At first", fields=declared, classes="profile"))
    assert required_of(aep, first.id) == expected
    later = make({"o.a": "string"})
    assert required_of(aep, later.id) == (None, None, None)
    assert make(declared).action == "updated"
    assert required_of(aep, later.id) == expected
    assert make(declared).action == "unchanged"
    assert make({"o.a": "string"}).action == "unchanged"  # what is not declared is kept
    assert make({"o.a": {"type": "string", "required": False}}).action in {"updated", "unchanged"}


def test_a_field_group_of_several_definitions_is_changed_where_its_fields_are(aep):
    """As a person made it: two definitions with fields of one object; one has a name with a slash."""

    def namespace(**fields):
        return {"properties": {"_emulator": {"type": "object", "properties": fields}}}

    kept = {"type": "string", "title": "K", "pattern": "^k"}
    body = {
        "title": "Tickets", "type": "object", "meta:intendedToExtend": [f"{CONTEXT}profile"],
        "definitions": {
            "o/ne": namespace(a={"type": "string"}),
            "two": namespace(b={"type": "string", "enum": ["x"]}, o={"type": "object", "properties": {"k": kept}}),
        },
        "allOf": [{"$ref": "#/definitions/o~1ne"}, {"$ref": "#/definitions/two"}],
    }  # fmt: skip
    body["allOf"][0]["$ref"] = "#/definitions/o/ne"
    id_ = aep.send(schema_registry.create("fieldgroups", body)).id
    fields = {
        "a": "string",
        "b": {"type": "string", "enum": ["x", "y"]},
        "o.k": "string",
        "o.new": "string",
        "c": "date",
    }
    assert reconcile(aep, FIELD_GROUP, group(aep, fields), terms=Terms(take_over=True)).action == "updated"
    assert reconcile(aep, FIELD_GROUP, group(aep, fields)).action == "unchanged"
    found = aep.send(schema_registry.get("fieldgroups", id_)).definitions
    one, two = (found[name]["properties"]["_emulator"]["properties"] for name in ("o/ne", "two"))
    assert one.keys() == {"a", "c"}
    assert two["b"]["enum"] == ["x", "y"]
    assert two["o"]["properties"] == {"k": kept, "new": {"type": "string"}}


def test_a_name_that_differs_in_case_from_one_that_exists_is_refused(make):
    make({"Prio": "string"})
    with pytest.raises(AepConflictError, match="fields.prio: Prio exists, and differs in case only"):
        make({"prio": "string"}, keep_undeclared_fields=True)


def test_a_long_with_a_bound_of_a_person_is_a_long(aep):
    number = {"type": "integer", "meta:xdmType": "long", "maximum": 1_000_000}
    assert read_object({"properties": {"n": number}})["n"].type == "long"


def test_a_class_gets_its_first_fields_later(aep):
    plain = build.xdm_class(aep, title="Ticket", behavior="record")
    made = reconcile(aep, CLASS, plain)
    fields = build.xdm_class(aep, title="Ticket", fields={"ticket.number": "string"})
    assert reconcile(aep, CLASS, fields).changed == ("fields.ticket",)
    assert reconcile(aep, CLASS, fields).action == "unchanged"
    found = aep.send(schema_registry.get("classes", made.id, resolved=True)).properties
    assert found["_emulator"]["properties"]["ticket"]["properties"] == {"number": {"type": "string"}}


def test_an_unknown_behavior_is_refused(aep):
    with pytest.raises(AepConfigurationError, match="behavior is 'event', which is no behavior.*record, time-series"):
        build.xdm_class(aep, title="Ticket", behavior="event")


def test_a_class_made_by_hand_is_adopted(aep):
    state = build.xdm_class(aep, title="Ticket", fields={"no": "string"})
    create_by_hand(aep, CLASS, state)
    assert reconcile(aep, CLASS, state).action == "adopted"
