"use strict";
// All values come from API clients: they are set as text, never as markup.

const byId = (id) => document.getElementById(id);
const NAMES = {
  connections: "base connections",
  sourceConnections: "source connections",
  schemas: "schemas",
  dataSets: "datasets",
  targetConnections: "target connections",
  mappingSets: "mapping sets",
  flows: "flows",
  runs: "runs",
};
const KIND = {
  connections: "base connection",
  sourceConnections: "source connection",
  schemas: "schema",
  dataSets: "dataset",
  targetConnections: "target connection",
  mappingSets: "mapping set",
  flows: "flow",
};

let state = null;
let sandbox = "";

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

function draw(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const short = (text, size) => (text.length > size ? text.slice(0, size - 1) + "…" : text);
const time = (ms) => (Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString().slice(0, 19).replace("T", " ") : "?");
const number = (n) => (n === -1 || n === undefined || n === null ? "?" : n.toLocaleString("en"));

function outcome(run) {
  const status = run.status.toLowerCase().replace(/[^a-z]/g, "");
  const records = run.records;
  if (["scheduled", "inprogress", "queued", "pending"].includes(status)) return ["warn", run.status];
  if (["failed", "failure"].includes(status)) return ["bad", "failed"];
  if (status.startsWith("partial") || (records && records.failedRecordCount > 0)) return ["warn", "partial"];
  return ["good", run.status];
}

// -- the graph of one onboarding: columns from the source on the left to the schema on the right ---------------------

const WIDTH = 190, HEIGHT = 44, GAP_X = 46, GAP_Y = 14;

function graph(flow, objects) {
  const columns = [[], [], [], [], []];
  const edges = [];
  const place = (column, id, from) => {
    if (!id) return;
    const kind = objects.kinds.get(id);
    const node = { id, kind, object: objects.all.get(id) };
    if (!columns[column].some((n) => n.id === id)) columns[column].push(node);
    if (from) edges.push([from, id]);
  };
  columns[2].push({ id: flow.id, kind: "flows", object: flow });
  for (const id of flow.needs) {
    const kind = objects.kinds.get(id);
    if (kind === "sourceConnections") place(1, id, flow.id);
    else place(3, id, flow.id);
  }
  for (const node of columns[1]) for (const id of node.object ? node.object.needs : []) place(0, id, node.id);
  for (const node of [...columns[3]]) {
    for (const id of node.object ? node.object.needs : []) {
      const kind = objects.kinds.get(id);
      if (kind === "schemas") place(4, id, node.id);
      else place(4, id, node.id);
    }
  }
  for (const node of [...columns[4]]) {
    if (node.kind !== "dataSets" || !node.object) continue;
    for (const id of node.object.needs) place(4, id, node.id);
  }
  const rows = Math.max(...columns.map((c) => c.length));
  const height = rows * (HEIGHT + GAP_Y) + 4;
  const width = 5 * WIDTH + 4 * GAP_X + 26;
  const svg = draw("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Objects of the flow ${flow.name}`,
  });
  const at = new Map();
  columns.forEach((column, x) => {
    const top = (height - column.length * (HEIGHT + GAP_Y) + GAP_Y) / 2;
    column.forEach((node, y) => at.set(node.id, [1 + x * (WIDTH + GAP_X), top + y * (HEIGHT + GAP_Y)]));
  });
  for (const [from, to] of edges) {
    const [a, b] = [at.get(from), at.get(to)];
    if (a[0] === b[0]) {
      const x = a[0] + WIDTH, [y1, y2] = [a[1] + HEIGHT / 2, b[1] + HEIGHT / 2];
      svg.append(draw("path", { class: "edge", d: `M${x} ${y1} C${x + 22} ${y1} ${x + 22} ${y2} ${x} ${y2}` }));
      continue;
    }
    const right = b[0] > a[0];
    const [x1, x2] = right ? [a[0] + WIDTH, b[0]] : [a[0], b[0] + WIDTH];
    const [y1, y2] = [a[1] + HEIGHT / 2, b[1] + HEIGHT / 2];
    const middle = (x1 + x2) / 2;
    svg.append(draw("path", { class: "edge", d: `M${x1} ${y1} C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}` }));
  }
  for (const column of columns)
    for (const node of column) {
      const [x, y] = at.get(node.id);
      const group = draw("g", {});
      const name = node.object ? node.object.name || "(no name)" : "gone";
      group.append(
        draw("title", {}, `${KIND[node.kind] || "object"} ${name}\n${node.id}`),
        draw("rect", { class: node.object ? "box" : "box gone", x, y, width: WIDTH, height: HEIGHT, rx: 7 }),
        draw("text", { class: "kind", x: x + 10, y: y + 16 }, `${KIND[node.kind] || "gone"}${stateOf(node)}`),
        draw("text", { x: x + 10, y: y + 33 }, short(name, 25)),
      );
      svg.append(group);
    }
  return svg;
}

