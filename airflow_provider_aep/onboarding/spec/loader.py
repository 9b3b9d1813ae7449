"""Load onboarding files: defaults of the folder, then the file, then the overlay of an environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from aep_data_prep.errors import nearest
from airflow_provider_aep.onboarding.spec.models import Environment, Folder, Onboarding
from airflow_provider_aep.onboarding.spec.yaml_source import (
    Document,
    KeyPath,
    Position,
    Problem,
    problem_at,
    read_documents,
)

FOLDER_FILE = "aep.yaml"
"""Name of the file with the environments and the defaults of a folder."""

_NEVER_IN_AN_OVERLAY = ("version", "onboarding", "environments", "only")


@dataclass(frozen=True)
class Loaded:
    """One onboarding as an environment has it.

    :param document: of the file
    :param environment: the environment, and its name; ``None`` without one
    :param origins: position of each value by path
    """

    spec: Onboarding
    document: Document
    env: str | None
    environment: Environment | None
    data: dict[str, Any] = field(repr=False)
    origins: Mapping[KeyPath, Position] = field(repr=False)

    def problem(self, path: KeyPath, message: str, grade: str = "error") -> Problem:
        """Return a problem at a path, wherever its value comes from."""
        return problem_at(self.origins, self.document.file, path, message, grade)


def onboarding_files(paths: Iterable[Path]) -> list[Path]:
    """Return the onboarding files of paths; a folder stands for its files ``*.yaml`` and ``*.yml``."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            files = sorted(f for f in path.rglob("*") if f.suffix in {".yaml", ".yml"} and f.name != FOLDER_FILE)
            found += files
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def load(paths: Sequence[Path], env: str | None = None) -> tuple[list[Loaded], list[Problem]]:
    """Return the onboardings of files and folders as an environment has them, and all problems of all files.

    :param env: name of the environment; ``None`` for the files without an overlay
    """
    loaded: list[Loaded] = []
    problems: list[Problem] = []
    folders: dict[Path, tuple[Document, Folder] | None] = {}
    files = onboarding_files(paths)
    if not files:
        problems.append(Problem(", ".join(map(str, paths)), 1, 1, "", "There is no onboarding file *.yaml."))
    for file in files:
        above = _folder_file(file)
        if above is not None and above not in folders:
            folders[above] = _folder(above, problems)
        documents, found = read_documents(file)
        problems += found
        if found:
            continue
        for document in documents:
            folder = folders[above] if above is not None else None
            one = _load_document(document, folder, env, problems)
            if one is not None:
                loaded.append(one)
            known = folder[1].environments if folder else {}
            for name in () if env else _overlays(document):  # their mistakes, too
                if not known or name in known:
                    _load_document(document, folder, name, problems)
    names: dict[str, Loaded] = {}
    for one in loaded:
        if (other := names.setdefault(one.spec.onboarding, one)) is not one:
            where = f"{other.document.file}:{other.origins[('onboarding',)][1]}"
            problems.append(
                one.problem(("onboarding",), f"{where} has an onboarding of this name, too. Choose another.")
            )
    return loaded, sorted({*problems})


def _folder_file(file: Path) -> Path | None:
    """Return the nearest ``aep.yaml``: of the folder of a file, or of a folder above it."""
    above = (folder / FOLDER_FILE for folder in file.absolute().parents)
    found = next((candidate for candidate in above if candidate.is_file()), None)
    # Problems name a file as the caller wrote its path.
    return file.parent / FOLDER_FILE if found and found.parent == file.absolute().parent else found


def _overlays(document: Document) -> list[str]:
    overlays = document.data.get("environments")
    return list(overlays) if isinstance(overlays, Mapping) else []


def _folder(file: Path, problems: list[Problem]) -> tuple[Document, Folder] | None:
    documents, found = read_documents(file)
    problems += found
    if found:
        return None
    if len(documents) != 1:
        problems.append(documents[1].problem((), f"{FOLDER_FILE} has one document. Remove the others."))
        return None
    for key in _NEVER_IN_AN_OVERLAY:
        defaults = documents[0].data.get("defaults")
        if isinstance(defaults, Mapping) and key in defaults:
            problems.append(documents[0].problem(("defaults", key), "There is no default of this key."))
    model = _validated(Folder, documents[0].data, documents[0].problem, problems)
    return (documents[0], model) if model else None


