"""Draw Mermaid diagrams as SVG while the site is built, so that a page loads no script.

It understands the part of Mermaid that the pages use:

- ``flowchart LR`` or ``flowchart TD`` with nodes, edges and edge labels;
- ``sequenceDiagram`` with participants, messages, lost messages (``-x``) and notes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

CHARACTER, LINE = 7.0, 17.0  # pixels of a character's mean width, and of a line's height
PADDING = 12.0
BREAK = re.compile(r"<br\s*/?>")
NODE = re.compile(r'(?P<id>\w+)(?:[\[({]{1,2}"?(?P<label>[^"\])}]+)"?[\])}]{1,2})?')
EDGE = re.compile(r"\s*--+>\s*(?:\|\"?(?P<label>[^|\"]+)\"?\|\s*)?")
MESSAGE = re.compile(r"(?P<source>\w+)\s*(?P<arrow>-+>>|-+x)\s*(?P<target>\w+)\s*:\s*(?P<text>.+)")
PARTICIPANT = re.compile(r"participant\s+(?P<id>\w+)(?:\s+as\s+(?P<label>.+))?")
NOTE = re.compile(r"[Nn]ote\s+over\s+(?P<ids>[\w, ]+)\s*:\s*(?P<text>.+)")


class DiagramError(Exception):
    """A line of a diagram is not understood."""


@dataclass
class Box:
    """A node with its lines of text, its size and, after the layout, its centre."""

    lines: list[str]
    x: float = 0.0
    y: float = 0.0
    is_bend: bool = False  # a straight part of an edge that passes a rank, without text
    bend: tuple[float, float] = (0.0, 0.0)  # width and height of that part

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.bend[0] if self.is_bend else max(len(line) for line in self.lines) * CHARACTER + 2 * PADDING

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.bend[1] if self.is_bend else len(self.lines) * LINE + PADDING


@dataclass
class Graph:
    """A flowchart."""

    is_horizontal: bool
    boxes: dict[str, Box] = field(default_factory=dict)
    edges: list[tuple[str, str, str]] = field(default_factory=list)  # source, target, label


def parse_flowchart(text: str) -> Graph:
    """Parse a flowchart.

    :raises DiagramError: a line is not understood.
    """
    first, *rest = [line.strip() for line in text.splitlines() if line.strip()]
    graph = Graph(is_horizontal=first.split()[-1] == "LR")
    for line in rest:
        position, previous, label = 0, "", ""
        while match := NODE.match(line, position):
            name = match["id"]
            if match["label"] or name not in graph.boxes:
                graph.boxes[name] = Box(BREAK.split(match["label"] or name))
            if previous:
                graph.edges.append((previous, name, label))
            previous, position = name, match.end()
            if not (edge := EDGE.match(line, position)):
                break
            label, position = edge["label"] or "", edge.end()
        if position != len(line):
            raise DiagramError(f"cannot read {line!r}")
    return graph


def lay_out(graph: Graph) -> list[list[str]]:
    """Place the boxes in ranks, and route edges that pass a rank around its boxes."""
    rank = dict.fromkeys(graph.boxes, 0)
    for _ in graph.boxes:
        for source, target, _label in graph.edges:
            rank[target] = max(rank[target], rank[source] + 1)
    ranks: list[list[str]] = [[] for _ in range(max(rank.values()) + 1)]
    for name, number in rank.items():
        ranks[number].append(name)
    neighbours: dict[str, list[str]] = {name: [] for name in graph.boxes}
    for source, target, label in list(graph.edges):
        chain = [source]
        for number in range(rank[source] + 1, rank[target]):
            bend = f"{source}>{target}>{number}"
            graph.boxes[bend] = Box([""], is_bend=True)
            neighbours[bend] = []
            ranks[number].append(bend)
            chain.append(bend)
        chain.append(target)
        for before, after in pairwise(chain):
            neighbours[before].append(after)
            neighbours[after].append(before)
        if len(chain) > 2:
            graph.edges.remove((source, target, label))
            graph.edges += [(a, b, label if a == source else "") for a, b in pairwise(chain)]
    for sweep in range(8):
        for names in ranks if sweep % 2 == 0 else reversed(ranks):
            place = {name: index / len(other) for other in ranks for index, name in enumerate(other)}
            names.sort(key=lambda name: sum(place[n] for n in neighbours[name]) / max(1, len(neighbours[name])))
    _set_positions(graph, ranks, neighbours)
    return ranks


def _set_positions(graph: Graph, ranks: list[list[str]], neighbours: dict[str, list[str]]) -> None:
    labels = max((len(label) for *_, label in graph.edges), default=0) * 6.5
    gap_along = (labels + 30 if labels else 46) if graph.is_horizontal else (52 if labels else 40)
    gap_across = 18 if graph.is_horizontal else 26
    along = 0.0
    for names in ranks:
        boxes = [graph.boxes[name] for name in names]
        depth = max(box.width if graph.is_horizontal else box.height for box in boxes)
        across = 0.0
        for box in boxes:
            box.bend = (depth, 0.0) if graph.is_horizontal else (0.0, depth)
            size = box.height if graph.is_horizontal else box.width
            centre = (along + depth / 2, across + size / 2)
            box.x, box.y = centre if graph.is_horizontal else centre[::-1]
            across += size + gap_across
        along += depth + gap_along
    axis = "y" if graph.is_horizontal else "x"
    for sweep in range(30):  # pull each box towards its neighbours, and keep the distance within a rank
        for names in ranks if sweep % 2 == 0 else reversed(ranks):
            boxes = [graph.boxes[name] for name in names]
            wishes = [
                sum(getattr(graph.boxes[n], axis) for n in neighbours[name]) / len(neighbours[name])
                if neighbours[name]
                else getattr(graph.boxes[name], axis)
                for name in names
            ]
            sizes = [box.height if graph.is_horizontal else box.width for box in boxes]
            places = list(wishes)
            for index in range(1, len(places)):
                minimum = places[index - 1] + (sizes[index - 1] + sizes[index]) / 2 + gap_across
                places[index] = max(places[index], minimum)
            shift = sum(p - w for p, w in zip(places, wishes, strict=True)) / len(places)
            for box, place in zip(boxes, places, strict=True):
                setattr(box, axis, place - shift)
    boxes = list(graph.boxes.values())
    left, top = min(b.x - b.width / 2 for b in boxes) - 4, min(b.y - b.height / 2 for b in boxes) - 4
    for box in boxes:
        box.x, box.y = box.x - left, box.y - top


def draw_flowchart(text: str) -> str:
    """Return the SVG of a flowchart."""
    graph = parse_flowchart(text)
    lay_out(graph)
    shapes, labels = [], []
    for source, target, label in graph.edges:
        a, b = graph.boxes[source], graph.boxes[target]
        head = "" if b.is_bend else ' marker-end="url(#arrow)"'
        if graph.is_horizontal:
            x1, y1, x2, y2 = a.x + a.width / 2, a.y, b.x - b.width / 2 - (0 if b.is_bend else 2), b.y
            middle = (x1 + x2) / 2
            curve = f"M{x1:.1f},{y1:.1f} C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
        else:
            x1, y1, x2, y2 = a.x, a.y + a.height / 2, b.x, b.y - b.height / 2 - (0 if b.is_bend else 2)
            middle = (y1 + y2) / 2
            curve = f"M{x1:.1f},{y1:.1f} C{x1:.1f},{middle:.1f} {x2:.1f},{middle:.1f} {x2:.1f},{y2:.1f}"
        shapes.append(f'<path class="line" d="{curve}"{head}/>')
        if label:
            labels.append(_label(label, (x1 + x2) / 2, (y1 + y2) / 2))
    for box in graph.boxes.values():
        if box.is_bend:
            x, y = box.x - box.width / 2, box.y - box.height / 2
            shapes.append(f'<path class="line" d="M{x:.1f},{y:.1f} l{box.width:.1f},{box.height:.1f}"/>')
        else:
            shapes.append(_box(box))
    boxes = graph.boxes.values()
    width = max(b.x + b.width / 2 for b in boxes) + 4
    height = max(b.y + b.height / 2 for b in boxes) + 4
    return _svg(width, height, shapes + labels)


def draw_sequence(text: str) -> str:
    """Return the SVG of a sequence diagram.

    :raises DiagramError: a line is not understood.
    """
    people: dict[str, Box] = {}
    steps: list[re.Match[str]] = []
    for line in [line.strip() for line in text.splitlines() if line.strip()][1:]:
        if match := PARTICIPANT.fullmatch(line):
            people[match["id"]] = Box(BREAK.split(match["label"] or match["id"]))
        elif match := NOTE.fullmatch(line) or MESSAGE.fullmatch(line):
            steps.append(match)
        else:
            raise DiagramError(f"cannot read {line!r}")
    longest = max(max(len(part) for part in BREAK.split(step["text"])) for step in steps)
    distance = max(longest * 6.6 + 30, *(box.width + 20 for box in people.values()))
    for index, box in enumerate(people.values()):
        box.x, box.y = 90 + index * distance, 20
    y, shapes = 50.0, []
    for step in steps:
        lines = BREAK.split(step["text"])
        if step.re is NOTE:
            xs = [people[name.strip()].x for name in step["ids"].split(",")]
            width = max(len(line) for line in lines) * 6.6 + 20 + (max(xs) - min(xs)) * 0
            middle, height = (min(xs) + max(xs)) / 2, len(lines) * LINE + 8
            shapes.append(
                f'<rect class="halo" x="{middle - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}"/>'
                f'<rect class="note" x="{middle - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}"/>'
                + _lines(lines, middle, y + height / 2, "label")
            )
            y += height + 14
        else:
            a, b = people[step["source"]].x, people[step["target"]].x
            y += len(lines) * LINE
            is_lost = step["arrow"].endswith("x")
            end = b + (1 if a > b else -1) * (distance * 0.35 if is_lost else 2)
            style = "line lost" if is_lost else "line"
            head = "" if is_lost else ' marker-end="url(#arrow)"'
            shapes.append(f'<path class="{style}" d="M{a:.1f},{y:.1f} L{end:.1f},{y:.1f}"{head}/>')
            if is_lost:
                shapes.append(f'<path class="line lost" d="M{end - 5},{y - 5} l10,10 M{end - 5},{y + 5} l10,-10"/>')
            shapes.append(_lines(lines, (a + b) / 2, y - len(lines) * LINE / 2 - 2, "label"))
            y += 16
    life = [f'<path class="line" d="M{b.x},36 L{b.x},{y:.1f}" stroke-opacity=".35"/>' for b in people.values()]
    width = 90 * 2 + (len(people) - 1) * distance
    return _svg(width, y + 6, [*life, *map(_box, people.values()), *shapes])


def _box(box: Box) -> str:
    x, y = box.x - box.width / 2, box.y - box.height / 2
    rect = f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="5"/>'
    return rect + _lines(box.lines, box.x, box.y, "")


def _label(text: str, x: float, y: float) -> str:
    width = len(text) * 6.5 + 6
    halo = f'<rect class="halo" x="{x - width / 2:.1f}" y="{y - 9:.1f}" width="{width:.1f}" height="18"/>'
    return halo + _lines([text], x, y, "label")


def _lines(lines: list[str], x: float, y: float, style: str) -> str:
    first = y - (len(lines) - 1) * LINE / 2 + 4.5
    rows = [
        f'<text class="{style}" x="{x:.1f}" y="{first + index * LINE:.1f}" text-anchor="middle">{escape(line)}</text>'
        for index, line in enumerate(lines)
    ]
    return "".join(rows)


def _svg(width: float, height: float, shapes: list[str]) -> str:
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        '<path class="head" d="M0,1 L10,5 L0,9 z"/></marker></defs>'
    )
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>{arrow}{"".join(shapes)}</svg>'


def draw(text: str) -> str:
    """Return the SVG of a diagram.

    :raises DiagramError: the kind of the diagram, or one of its lines, is not understood.
    """
    kind = text.split(maxsplit=1)[0]
    if kind not in {"flowchart", "sequenceDiagram"}:
        raise DiagramError(f"no diagram begins with {kind!r}")
    return draw_flowchart(text) if kind == "flowchart" else draw_sequence(text)


def drawing_nodes(text: str) -> list[nodes.Node]:
    """Return a diagram as a node of a page.

    :raises DiagramError: as :func:`draw`.
    """
    return [nodes.raw("", f'<div class="diagram">{draw(text)}</div>', format="html")]


class Mermaid(SphinxDirective):
    """Draw the diagram that is the directive's content."""

    has_content: ClassVar[bool] = True

    def run(self) -> list[nodes.Node]:
        """Return the SVG as HTML."""
        try:
            return drawing_nodes("\n".join(self.content))
        except DiagramError as e:
            raise self.error(str(e)) from e


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("mermaid", Mermaid)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