const stateOf = (node) =>
  node.object && node.object.state && node.object.state !== "enabled" ? ` · ${node.object.state}` : "";

// -- runs and counts over time ---------------------------------------------------------------------------------------

function chart(runs) {
  const shown = runs.slice(0, 60).reverse();
  const [width, height, bottom] = [Math.max(shown.length * 16 + 80, 240), 84, 66];
  const viewBox = `0 0 ${width + 150} ${height}`;
  const svg = draw("svg", { width: width + 150, height, viewBox, role: "img", "aria-label": "Records by run" });
  const total = (r) => (r.records ? Math.max(r.records.outputRecordCount, 0) + Math.max(r.records.failedRecordCount, 0) : 0);
  const most = Math.max(1, ...shown.map(total));
  svg.append(
    draw("line", { class: "axis", x1: 60, y1: bottom, x2: width, y2: bottom }),
    draw("text", { class: "kind", x: 54, y: 14, "text-anchor": "end" }, number(most)),
    draw("text", { class: "kind", x: 54, y: bottom + 3, "text-anchor": "end" }, "0"),
  );
  ["written", "failed"].forEach((name, i) =>
    svg.append(
      draw("rect", { class: name, x: width + 16, y: 10 + i * 18, width: 10, height: 10 }),
      draw("text", { class: "kind", x: width + 32, y: 19 + i * 18 }, `records ${name}`),
    ),
  );
  shown.forEach((run, i) => {
    const x = 66 + i * 16;
    const records = run.records || { outputRecordCount: 0, failedRecordCount: 0 };
    const scale = (n) => (Math.max(n, 0) / most) * 56;
    const written = records.outputRecordCount > 0 ? Math.max(scale(records.outputRecordCount), 2) : 0;
    const failed = records.failedRecordCount > 0 ? Math.max(scale(records.failedRecordCount), 2) : 0;
    const bar = draw("g", {});
    bar.append(
      draw("title", {}, `${time(run.createdAt)} ${outcome(run)[1]}: read ${number(records.inputRecordCount)}, ` +
        `written ${number(records.outputRecordCount)}, failed ${number(records.failedRecordCount)}\n${run.id}`),
      draw("rect", { class: "written", x, y: bottom - written, width: 11, height: written }),
      draw("rect", { class: "failed", x, y: bottom - written - failed, width: 11, height: failed }),
    );
    const open = outcome(run)[0];
    if (!written && !failed)
      bar.append(draw("rect", { class: open === "bad" ? "failed" : open === "warn" ? "open" : "written", x, y: bottom - 2, width: 11, height: 2 }));
    svg.append(bar);
  });
  if (shown.length) {
    svg.append(
      draw("text", { class: "kind", x: 62, y: bottom + 15 }, time(shown[0].createdAt)),
    );
    if (shown.length > 18)
      svg.append(draw("text", { class: "kind", x: 66 + shown.length * 16, y: bottom + 15, "text-anchor": "end" }, time(shown.at(-1).createdAt)));
  }
  return svg;
}

function schedule(params) {
  const start = time(Number(params.startTime) * 1000);
  return params.frequency === "once" ? `once at ${start}` : `every ${params.interval} ${params.frequency} from ${start}`;
}

function onboarding(flow, objects, runs) {
  const last = runs[0];
  const head = make("h3", {}, flow.name, tag(flow.state, flow.state === "enabled" ? "good" : "warn"));
  head.append(make("span", { class: "quiet" }, schedule(flow.schedule)));
  if (last) {
    const [kind, word] = outcome(last);
    const records = last.records;
    const counts = records ? `: ${number(records.outputRecordCount)} written, ${number(records.failedRecordCount)} failed` : "";
    head.append(make("span", { class: kind }, `last run ${word}${counts}`));
  } else if (flow.lastRun) head.append(make("span", { class: "quiet" }, `last run ${flow.lastRun.state}, not shown`));
  else head.append(make("span", { class: "quiet" }, "no run yet"));
  return make("article", {}, head, graph(flow, objects), runs.length ? chart(runs) : null);
}

const tag = (text, kind) => make("span", { class: `state ${kind}` }, text);

// -- the page --------------------------------------------------------------------------------------------------------

