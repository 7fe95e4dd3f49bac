// The state of the line in words, and the count of unread messages in the title.

const byId = (id) => document.getElementById(id);

const CLOSED_BECAUSE = {
  1008: "The server wants to know who you are.",
  1012: "The server is being renewed.",
  1013: "The server is full.",
};

let countdown = 0;
let openedBefore = false;

/** Show what has become of the line: {kind, seconds, code} as `Line` tells it. */
export function showState({ kind, seconds, code }) {
  clearTimeout(countdown);
  byId("state").dataset.kind = kind;
  byId("retry").hidden = kind !== "closed" && (kind !== "waiting" || seconds < 3);
  if (kind === "open") say("Connected");
  else if (kind === "connecting") say(openedBefore ? "Reconnecting…" : "Connecting…");
  else if (kind === "offline") say("You are offline");
  else if (kind === "closed") say(CLOSED_BECAUSE[code] ?? "The server closed the line.");
  else countDown(seconds, CLOSED_BECAUSE[code] ?? "The line broke.");
  openedBefore ||= kind === "open";
}

function say(words) {
  byId("state-text").textContent = words;
}

function countDown(seconds, reason) {
  say(seconds > 2 ? `${reason} Next try in ${seconds} s` : `${reason} Reconnecting…`);
  countdown = setTimeout(() => countDown(seconds - 1, reason), 1000);
}

const title = document.title;
let unread = 0;

export function countUnread() {
  if (!document.hidden) return;
  unread += 1;
  document.title = `(${unread}) ${title}`;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  document.title = title;
});
