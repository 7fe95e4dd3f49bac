/* What was done, with its progress, and who ended. */

import { $, announce, clock, duration, element, stamp, write } from "./dom.js";
import { isOrdinary, sentence, tellStory } from "./dialogs.js";

const STATES = { running: "under way", done: "done", failed: "failed" };
const STEPS = ["starting", "ready", "draining", "gone"];
const SHOWN = 20, KEPT = 100;
const items = new Map();
let exits = [];

export function showActions(actions) {
  items.clear();
  $("activity").replaceChildren();
  actions.forEach((action) => showAction(action, false));
}

export function showAction(action, isNews = true) {
  const item = items.get(action.id) || newItem(action);
  const before = item.dataset.state;
  item.dataset.state = action.state;
  write(item.querySelector(".action-state"), STATES[action.state]);
  write(item.querySelector(".action-what"), action.what);
  write(item.querySelector(".action-meta"), meta(action));
  write(item.querySelector(".action-error"), action.error);
  item.querySelector(".steps").replaceChildren(...progress(action.steps));
  $("activity-none").hidden = true;
  if (isNews && before !== action.state) announce(`${action.what}: ${STATES[action.state]}. ${action.error}`);
}

function newItem(action) {
  const item = stamp("action-template");
  items.set(action.id, item);
  $("activity").prepend(item);
  while ($("activity").childElementCount > SHOWN) $("activity").lastElementChild.remove();
  return item;
}

function meta(action) {
  const took = action.ended_at === null ? "" : `, took ${duration(action.ended_at - action.at)}`;
  return `${clock(action.at)} by ${action.who}${took}`;
}

/* A line a worker: how far it has come. */
function progress(steps) {
  const byWorker = new Map();
  for (const step of steps) byWorker.set(step.worker, [...(byWorker.get(step.worker) || []), step]);
  return [...byWorker].map(([worker, told]) => {
    const names = new Set(told.map((step) => step.step));
    const last = told.at(-1);
    const line = element("li", { class: "progress" }, element("b", {}, worker));
    if (!names.has("starting")) {
      line.append(element("span", { class: "mark done" }, last.step));
      return line;
    }
    for (const step of STEPS) {
      const state = names.has(step) ? (last.step === step && step !== "gone" ? "now" : "done") : "open";
      line.append(element("span", { class: `mark ${names.has("failed") && state !== "done" ? "bad" : state}` }, step));
    }
    if (last.step === "failed") line.append(element("span", { class: "why-not" }, last.detail));
    return line;
  });
}

export function showExits(found) {
  exits = found;
  $("exits").replaceChildren(...found.slice(-SHOWN).reverse().map(exitItem));
  $("exits-none").hidden = found.length > 0;
}

export function addExit(story) {
  exits = [...exits, story].slice(-KEPT);
  showExits(exits);
  if (!isOrdinary(story)) announce(`${story.worker} ended: ${story.reason}`);
}

function exitItem(story) {
  const item = stamp("exit-template");
  item.classList.toggle("bad", !isOrdinary(story));
  write(item.querySelector(".ended-who"), `${story.worker}, generation ${story.generation}`);
  write(item.querySelector(".ended-why"), sentence(story));
  const time = item.querySelector("time");
  time.dateTime = story.at;
  write(time, clock(Date.parse(story.at) / 1000));
  item.querySelector("button").addEventListener("click", () => tellStory(story));
  return item;
}

/* Tells why a worker's previous process ended, as far as the manager remembers. */
export function tellWhy(worker) {
  const known = exits.findLast((story) => story.worker === worker.worker_id && story.at === worker.last_exit.at);
  tellStory(known || { ...worker.last_exit, worker: worker.worker_id, lines: [] });
}
