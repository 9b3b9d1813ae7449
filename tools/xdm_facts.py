"""Write the emulator's data file of Adobe's standard XDM parts from a copy of Adobe's public XDM repository.

``python tools/xdm_facts.py DIR > emulator/aep_emulator/data/xdm.json``, and with ``--names`` the provider's table of
short names. The files hold facts only: ids, titles of parts, and names, types, formats and values of fields.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from aep_emulator.data.xdm_files import read_parts, references

PARTS = {
    "classes": "profile experienceevent product account opportunity",
    "fieldgroups": (
        "identitymap segmentation profile-person-details profile-personal-details profile-work-details "
        "profile-loyalty-details profile-consents profile-preferences-details prospect-details-partner-sample "
        "profile-personal-finance-details profile-user-account-details experienceevent-commerce experienceevent-web "
        "experienceevent-channel experienceevent-environment-details experienceevent-implementation-details "
        "experienceevent-enduserids experienceevent-order-details experienceevent-support-request "
        "experienceevent-support-site-search"
    ),
}
"""Short names of the parts that the emulator has; the data types that they refer to follow."""

_TEXTS = {"title", "description", "default", "meta:status", "meta:createdDate", "meta:tags", "meta:usereditable"}


def short_names(folder: Path, kind: str) -> dict[str, str]:
    """Return the ``$id`` of the parts of a kind by the name of their file, without its ending."""
    files = sorted((folder / "components" / kind).rglob("*.schema.json"))
    return {f.name.removesuffix(".schema.json"): json.loads(f.read_text(encoding="utf-8"))["$id"] for f in files}


def facts(node: Any) -> Any:
    """Return a part without texts for readers."""
    if isinstance(node, list):
        return [facts(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {k: facts(v) for k, v in node.items() if k not in _TEXTS or isinstance(v, dict)}
    for key in ("properties", "definitions", "patternProperties"):
        if isinstance(node.get(key), dict):  # names of fields, which may be those of texts
            found[key] = {name: facts(field) for name, field in node[key].items()}
    return found


def main() -> None:
    """Print one of the two files."""
    folder = Path(sys.argv[1])
    if "--names" in sys.argv:
        print(json.dumps({kind: short_names(folder, kind) for kind in PARTS}, indent=1, sort_keys=True))
        return
    everything = read_parts(folder)
    kinds = {id_: kind for kind, parts in everything.items() for id_ in parts}
    todo = [short_names(folder, kind)[name] for kind, names in PARTS.items() for name in names.split()]
    wanted: set[str] = set()
    while todo:
        id_ = todo.pop().partition("#")[0]
        if id_ and id_ not in wanted:
            wanted.add(id_)
            todo += references(everything[kinds[id_]][id_])
    result: dict[str, dict[str, Any]] = {kind: {} for kind in everything}
    for id_ in sorted(wanted):
        part = everything[kinds[id_]][id_]
        result[kinds[id_]][id_] = {"title": part.get("title", ""), **facts(part)}
    print(json.dumps(result, separators=(",", ":")).replace('},"https:', '},\n"https:'))


if __name__ == "__main__":
    main()
