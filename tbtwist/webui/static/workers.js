/* The table of workers: rows are kept, so that focus stays where it is while figures move. */

import { $, count, duration, mebibytes, rate, stamp, write } from "./dom.js";
import { sentence, isOrdinary } from "./dialogs.js";

const rows = new Map();
const WORDS = {
  starting: "starting", running: "running", draining: "draining",
  backoff: "waits to start again", stopped: "stopped", failed: "failed",
};

export function showWorkers(workers, rates, on) {
  const body = $("workers");
  const present = new Set(workers.map((worker) => worker.worker_id));
  for (const [id, row] of rows) {
    if (!present.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  for (const [place, worker] of workers.entries()) {
    const row = rows.get(worker.worker_id) || newRow(worker, on);
    if (body.children[place] !== row) body.insertBefore(row, body.children[place] || null);
    fill(row, worker, rates.get(worker.worker_id));
  }
  for (const role of ["http", "ws"]) {
    write($(`scale-${role}`), String(workers.filter((w) => w.worker_type === role).length));
  }
}

function newRow(worker, on) {
  const row = stamp("worker-template");
  const id = worker.worker_id;
  for (const name of row.querySelectorAll(".name")) write(name, id);
  write(row.querySelector(".id"), id);
  row.dataset.worker = id;
  row.querySelector(".restart").addEventListener("click", () => on.restart(id));
  row.querySelector(".stop").addEventListener("click", () => on.stop(id));
  row.querySelector(".why").addEventListener("click", () => on.why(id));
  row.querySelector(".row-actions").hidden = worker.worker_type === "broker";
  if (worker.worker_type === "broker") {
    for (const button of row.querySelectorAll(".row-actions button")) button.remove();
  }
  rows.set(id, row);
  return row;
}

function fill(row, worker, moving) {
  const [, , generation, uptime, cpu, memory, traffic] = row.children;
  row.dataset.state = worker.state;
  write(row.querySelector(".where"), where(worker));
  write(row.querySelector(".word"), WORDS[worker.state] || worker.state);
  const calm = worker.state === "running" || worker.detail === worker.state;
  write(row.querySelector(".detail"), calm ? "" : worker.detail);
  write(generation, String(worker.generation));
  write(uptime, worker.pid ? duration(worker.uptime) : "–");
  write(cpu, worker.pid ? `${worker.metrics.cpu_percent.toFixed(0)} %` : "–");
  write(memory, worker.pid ? mebibytes(worker.metrics.memory_mb) : "–");
  write(traffic, trafficOf(worker, moving));
  fillExit(row, worker);
}

function where(worker) {
  const port = worker.port ? `:${worker.port}` : "";
  const pid = worker.pid ? `pid ${worker.pid}` : "no process";
  return [port, pid].filter(Boolean).join(" · ");
}

function trafficOf(worker, moving) {
  if (worker.worker_type === "ws") return `${count(worker.metrics.connections)} open`;
  if (worker.worker_type === "http") return `${rate(moving ? moving.requests : 0)}/s`;
  return "–";
}

function fillExit(row, worker) {
  const last = worker.last_exit;
  const button = row.querySelector(".why");
  button.hidden = !last;
  row.querySelector(".none").hidden = Boolean(last);
  if (!last) return;
  button.classList.toggle("bad", !isOrdinary(last));
  write(button, sentence(last));
  button.title = "What happened?";
}
