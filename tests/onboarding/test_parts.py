"""Names of classes and field groups: ``$id``, ``meta:altId``, title, and Adobe's short names."""

import pytest
from chain import CONTEXT

from airflow_provider_aep.client.errors import AepConfigurationError, AepNotFoundError
from airflow_provider_aep.onboarding import build
from airflow_provider_aep.onboarding.reconcile.act import reconcile
from airflow_provider_aep.onboarding.resources import CLASS, FIELD_GROUP, SCHEMA
from airflow_provider_aep.onboarding.xdm.parts import part_ids, standard_parts

PERSON = f"{CONTEXT}profile-person-details"


@pytest.fixture
def own(virtual):
    """A custom class and a custom field group."""
    class_ = reconcile(virtual, CLASS, build.xdm_class(virtual, title="Ticket")).id
    state = build.field_group(virtual, title="Ticket fields", fields={"no": "string"}, classes=[class_])
    return class_, reconcile(virtual, FIELD_GROUP, state).id


@pytest.mark.parametrize(
    "name", [PERSON, "_xdm.context.profile-person-details", "Demographic Details", "profile-person-details"]
)
def test_a_standard_field_group_has_four_names(aep, name):
    assert part_ids(aep, "fieldgroups", [name], "field_groups") == (PERSON,)


@pytest.mark.parametrize("kind", ["$id", "meta:altId", "title"])
def test_a_field_group_of_the_customer_has_three_names(virtual, own, kind):
    _, id_ = own
    alt_id = "_" + id_.removeprefix("https://ns.adobe.com/").replace("/", ".")
    name = {"$id": id_, "meta:altId": alt_id, "title": "Ticket fields"}[kind]
    assert part_ids(virtual, "fieldgroups", [name], "field_groups") == (id_,)


def test_ids_and_short_names_need_no_request(emulator, aep, own):
    before = len(emulator.requests())
    names = [PERSON, "experienceevent-web", own[1]]
    assert part_ids(aep, "fieldgroups", names, "field_groups")[1] == f"{CONTEXT}experienceevent-web"
    assert len(emulator.requests()) == before


def test_the_title_of_an_object_that_is_not_listed_yet_is_found(emulator, virtual):
    emulator.fault("GET */tenant/fieldgroups", "lag", seconds=2)
    state = build.field_group(virtual, title="Late", fields={"no": "string"}, classes="profile")
    id_ = reconcile(virtual, FIELD_GROUP, state).id
    assert part_ids(virtual, "fieldgroups", ["Late"], "field_groups") == (id_,)
    assert sum(virtual.clock.slept) > 0


def test_all_unknown_names_are_listed_with_the_nearest(virtual):
    with pytest.raises(AepConfigurationError) as caught:
        part_ids(virtual, "fieldgroups", ["profile-persn-details", "Nothing", PERSON], "field_groups")
    assert "is named 'profile-persn-details'. Did you mean 'profile-person-details'?" in str(caught.value)
    assert "is named 'Nothing'" in str(caught.value)


def test_a_part_of_two_names_counts_once(aep):
    assert part_ids(aep, "fieldgroups", ["profile-person-details", PERSON], "field_groups") == (PERSON,)


def test_all_that_is_wrong_with_a_field_group_is_said_at_once(virtual):
    with pytest.raises(AepConfigurationError) as caught:
        build.field_group(virtual, title="G", fields={"a b": "string"}, classes=["profil", "_xdm.context.nope", "nope"])
    for part in ("'a b' is no name", "'profil'. Did you mean 'profile'?", "'_xdm.context.nope'", "'nope'"):
        assert part in str(caught.value)


@pytest.mark.parametrize("classes", [[PERSON], ["https://ns.adobe.com/xdm/context/nope"]])
def test_the_class_of_a_field_group_is_a_class(emulator, virtual, classes):
    state = build.field_group(virtual, title="G", fields={"a": "string"}, classes=classes)
    with pytest.raises(AepNotFoundError):
        reconcile(virtual, FIELD_GROUP, state)
    assert emulator.writes() == []
    with pytest.raises(AepConfigurationError, match="classes is empty"):
        build.field_group(virtual, title="G", fields={"a": "string"}, classes=[])


def test_a_short_name_of_adobe_is_no_title(virtual):
    with pytest.raises(AepConfigurationError, match="title is 'product', which is the short name"):
        build.xdm_class(virtual, title="product")


def test_a_class_that_is_none_is_refused_before_the_first_write(emulator, virtual):
    state = build.schema(virtual, title="S", class_id=PERSON, field_groups=[])
    with pytest.raises(Exception, match="There is no object .*profile-person-details in global classes"):
        reconcile(virtual, SCHEMA, state)
    assert emulator.writes() == []


def test_a_schema_of_a_class_and_a_field_group_of_the_customer(aep, own):
    state = build.schema(aep, title="Tickets", class_id="Ticket", field_groups=["Ticket fields", "identitymap"])
    made = reconcile(aep, SCHEMA, state)
    assert made.action == "created"
    assert reconcile(aep, SCHEMA, state).action == "unchanged"


def test_short_names_are_the_names_of_adobes_files():
    assert standard_parts("classes")["experienceevent"] == f"{CONTEXT}experienceevent"
    assert len(standard_parts("fieldgroups")) > 200
