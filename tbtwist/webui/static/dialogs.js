/* Questions before something is done, and the story of a process that ended. */

import { $, element, write } from "./dom.js";
import { get } from "./api.js";

let asked = 0;

/* Returns the answer: null for no, else {role}. With `plan`, shows what an update would do. */
export async function confirmed({ title, text, yes, danger = false, plan = false }) {
  const dialog = $("ask");
  const mine = ++asked;
  write($("ask-title"), title);
  write($("ask-text"), text);
  write($("ask-yes"), yes);
  $("ask-yes").classList.toggle("danger", danger);
  $("ask-roles").hidden = !plan;
  $("ask-plan").hidden = true;
  $("ask-form").reset();
  dialog.returnValue = "no";
  dialog.showModal();
  if (plan) showPlan();
  /* The close of the question before may be told when this one is open already. */
  do {
    await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  } while (dialog.open && mine === asked);
  if (mine !== asked || dialog.returnValue !== "yes") return null;
  return { role: new FormData($("ask-form")).get("role") || "" };
}

async function showPlan() {
  const list = $("ask-plan");
  try {
    const { plan } = await get("/api/plan");
    const role = new FormData($("ask-form")).get("role");
    list.replaceChildren(...plan.map((line) => element("li", {}, line)));
    list.hidden = !plan.length || Boolean(role);
  } catch (error) {
    list.replaceChildren(element("li", { class: "bad" }, error.message));
    list.hidden = false;
  }
}

export function tellStory(story) {
  write($("story-title"), `Why ${story.worker} ended`);
  write($("story-reason"), sentence(story));
  const facts = [
    ["When", new Date(story.at).toLocaleString("en-GB")],
    ["Generation", String(story.generation)],
    ["How", story.signal || (story.code === null ? "it could not be started" : `exit status ${story.code}`)],
  ];
  if (story.in_flight) facts.push(["At work on", `${story.in_flight} request${story.in_flight === 1 ? "" : "s"}`]);
  $("story-facts").replaceChildren(
    ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
  write($("story-lines"), story.lines.length ? story.lines.join("\n") : "It wrote nothing.");
  $("story").showModal();
  $("story-lines").scrollTop = $("story-lines").scrollHeight;
}

export function sentence(story) {
  const reason = story.reason.charAt(0).toUpperCase() + story.reason.slice(1);
  return reason.endsWith(".") ? reason : `${reason}.`;
}

/* Replaced, or asked to leave: nothing to worry about. */
export function isOrdinary(story) {
  return story.code === 0;
}