def _load_document(
    document: Document, folder: tuple[Document, Folder] | None, env: str | None, problems: list[Problem]
) -> Loaded | None:
    data: dict[str, Any] = {}
    origins: dict[KeyPath, Position] = {}
    if folder:
        _merge(data, origins, folder[0], ("defaults",), folder[1].defaults)
    _merge(data, origins, document, (), document.data)
    only = document.data.get("only")
    if env and isinstance(only, list) and env not in only:
        return None
    overlays = document.data.get("environments")
    overlay = overlays.get(env) if env and isinstance(overlays, Mapping) else None
    if isinstance(overlay, Mapping) and env:
        for key in _NEVER_IN_AN_OVERLAY:
            if key in overlay:
                message = "An overlay cannot change this key."
                problems.append(document.problem(("environments", env, key), message))
        _merge(data, origins, document, ("environments", env), overlay)
    environment = _environment(document, folder, env, problems)
    before = len(problems)
    problem = partial(problem_at, origins, document.file)
    model = _validated(Onboarding, data, problem, problems)
    if folder and model:
        for name in (*model.environments, *(model.only or ())):
            if folder[1].environments and name not in folder[1].environments:
                path: KeyPath = ("environments", name) if name in model.environments else ("only",)
                problems.append(problem(path, f"{FOLDER_FILE} has no environment {name!r}."))
    if model is None or len(problems) > before:
        return None
    return Loaded(model, document, env, environment, data, origins)


def _environment(
    document: Document, folder: tuple[Document, Folder] | None, env: str | None, problems: list[Problem]
) -> Environment | None:
    if not env:
        return None
    if folder is None or not folder[1].environments:
        return Environment(connection=f"aep_{env}")
    if env not in folder[1].environments:
        near = nearest(env, folder[1].environments)
        hint = f" Did you mean {near!r}?" if near else f" It has {', '.join(folder[1].environments)}."
        problems.append(folder[0].problem(("environments",), f"There is no environment {env!r}.{hint}"))
        return None
    return folder[1].environments[env]


def _merge(
    into: dict[str, Any],
    origins: dict[KeyPath, Position],
    document: Document,
    prefix: KeyPath,
    data: Mapping[str, Any],
    path: KeyPath = (),
) -> None:
    """Merge mappings into others; lists and plain values replace."""
    for key, value in data.items():
        at = (*path, key)
        if isinstance(value, Mapping) and isinstance(into.get(key), dict) and path != ("mappings",):
            _note(origins, document, prefix, at)
            _merge(into[key], origins, document, prefix, value, at)
            continue
        for old in [p for p in origins if p[: len(at)] == at]:
            del origins[old]
        into[key] = _copied(value)
        for known in document.positions:
            if known[: len(prefix)] == prefix and known[len(prefix) :][: len(at)] == at:
                _note(origins, document, prefix, known[len(prefix) :])


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _note(origins: dict[KeyPath, Position], document: Document, prefix: KeyPath, path: KeyPath) -> None:
    origins[path] = document.positions.get((*prefix, *path), (str(document.file), 1, 1))


def _validated(model: type[Any], data: Mapping[str, Any], problem: Any, problems: list[Problem]) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as e:
        for error in e.errors(include_url=False, include_input=True):
            path, message = _explained(model, data, error)
            problems.append(problem(path, message))
        return None


def _explained(model: type[BaseModel], data: Any, error: Any) -> tuple[KeyPath, str]:
    """Return the path in the file, and the message, of an error of pydantic."""
    path: list[str | int] = []
    node, owner = data, model
    for step in error["loc"]:
        if _has(node, step):
            path.append(step)
            node = node[step]
        elif error["type"] == "missing" and step == error["loc"][-1]:
            path.append(step)
        # All other steps name a model of a union, and are no keys of the file.
    kind = error["type"]
    context = error.get("ctx") or {}
    if kind == "extra_forbidden":
        known = _keys(owner, path[:-1])
        near = nearest(str(path[-1]), known)
        hint = f" Did you mean {near!r}?" if near else f" Use one of {', '.join(sorted(known))}."
        return tuple(path), f"There is no such key.{hint}"
    if kind == "missing":
        return tuple(path), "The key is missing."
    if kind == "literal_error":
        return tuple(path), f"{error['input']!r} is not one of {context.get('expected')}."
    if kind == "value_error":
        return tuple(path), f"{error['input']!r}: {context.get('error')}."
    return tuple(path), f"{error['input']!r}: {error['msg']}."


def _has(node: Any, step: str | int) -> bool:
    if isinstance(node, list):
        return isinstance(step, int) and step < len(node)
    return isinstance(node, Mapping) and step in node


def _keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Return the keys that the mapping at a path may have."""
    node: Any = model
    for step in path:
        fields = {f.alias or name: f for name, f in node.model_fields.items()} if hasattr(node, "model_fields") else {}
        annotation = fields[str(step)].annotation if str(step) in fields else node
        node = _model_in(annotation) or node
    return [f.alias or name for name, f in node.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _model_in(inner):
            return found
    return None
