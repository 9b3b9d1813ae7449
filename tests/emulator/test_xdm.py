"""Adobe's standard parts: those of the package, and those of a copy of Adobe's repository."""

import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from plain_http import CONTEXT, FULL, REGISTRY, Plain

from aep_emulator.cli import main
from aep_emulator.data import xdm
from aep_emulator.data.xdm_files import read_parts

XDM, PROFILE = "https://ns.adobe.com/xdm/", f"{CONTEXT}profile"
COPY = Path(__file__).parents[1] / "data" / "xdm"
EVENT = f"{XDM}context/experienceevent"
VESSEL = f"{XDM}classes/vessel"
MOORING = f"{XDM}mixins/vessel-mooring"
PILOTS = "https://ns.adobe.com/experience/harbour/vessel-pilots"


def made(aep, *refs, title="S"):
    body = {"type": "object", "title": title, "allOf": [{"$ref": r} for r in refs]}
    return aep.post(f"{REGISTRY}/tenant/schemas", body)


def resolved(aep, id_, path="tenant/schemas"):
    return aep("GET", f"{REGISTRY}/{path}/{quote(id_, safe='')}", headers={"Accept": FULL}).json()


# -- the parts of the package -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "path", "field"),
    [
        ("context/identitymap", "identityMap", {"type": "object", "meta:xdmType": "map"}),
        ("context/profile-person-details", "person.birthDate", {"type": "string", "format": "date"}),
        ("context/profile-person-details", "person.birthYear", {"type": "integer", "minimum": 1, "maximum": 32767}),
        ("context/profile-personal-details", "personalEmail.address", {"type": "string", "format": "email"}),
        ("context/profile-work-details", "workAddress.postalCode", {"type": "string"}),
        ("context/profile-segmentation", "segmentMembership", {"type": "object"}),
        ("mixins/profile/profile-loyalty-details", "loyalty.points", {"type": "number"}),
        ("mixins/profile/profile-loyalty-details", "loyalty.joinDate", {"type": "string", "format": "date-time"}),
        ("mixins/profile-consents", "consents.collect.val", {"type": "string"}),
        ("context/profile-preferences-details", "optInOut._channels.email", {"type": "string"}),
        ("mixins/profile-personal-finance-details", "personalFinances", {"type": "object"}),
        ("mixins/profile/profile-user-account-details", "userAccount", {"type": "object"}),
        ("context/experienceevent-commerce", "commerce.order.priceTotal", {"type": "number"}),
        ("context/experienceevent-web", "web.webPageDetails.URL", {"type": "string"}),
        ("context/experienceevent-channel", "channel", {"type": "object"}),
        ("context/experienceevent-environment-details", "environment.ipV4", {"type": "string", "format": "ipv4"}),
        ("context/experienceevent-implementation-details", "implementationDetails.version", {"type": "string"}),
        ("context/experienceevent-enduserids", "endUserIDs._experience.aaid.id", {"type": "string"}),
        ("context/experienceevent-order-details", "order.payment.currencyCode", {"type": "string"}),
    ],
)  # fmt: skip
def test_a_standard_field_group_has_adobes_fields(aep, part, path, field):
    base = EVENT if "experienceevent" in part else PROFILE
    found = xdm.field_at(resolved(aep, made(aep, base, f"{XDM}{part}")["$id"]), path)
    assert found
    assert field.items() <= found.items()


@pytest.mark.parametrize(
    ("class_id", "fields", "required"),
    [
        (PROFILE, {"_id", "personID", "_repo"}, []),
        (EVENT, {"_id", "timestamp", "eventType", "identityMap"}, ["_id", "timestamp"]),
        (f"{XDM}classes/product", {"_id", "productID", "productName"}, []),
        (f"{XDM}context/account", {"accountID", "accountKey", "isDeleted"}, []),
        (f"{XDM}context/opportunity", {"opportunityKey", "opportunityID"}, []),
    ],
)
def test_a_standard_class_has_adobes_fields(aep, class_id, fields, required):
    full = resolved(aep, made(aep, class_id)["$id"])
    assert fields <= full["properties"].keys()
    assert full.get("required", []) == required


def test_the_parts_of_the_package_are_complete():
    assert xdm.library().missing() == []


@pytest.mark.parametrize("kind", ["classes", "fieldgroups"])
def test_each_part_of_the_package_resolves(aep, kind):
    for part in xdm.library().of_kind(kind):
        assert resolved(aep, part["$id"], f"global/{kind}")["properties"]


@pytest.mark.parametrize("ref", [f"{XDM}mixins/vessel-mooring", "https://ns.adobe.com/emulator/mixins/x"])
def test_a_part_that_is_not_there_is_named_with_the_option(aep, ref):
    body = {"type": "object", "title": "S", "allOf": [{"$ref": PROFILE}, {"$ref": ref}]}
    says = aep.refused(400, "problem", "POST", f"{REGISTRY}/tenant/schemas", json=body)
    assert says == (
        f"The emulator has no {ref}. If it is a standard part of Adobe's, start the emulator with --xdm DIR, where DIR "
        "is a copy of the public repository adobe/xdm"
    )


