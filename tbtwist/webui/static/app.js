/* The manager's page: gets in, listens to the feed, hands everything to its parts. */

import { $, announce, write } from "./dom.js";
import { isIn, logIn, post } from "./api.js";
import { confirmed } from "./dialogs.js";
import { showWorkers } from "./workers.js";
import { showTopology } from "./topology.js";
import { addSample, showHistory, startCharts } from "./charts.js";
import { addLines, showLines, startLogs } from "./logs.js";
import { addExit, showAction, showActions, showExits, tellWhy } from "./stories.js";

const RETRY_MS = 2000, TOAST_MS = 8000, RATE_S = 3;
let source = null;
let stopped = false;
let latest = [];
let seen = [];
let toasting = 0;

/* --- getting in */

async function begin() {
  const token = new URLSearchParams(location.hash.slice(1)).get("login");
  if (token !== null) history.replaceState(null, "", "/");
  try {
    if (token) await logIn(token);
    if (!(await isIn())) return showDoor("");
  } catch (error) {
    if (token && error.status && (await isIn().catch(() => false))) return enter();
    return showDoor(error.message);
  }
  return enter();
}

function showDoor(why) {
  if (source) source.close();
  $("page").hidden = true;
  $("door").hidden = false;
  write($("door-why"), why);
  $("door-again").focus();
}

function enter() {
  $("door").hidden = true;
  $("page").hidden = false;
  if (!$("charts").childElementCount) {
    startCharts();
    startLogs();
  }
  listen();
}

/* --- the feed */

const TAKE = {
  hello(all) {
    seen = [];
    present(all);
    showHistory(all.history);
    showLines(all.lines);
    showExits(all.exits);
    showActions(all.actions);
  },
  tick(now) {
    present(now);
    if (now.sample) addSample(now.sample);
  },
  log: addLines,
  exit: addExit,
  action: (action) => {
    showAction(action);
    if (action.state === "failed") toast(`${action.what}: ${action.error}`);
  },
  full: (message) => verdict("bad", message),
};

function listen() {
  if (source) source.close();
  source = new EventSource("/api/events");
  for (const [name, take] of Object.entries(TAKE)) {
    source.addEventListener(name, (event) => take(JSON.parse(event.data)));
  }
  source.addEventListener("error", lost);
}

/* A feed that cannot be had again: the manager has gone, or does not know us any more. */
async function lost() {
  verdict("bad", stopped ? "Stopped. Start it again in a terminal." : "The manager does not answer. Trying again…");
  if (source.readyState !== EventSource.CLOSED) return;
  try {
    if (await isIn()) return listen();
    return showDoor("Your session has ended.");
  } catch {
    setTimeout(lost, RETRY_MS);
  }
}

function present(now) {
  latest = now.workers;
  seen = [...seen.filter((each) => now.now - each.at <= RATE_S), { at: now.now, workers: now.workers }];
  const rates = ratesOf();
  showWorkers(now.workers, rates, { restart, stop, why });
  showTopology(now.workers, rates);
  judge(now);
}

/* What each worker did a second, over the last few: heartbeats come once a second. */
function ratesOf() {
  const first = seen[0], last = seen.at(-1);
  const seconds = last.at - first.at;
  const before = new Map(first.workers.map((worker) => [worker.worker_id, worker.metrics]));
  return new Map(last.workers.map((worker) => {
    const old = before.get(worker.worker_id);
    const by = (name) => (old && seconds > 0 ? Math.max(0, worker.metrics[name] - old[name]) / seconds : 0);
    return [worker.worker_id, { requests: by("requests"), bus: by("bus_messages") }];
  }));
}

