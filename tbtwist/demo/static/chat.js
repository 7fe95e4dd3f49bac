// The chat: one room over tbtwist. Puts the parts together and listens to the keyboard.

import { call } from "./api.js";
import { Conversation } from "./conversation.js";
import { Door } from "./door.js";
import { Line } from "./line.js";
import { Meter } from "./meter.js";
import { countUnread, showState } from "./status.js";
import { showMe, toast } from "./view.js";

const RETRY_MS = 3000;
const byId = (id) => document.getElementById(id);

let socketPorts = [];

const meter = new Meter();
const line = new Line(socketUrls, {
  state: showState,
  message: (message) => conversation.received(message),
  rtt: (ms) => meter.took(ms),
  missed: () => conversation.missed(),
});
const conversation = new Conversation(line, meter, countUnread);
const door = new Door(() => {
  line.open(); // a new socket, so that the server learns the new name
  text.focus();
});

/** Where the socket is: on the ws workers' ports, or behind a proxy at this very address. */
function socketUrls() {
  const ports = location.port ? socketPorts : [];
  const hosts = ports.length ? ports.map((port) => `${location.hostname}:${port}`) : [location.host];
  return hosts.map((host) => `${location.protocol}//${host}/ws/Chat/room`);
}

/** The pages of each http worker begin with another ws worker. */
function spread({ http_ports, ws_ports }) {
  const first = Math.max(0, http_ports.indexOf(Number(location.port))) % (ws_ports.length || 1);
  return [...ws_ports.slice(first), ...ws_ports.slice(0, first)];
}

/** Ask who answers this page's API. */
async function ask() {
  const { data, ms } = await call("about");
  socketPorts = spread(data);
  meter.answered(data, ms);
}

async function orToast(work) {
  try {
    await work();
    return true;
  } catch (error) {
    toast(error.message);
    return false;
  }
}

// --- saying something ----------------------------------------------------------------

const text = byId("text");

function say() {
  const words = text.value.trim();
  if (!words) return;
  conversation.say(words);
  text.value = "";
  typed();
}

function typed() {
  const left = text.maxLength - text.value.length;
  byId("left").hidden = left > 200;
  byId("left").textContent = left;
  byId("send").disabled = !text.value.trim();
}

text.addEventListener("input", typed);
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say();
});
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  say();
  text.focus();
});
byId("opener").addEventListener("click", () =>
  orToast(async () => {
    text.value = (await call("fortune")).data.text;
    typed();
    text.focus();
  }),
);

// --- the panel --------------------------------------------------------------------------

const panel = byId("panel");
const panelToggle = byId("panel-toggle");

function showPanel(open) {
  panel.classList.toggle("open", open);
  panelToggle.setAttribute("aria-expanded", String(open));
}

panelToggle.addEventListener("click", () => showPanel(!panel.classList.contains("open")));
byId("panel-close").addEventListener("click", () => {
  showPanel(false);
  panelToggle.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !panel.classList.contains("open")) return;
  showPanel(false);
  panelToggle.focus();
});
document.querySelector(".room").addEventListener("click", () => showPanel(false));
byId("api-again").addEventListener("click", () => orToast(ask));
byId("retry").addEventListener("click", () => line.hurry());

// --- begin ---------------------------------------------------------------------------------

async function begin() {
  const ready = await orToast(async () => {
    await ask();
    await door.open();
  });
  if (!ready) setTimeout(begin, RETRY_MS);
}

showMe("guest");
begin();