function show() {
  const select = byId("sandbox");
  if (select.options.length !== state.sandboxes.length)
    select.replaceChildren(...state.sandboxes.map((s) => make("option", { value: s.name }, s.state === "active" ? s.name : `${s.name} (${s.state})`)));
  select.value = state.sandbox;
  byId("org").textContent = state.org;
  byId("counts").replaceChildren(
    ...Object.entries(NAMES).map(([kind, name]) => make("div", {}, make("b", {}, number(state.counts[kind])), make("span", { class: "quiet" }, name))),
  );

  const objects = { all: new Map(), kinds: new Map() };
  for (const [kind, items] of Object.entries(state.objects))
    for (const item of items) {
      item.needs = (item.needs || []).filter(Boolean);
      objects.all.set(item.id, item);
      objects.kinds.set(item.id, kind);
    }
  const flows = state.objects.flows;
  byId("onboardings").replaceChildren(
    ...flows.map((flow) => onboarding(flow, objects, state.runs.filter((r) => r.flowId === flow.id))),
  );
  byId("no-flows").hidden = flows.length > 0;

  const used = new Set(flows.map((f) => f.id));
  const reach = (id) => {
    const item = objects.all.get(id);
    for (const need of item ? item.needs : [])
      if (!used.has(need)) {
        used.add(need);
        reach(need);
      }
  };
  flows.forEach((f) => reach(f.id));
  const others = [...objects.all.values()].filter((o) => !used.has(o.id));
  byId("others").hidden = !others.length;
  byId("others").querySelector("summary").textContent = `Objects without a flow: ${others.length}`;
  byId("others").querySelector("ul").replaceChildren(
    ...others.map((o) => make("li", {}, `${KIND[objects.kinds.get(o.id)]} `, make("b", {}, o.name || "(no name)"), ` ${o.id} ${o.state}`)),
  );
  const most = Math.max(...Object.keys(NAMES).map((k) => state.counts[k]));
  byId("cut").hidden = most <= state.shown;
  byId("cut").textContent = `The page shows the newest ${state.shown} objects of each kind. Objects that they refer to may be missing.`;
  showRequests();
}

function showRequests() {
  const words = byId("filter").value.toLowerCase();
  const fits = (r) =>
    (!byId("writes").checked || (r.method !== "GET" && r.operation !== "POST token")) &&
    `${r.operation} ${r.method} ${r.path} ${r.status} ${r.code} ${r.fault}`.toLowerCase().includes(words);
  const found = state.requests.filter(fits);
  byId("shown").textContent = `${found.length} of the last ${state.requests.length}`;
  byId("requests").replaceChildren(
    ...found.map((r) => {
      const kind = r.status < 400 ? "good" : r.status < 500 ? "warn" : "bad";
      const copy = make("button", { type: "button", title: "Copy as a curl command" }, "curl");
      copy.addEventListener("click", () => copyLine(r.seq, copy));
      const notes = [r.fault && `fault: ${r.fault}`, r.warnings].filter(Boolean).join("; ");
      return make("tr", {},
        make("td", { class: "quiet" }, String(r.seq)), make("td", {}, time(r.at * 1000)),
        make("td", { class: kind }, String(r.status)), make("td", { class: "op", title: r.path }, r.operation || `${r.method} ${r.path}`),
        make("td", {}, r.code), make("td", { class: "quiet" }, notes), make("td", {}, copy));
    }),
  );
}

async function copyLine(seq, button) {
  const line = await (await fetch(`/_emulator/requests/${seq}/curl`)).text();
  try {
    await navigator.clipboard.writeText(line);
    button.textContent = "copied";
  } catch {
    window.prompt("The request as a curl command", line);
  }
}

let last = "";
async function refresh() {
  try {
    const answer = await fetch(`/_emulator/state?sandbox=${encodeURIComponent(sandbox)}`);
    if (!answer.ok) throw new Error(`the emulator answered ${answer.status}`);
    state = await answer.json();
    byId("trouble").hidden = true;
    sandbox = state.sandbox;
    byId("clock").textContent = `${time(state.clock.now * 1000)} UTC${state.clock.frozen ? ", frozen" : ""}`;
    const text = JSON.stringify({ ...state, clock: null });
    if (text === last) return;
    last = text;
    show();
  } catch (error) {
    byId("trouble").textContent = `The page cannot be updated: ${error.message}`;
    byId("trouble").hidden = false;
  }
}

byId("sandbox").addEventListener("change", (event) => {
  sandbox = event.target.value;
  refresh();
});
byId("filter").addEventListener("input", showRequests);
byId("writes").addEventListener("change", showRequests);
refresh();
setInterval(() => byId("live").checked && !document.hidden && refresh(), 2000);