function judge({ workers, manager }) {
  const odd = workers.filter((worker) => worker.state !== "running");
  const bad = odd.filter((worker) => ["failed", "backoff"].includes(worker.state));
  if (bad.length) verdict("bad", bad.map((w) => `${w.worker_id} ${w.state === "failed" ? "has failed" : "is down"}`).join(", "));
  else if (odd.length) verdict("wait", odd.map((w) => `${w.worker_id} is ${w.state}`).join(", "));
  else verdict("good", `${workers.length} of ${workers.length} run`);
  const link = $("app-link");
  link.hidden = !manager.http_url;
  link.href = manager.http_url || "#";
  write($("foot"), `tbtwist ${manager.version}, manager pid ${manager.pid}, data in ${manager.data_dir}`);
}

function verdict(kind, text) {
  $("verdict").dataset.kind = kind;
  write($("verdict-text"), text);
  document.title = kind === "bad" ? `! ${text} – tbtwist` : "tbtwist manager";
}

function toast(text) {
  $("toast").hidden = false;
  write($("toast"), text);
  clearTimeout(toasting);
  toasting = setTimeout(() => { $("toast").hidden = true; }, TOAST_MS);
}

/* --- what may be done */

async function carryOut(path, body) {
  try {
    return await post(path, body);
  } catch (error) {
    toast(error.message);
    return null;
  }
}

async function restart(id) {
  const answer = await confirmed({
    title: `Restart ${id}?`, yes: "Restart",
    text: "A new process starts beside it on the same port. When it is ready, the old one finishes what it has begun and leaves; nobody is turned away.",
  });
  if (answer) carryOut("/api/workers/restart", { worker_id: id });
}

async function stop(id) {
  const answer = await confirmed({
    title: `Stop ${id} for good?`, yes: "Stop it", danger: true,
    text: "It finishes what it has begun, then leaves, and its port refuses connections. The others go on.",
  });
  if (answer) carryOut("/api/workers/stop", { worker_id: id });
}

function why(id) {
  const worker = latest.find((each) => each.worker_id === id);
  if (worker && worker.last_exit) tellWhy(worker);
}

async function scale(button) {
  const { role, by } = button.dataset;
  const now = latest.filter((worker) => worker.worker_type === role).length;
  const wanted = now + Number(by);
  if (wanted < 0) return;
  if (Number(by) < 0) {
    const last = latest.filter((worker) => worker.worker_type === role).at(-1).worker_id;
    const answer = await confirmed({
      title: `Scale ${role} to ${wanted}?`, yes: `Scale to ${wanted}`, danger: wanted === 0,
      text: `${last} finishes what it has begun, then leaves.${wanted ? "" : " It is the last one: nobody serves afterwards."}`,
    });
    if (!answer) return;
  }
  button.disabled = true;
  await carryOut("/api/scale", { type: role, count: wanted });
  button.disabled = false;
}

async function update() {
  const answer = await confirmed({
    title: "Update the workers?", yes: "Update", plan: true,
    text: "Each worker is replaced by a new one that has the present code and configuration, one after another. If one does not get ready, the old ones serve on.",
  });
  if (!answer) return;
  await carryOut("/api/update", answer.role ? { role: answer.role } : {});
  $("activity-title").scrollIntoView({ block: "nearest" });
}

async function shutdown() {
  const answer = await confirmed({
    title: "Stop everything?", yes: "Stop everything", danger: true,
    text: "All workers finish what they have begun, then everything ends, this page too. To start again you need a terminal.",
  });
  if (answer && (await carryOut("/api/shutdown"))) {
    stopped = true;
    announce("Everything is stopping.");
  }
}

async function logOut() {
  await carryOut("/logout");
  showDoor("You have logged out.");
}

$("update").addEventListener("click", update);
$("shutdown").addEventListener("click", shutdown);
$("logout").addEventListener("click", logOut);
$("door-again").addEventListener("click", () => location.reload());
for (const button of document.querySelectorAll(".step")) button.addEventListener("click", () => scale(button));
addEventListener("hashchange", () => { if (location.hash.startsWith("#login=")) begin(); });
begin();
