/* Who talks to whom: clients, workers, broker; a line is as thick as what flows over it. */

import { $, count, rate, svg } from "./dom.js";

const WIDTH = 360, ROW = 62, TOP = 8, BOX = 38;
const CLIENTS = { x: 4, w: 74 }, WORKER = { x: 134, w: 104 }, BROKER = { x: 290, w: 66 };

const nodes = new Map();
let drawn = "";

export function showTopology(workers, rates) {
  const serving = workers.filter((worker) => worker.worker_type !== "broker");
  const broker = workers.find((worker) => worker.worker_type === "broker");
  const shape = workers.map((worker) => worker.worker_id).join(" ");
  if (shape !== drawn) draw(serving, broker);
  drawn = shape;
  for (const worker of serving) refresh(worker, rates.get(worker.worker_id) || {});
  if (broker) nodes.get("broker").box.setAttribute("data-state", broker.state);
  nodes.get("figure").setAttribute("aria-label", inWords(serving, rates, broker));
}

function draw(serving, broker) {
  nodes.clear();
  const height = TOP * 2 + Math.max(2, serving.length) * ROW;
  const middle = height / 2;
  const figure = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", class: "web" });
  const lines = svg("g", { class: "lines-of-web", fill: "none" });
  figure.append(lines, box(CLIENTS, middle, "clients", "clients").group);
  const spread = (height - TOP * 2) / Math.max(1, serving.length);
  for (const [place, worker] of serving.entries()) {
    const y = TOP + spread * (place + 0.5);
    const left = line(CLIENTS.x + CLIENTS.w, middle, WORKER.x, y, `outside ${worker.worker_type}`);
    const right = line(WORKER.x + WORKER.w, y, BROKER.x, middle, "bus");
    const made = box(WORKER, y, worker.worker_id, "worker");
    lines.append(left, right);
    figure.append(made.group);
    nodes.set(worker.worker_id, { ...made, left, right });
  }
  if (broker) {
    const made = box(BROKER, middle, "broker", "worker");
    figure.append(made.group);
    nodes.set("broker", made);
    made.note.textContent = "bus";
  }
  nodes.set("figure", figure);
  $("topology").replaceChildren(figure);
}

function box({ x, w }, y, name, kind) {
  const rect = svg("rect", { x, y: y - BOX / 2, width: w, height: BOX, rx: 8, class: `node ${kind}` });
  const title = svg("text", { x: x + w / 2, y: y - 2, class: "node-name" }, name);
  const note = svg("text", { x: x + w / 2, y: y + 11, class: "node-note" });
  if (kind === "clients") note.textContent = "outside";
  return { group: svg("g", {}, rect, title, note), box: rect, note };
}

function line(x1, y1, x2, y2, kind) {
  const bend = (x2 - x1) / 2;
  return svg("path", { d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, class: `strand ${kind}` });
}

function refresh(worker, moving) {
  const made = nodes.get(worker.worker_id);
  const isWs = worker.worker_type === "ws";
  const outside = moving.requests || 0;
  made.box.setAttribute("data-state", worker.state);
  made.note.textContent = worker.state !== "running" ? worker.state
    : isWs ? `${count(worker.metrics.connections)} open` : `${rate(outside)} requests/s`;
  flow(made.left, outside + (isWs ? worker.metrics.connections / 20 : 0), outside > 0);
  flow(made.right, moving.bus || 0, (moving.bus || 0) > 0);
}

function flow(path, much, moves) {
  path.style.strokeWidth = String(1.2 + Math.min(6, Math.log10(1 + much) * 1.8));
  path.classList.toggle("moves", moves);
}

function inWords(serving, rates, broker) {
  const told = serving.map((worker) => {
    const moving = rates.get(worker.worker_id) || {};
    const what = worker.worker_type === "ws"
      ? `${worker.metrics.connections} connections to` : `${rate(moving.requests || 0)} requests a second to`;
    return `${what} ${worker.worker_id}, which is ${worker.state}`;
  });
  const end = broker ? `All of them use the broker, which is ${broker.state}.` : "";
  return `Clients have ${told.join("; ")}. ${end}`;
}