def test_an_unknown_data_type_of_a_field_is_named_too(aep):
    own = {"_emulator": {"type": "object", "properties": {"at": {"$ref": f"{XDM}datatypes/berth"}}}}
    body = {"type": "object", "title": "G", "definitions": {"own": {"properties": own}},
            "allOf": [{"$ref": "#/definitions/own"}]}  # fmt: skip
    says = aep.refused(400, "problem", "POST", f"{REGISTRY}/tenant/fieldgroups", json=body)
    assert says.startswith(f"The emulator has no {XDM}datatypes/berth. If it is a standard part")


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [(["a", "b"], ["a", "b", "c"], 200), (["a", "b"], ["a"], 400), (None, ["a"], 400), (["a"], None, 200)],
)
def test_a_field_in_use_loses_no_value(aep, before, after, status):
    field = {"type": "string", **({"enum": before} if before else {})}
    own = {"_emulator": {"type": "object", "properties": {"state": field}}}
    body = {"type": "object", "title": "G", "definitions": {"own": {"properties": own}},
            "allOf": [{"$ref": "#/definitions/own"}]}  # fmt: skip
    group = aep.post(f"{REGISTRY}/tenant/fieldgroups", body)["$id"]
    made(aep, PROFILE, group)
    path = "/definitions/own/properties/_emulator/properties/state/enum"
    op = {"op": "add", "path": path, "value": after} if after else {"op": "remove", "path": path}
    url = f"{REGISTRY}/tenant/fieldgroups/{quote(group, safe='')}"
    assert aep("PATCH", url, json=[op]).status_code == status


OWN = "/definitions/own/properties/_emulator/properties"


@pytest.mark.parametrize(
    ("op", "path", "value"),
    [
        ("replace", "list/items/properties/k/type", "integer"), ("remove", "list/items/properties/k", None),
        ("replace", "map/additionalProperties", {"type": "integer"}), ("add", "text/format", "date"),
    ],
)  # fmt: skip
def test_a_field_in_use_keeps_its_type_also_in_lists_and_maps(aep, op, path, value):
    text = {"type": "string"}
    fields = {
        "list": {"type": "array", "items": {"type": "object", "properties": {"k": text}}},
        "map": {"type": "object", "additionalProperties": text}, "text": text,
    }  # fmt: skip
    own = {"_emulator": {"type": "object", "properties": fields}}
    body = {"type": "object", "title": "G", "definitions": {"own": {"properties": own}},
            "allOf": [{"$ref": "#/definitions/own"}]}  # fmt: skip
    group = aep.post(f"{REGISTRY}/tenant/fieldgroups", body)["$id"]
    made(aep, PROFILE, group)
    url = f"{REGISTRY}/tenant/fieldgroups/{quote(group, safe='')}"
    says = aep.refused(400, "problem", "PATCH", url, json=[{"op": op, "path": f"{OWN}/{path}", "value": value}])
    assert "It is in use" in says


def test_a_field_group_extends_classes_alone(aep):
    body = {"type": "object", "title": "G", "meta:intendedToExtend": [f"{CONTEXT}profile-person-details"]}
    assert "which is no class" in aep.refused(400, "problem", "POST", f"{REGISTRY}/tenant/fieldgroups", json=body)


# -- a copy of Adobe's repository -------------------------------------------------------------------------------------


def test_all_parts_of_a_copy_are_there(make_emulator):
    aep = Plain(make_emulator(xdm=COPY))
    full = resolved(aep, made(aep, VESSEL, MOORING, PILOTS)["$id"])
    berth = {"quay": "string", "depth": "number", "_repo": "object"}
    assert full["properties"]["_id"]["type"] == "string"
    assert full["properties"]["tonnage"] == {"type": "integer", "meta:xdmType": "integer", "minimum": 0}
    assert {n: f["type"] for n, f in full["properties"]["berth"]["properties"].items()} == berth
    assert full["properties"]["berths"]["items"]["properties"].keys() == berth.keys()
    assert xdm.field_at(full, "_experience.harbour.pilot") == {"type": "string"}
    assert full["required"] == ["callSign"]
    assert aep("GET", f"{REGISTRY}/global/datatypes/{quote(XDM, safe='')}datatypes%2Fberth", headers={"Accept": FULL})
    assert made(aep, PROFILE, title="another")["meta:class"] == PROFILE  # the package's parts are still there


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda copy: shutil.rmtree(copy / "components") or shutil.rmtree(copy / "extensions"),
            "no file *.schema.json",
        ),
        (lambda copy: (copy / "components" / "x.schema.json").write_text("{"), "x.schema.json cannot be read as JSON"),
        (lambda copy: (copy / "components" / "x.schema.json").write_text("{}"), "x.schema.json has no $id"),
        (
            lambda copy: (copy / "components" / "x.schema.json").write_text(json.dumps({"$id": VESSEL})),
            f"has the $id {VESSEL}, which another file has, too",
        ),
    ],
)
def test_a_folder_that_is_no_copy_is_refused(tmp_path, change, says):
    copy = shutil.copytree(COPY, tmp_path / "copy")
    change(copy)
    with pytest.raises(SystemExit) as caught:
        main(["--port", "0", "--xdm", str(copy)])
    assert says in str(caught.value)


def test_parts_that_a_copy_lacks_are_listed(tmp_path):
    copy = shutil.copytree(COPY, tmp_path / "copy")
    (copy / "components" / "datatypes" / "berth.schema.json").unlink()
    assert xdm.library(copy).missing() == [f"{XDM}datatypes/berth"]


def test_the_kind_of_a_part_follows_its_folder_or_its_members():
    assert {kind: len(parts) for kind, parts in read_parts(COPY).items()} == {
        "behaviors": 0, "classes": 1, "fieldgroups": 2, "datatypes": 2,
    }  # fmt: skip
