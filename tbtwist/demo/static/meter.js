// The side panel's figures: which workers your words pass, and how long that takes.

import { strandOf } from "./view.js";

const byId = (id) => document.getElementById(id);
const KEPT = 40;

const figure = (ms) => (ms < 10 ? ms.toFixed(1) : Math.round(ms).toString());

export class Meter {
  #times = [];
  #handled = new Map();

  /** One way there and back took `ms`. */
  took(ms) {
    this.#times = [...this.#times, ms].slice(-KEPT);
    byId("rtt").textContent = figure(ms);
    const top = Math.max(...this.#times, 1);
    const step = 240 / KEPT;
    const bars = this.#times.map((time, at) => `M${((at + 0.5) * step).toFixed(1)} 32V${(31 - (28 * time) / top).toFixed(1)}`);
    byId("spark").firstElementChild.setAttribute("d", bars.join(""));
    this.#pulse();
  }

  /** The socket ends in `ws`, and `by` handles what it sends. */
  route({ ws, ws_generation, by }) {
    byId("node-ws").textContent = ws;
    byId("node-ws-note").textContent = ws_generation === undefined ? "socket" : `gen ${ws_generation}`;
    byId("node-http").textContent = by.worker;
    byId("node-http-note").textContent = `pid ${by.pid}`;
  }

  /** `worker` has handled a message of the room. */
  handled(worker) {
    this.#handled.set(worker, (this.#handled.get(worker) ?? 0) + 1);
    const most = Math.max(...this.#handled.values());
    const workers = [...this.#handled].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
    byId("tally").replaceChildren(...workers.map(([name, count]) => tallyItem(name, count, most)));
  }

  /** The HTTP API answered: Chat/about's data, after `ms`. */
  answered({ worker, pid, http_ports }, ms) {
    byId("api-worker").textContent = worker;
    byId("api-note").textContent = `pid ${pid}, answered in ${figure(ms)} ms.`;
    const doors = http_ports.length > 1 ? http_ports : [];
    byId("doors").replaceChildren(...doors.map(doorItem));
  }

  #pulse() {
    const wire = byId("wire");
    wire.classList.remove("pulse");
    requestAnimationFrame(() => wire.classList.add("pulse"));
  }
}

function tallyItem(name, count, most) {
  const item = byId("tally-template").content.firstElementChild.cloneNode(true);
  item.dataset.strand = strandOf(name);
  item.querySelector("b").textContent = name;
  item.querySelector(".meter span").style.setProperty("--share", (100 * count) / most);
  item.querySelector(".count").textContent = count;
  return item;
}

function doorItem(port) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = `${location.protocol}//${location.hostname}:${port}/`;
  link.textContent = `:${port}`;
  if (location.port === String(port)) link.setAttribute("aria-current", "page");
  item.append(link);
  return item;
}
