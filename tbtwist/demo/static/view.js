// What people see. Whatever came from somebody goes into the page as text, never as markup.

const byId = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const TOGETHER_S = 300;
const KEPT = 500;
const TOAST_MS = 8000;

// Named hues keep their distance from each other; a name always gets the same one.
const HUES = [20, 48, 78, 108, 140, 168, 195, 222, 250, 282, 312, 345];

export function hueOf(name) {
  let hash = 2166136261;
  for (const char of name.normalize().toLowerCase()) hash = Math.imul(hash ^ char.codePointAt(0), 16777619);
  return HUES[(hash >>> 8) % HUES.length];
}

export function initialsOf(name) {
  const words = name.split(/[\s._-]+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters.map((word) => [...word][0]).join("").toLocaleUpperCase() || "?";
}

export function dress(element, name) {
  element.style.setProperty("--hue", hueOf(name));
  if (element.classList.contains("avatar")) element.textContent = initialsOf(name);
}

/** The colour of a worker: they take turns, as the strands do. */
export function strandOf(worker) {
  return Number(/\d+$/.exec(worker)?.[0] ?? 1) % 2 ? "sea" : "ember";
}

const stamp = (id) => byId(id).content.firstElementChild.cloneNode(true);

function setTime(element, at) {
  const when = new Date(at * 1000);
  element.dateTime = when.toISOString();
  element.textContent = clock.format(when);
  element.title = when.toLocaleString();
}

/** The conversation: what was said, who came and went. Keeps to the end if you are there. */
export class Log {
  #log = byId("log");
  #list = byId("messages");
  #newest = byId("newest");
  #unseen = 0;
  #last = null;

  constructor() {
    this.#newest.addEventListener("click", () => this.toEnd());
    this.#log.addEventListener("scroll", () => this.#atEnd() && this.#seen(), { passive: true });
    new ResizeObserver(() => this.#unseen || this.#scroll()).observe(this.#log);
  }

  /** Add what somebody said: {key, from, text, at, by, own}; returns its element. */
  said({ key, from, text, at, by, own }) {
    const item = stamp("message-template");
    const together = this.#last?.key === key && at - this.#last.at < TOGETHER_S;
    item.classList.toggle("own", own);
    item.classList.toggle("cont", together);
    dress(item, from);
    dress(item.querySelector(".avatar"), from);
    item.querySelector(".from").textContent = from;
    item.querySelector(".text").textContent = text;
    this.handled(item, { at, by });
    this.#last = { key, at };
    this.#append(item, own);
    return item;
  }

  /** Fill in when a message was handled, and by whom. */
  handled(item, { at, by }) {
    setTime(item.querySelector("time"), at);
    const handler = item.querySelector(".by");
    handler.textContent = by || "on its way";
    if (by) handler.dataset.strand = strandOf(by);
    item.classList.toggle("pending", !by);
  }

  failed(item, reason) {
    item.classList.replace("pending", "failed");
    item.querySelector(".by").textContent = `not sent: ${reason}`;
  }

  came(text, at) {
    const item = stamp("note-template");
    item.firstElementChild.textContent = text;
    setTime(item.querySelector("time"), at);
    this.#last = null;
    this.#append(item, false);
  }

  toEnd() {
    this.#seen();
    this.#scroll();
  }

  #append(item, own) {
    const follow = own || this.#atEnd();
    this.#list.append(item);
    if (this.#list.childElementCount > KEPT) this.#list.firstElementChild.remove();
    if (item.classList.contains("message")) byId("empty").hidden = true;
    if (follow) return this.toEnd();
    this.#unseen += 1;
    this.#newest.textContent = this.#unseen === 1 ? "1 new below" : `${this.#unseen} new below`;
    this.#newest.hidden = false;
  }

  #atEnd() {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 60;
  }

  #seen() {
    this.#unseen = 0;
    this.#newest.hidden = true;
  }

  #scroll() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}

export function showPeople(people) {
  byId("people").replaceChildren(...people.map(personItem));
  byId("people-count").textContent = people.length;
}

function personItem({ name, connections, self }) {
  const item = stamp("person-template");
  const extra = [self && "you", connections > 1 && `${connections} tabs`].filter(Boolean);
  dress(item.querySelector(".avatar"), name);
  item.querySelector(".name").textContent = name;
  item.querySelector(".extra").textContent = extra.join(", ");
  return item;
}

export function showMe(name) {
  byId("who-name").textContent = name;
  dress(byId("who-avatar"), name);
}

export function toast(text) {
  const item = stamp("toast-template");
  item.querySelector("p").textContent = text;
  item.querySelector("button").addEventListener("click", () => item.remove());
  byId("toasts").append(item);
  setTimeout(() => item.remove(), TOAST_MS);
}
