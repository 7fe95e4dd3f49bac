/* The live tail of all workers' output, filtered here. */

import { $, clock, element, write } from "./dom.js";

/* Positions in a line: see tbtwist/webui/feed.py. */
const AT = 1, WORKER = 2, TEXT = 3;
const KEPT = 2000, SHOWN = 500;
const RECORD = /^\d{4}-\d\d-\d\dT[\d:.]+Z (\w+) \[([^\]]*)\] (.*)$/;
const BAD = new Set(["warn", "error", "critical"]);

let lines = [];
let follow = true;
const workers = new Set();

export function startLogs() {
  for (const id of ["log-worker", "log-level", "log-text"]) $(id).addEventListener("input", showAll);
  $("log-filters").addEventListener("submit", (event) => event.preventDefault());
  $("log-follow").addEventListener("click", () => setFollow(!follow));
  $("lines").addEventListener("scroll", noticeScroll, { passive: true });
}

function setFollow(wanted) {
  follow = wanted;
  $("log-follow").setAttribute("aria-pressed", String(follow));
  if (follow) toEnd();
}

/* Who scrolls up wants to read; who comes back to the end wants to follow again. */
function noticeScroll() {
  const box = $("lines");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
  if (atEnd !== follow) setFollow(atEnd);
}

function toEnd() {
  $("lines").scrollTop = $("lines").scrollHeight;
}

function parsed(line) {
  const text = line[TEXT];
  const record = RECORD.exec(text);
  if (record) return { level: record[1], from: record[2], message: record[3] };
  if (text.startsWith("{")) {
    try {
      const found = JSON.parse(text);
      if (typeof found.message === "string") return { level: found.level || "info", from: found.logger || "", message: found.message };
    } catch {
      /* an application may write what it likes */
    }
  }
  return { level: "", from: "", message: text };
}

function wanted(line) {
  const worker = $("log-worker").value, level = $("log-level").value;
  const text = $("log-text").value.trim().toLowerCase();
  if (worker && line[WORKER] !== worker) return false;
  if (text && !line[TEXT].toLowerCase().includes(text)) return false;
  return !level || BAD.has(parsed(line).level);
}

function row(line) {
  const { level, from, message } = parsed(line);
  const made = element("p", { class: "line" },
    element("time", {}, clock(line[AT])), element("b", {}, line[WORKER]),
    element("span", { class: "message" }, message));
  if (from) made.title = from;
  if (BAD.has(level)) made.classList.add("bad");
  return made;
}

function showAll() {
  $("lines").replaceChildren(...lines.filter(wanted).slice(-SHOWN).map(row));
  finish();
}

function finish() {
  const box = $("lines");
  while (box.childElementCount > SHOWN && follow) box.firstElementChild.remove();
  $("lines-none").hidden = box.childElementCount > 0;
  write($("lines-none"), lines.length ? "No line matches." : "Nobody has said anything yet.");
  if (follow) toEnd();
}

function remember(found) {
  lines = lines.concat(found).slice(-KEPT);
  for (const line of found) {
    if (workers.has(line[WORKER])) continue;
    workers.add(line[WORKER]);
    $("log-worker").append(element("option", {}, line[WORKER]));
  }
}

export function showLines(found) {
  lines = [];
  remember(found);
  showAll();
}

export function addLines(found) {
  remember(found);
  $("lines").append(...found.filter(wanted).map(row));
  finish();
}
