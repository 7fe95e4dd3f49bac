// What the server tells, and what you say. A message that you said waits in the outbox until it
// comes back from the room. The line sends it again after a break, and we do when it is overdue:
// always under the same id, so that everybody shows it once.

import { keyOf, Roster } from "./roster.js";
import { Log, showMe, showPeople, toast } from "./view.js";

const REFRESH_MS = 45_000;
const FAREWELL_MS = 3000;
const SETTLE_MS = 5000;
const OVERDUE_MS = 5000;
const REMEMBERED = 1000;

const seconds = () => Date.now() / 1000;

export class Conversation {
  #line; #meter; #onNews;
  #log = new Log();
  #roster = new Roster();
  #me = null; // what `welcome` says about this connection: {conn_id, name, user_id, …}
  #outbox = new Map(); // id → {text, item, sent}
  #shown = new Set(); // ids; a message may arrive twice, and shows once
  #farewells = new Map(); // who left a moment ago → timer: a reconnection is no news

  constructor(line, meter, onNews) {
    this.#line = line;
    this.#meter = meter;
    this.#onNews = onNews;
    setTimeout(() => this.#refresh(), REFRESH_MS);
  }

  get joined() {
    return this.#me !== null;
  }

  received(message) {
    const { event, data, type } = message ?? {};
    if (event === "welcome") this.#welcome(data);
    else if (event === "you") this.#beat(data);
    else if (event === "joined") this.#joined(data);
    else if (event === "hello") this.#hello(data);
    else if (event === "here") this.#spotted(data);
    else if (event === "left") this.#left(data);
    else if (event === "said") this.#said(data);
    else if (type === "error") this.#refused(message);
  }

  say(text) {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    const id = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const me = this.#me ?? { conn_id: "", name: "", user_id: "" };
    const item = this.#log.said({ key: keyOf(me), from: me.name, text, at: seconds(), by: "", own: true });
    const waiting = { text, item, sent: 0 };
    this.#outbox.set(id, waiting);
    if (!this.#transmit(id, waiting)) this.#refused({ id, message: "Too much is waiting to be sent." });
  }

  #transmit(id, waiting) {
    waiting.sent = performance.now();
    return this.#line.send({ type: "say", text: waiting.text, id });
  }

  /** Something was said that nobody can bring any more. */
  missed() {
    this.#log.came("Something said while you were away may be missing", seconds());
  }

  // --- the connection ----------------------------------------------------------------

  #welcome(data) {
    if (this.#me) this.#roster.leave(this.#me.conn_id);
    this.#me = data;
    showMe(data.name);
    this.#meter.route(data);
    this.#roster.doubt();
    this.#spotted(data);
    setTimeout(() => this.#settle(), SETTLE_MS);
    this.#line.send({ type: "hello" });
    this.#line.beat();
  }

  #settle() {
    this.#roster.forgetDoubted();
    this.#showPeople();
  }

  #beat(data) {
    this.#meter.route(data);
    const overdue = performance.now() - OVERDUE_MS;
    for (const [id, waiting] of this.#outbox) if (waiting.sent < overdue) this.#transmit(id, waiting);
  }

  #refused({ id, message }) {
    const waiting = this.#outbox.get(id);
    this.#outbox.delete(id);
    if (waiting) this.#log.failed(waiting.item, message);
    toast(message);
  }

  // --- what was said -------------------------------------------------------------------

  #said(data) {
    this.#spotted({ ...data, name: data.from });
    if (!this.#isNew(data.id)) return;
    this.#meter.handled(data.by.worker);
    const waiting = this.#outbox.get(data.id);
    if (waiting) return this.#delivered(waiting, data);
    const own = this.joined && keyOf(data) === keyOf(this.#me);
    this.#log.said({ ...data, key: keyOf(data), by: data.by.worker, own });
    this.#onNews();
  }

  #delivered({ item, sent }, { id, at, by }) {
    this.#outbox.delete(id);
    this.#log.handled(item, { at, by: by.worker });
    this.#meter.took(performance.now() - sent);
  }

  #isNew(id) {
    if (!id) return true;
    if (this.#shown.has(id)) return false;
    this.#shown.add(id);
    if (this.#shown.size > REMEMBERED) this.#shown.delete(this.#shown.values().next().value);
    return true;
  }

  // --- who is here -----------------------------------------------------------------------

  #joined(data) {
    if (data.conn_id === this.#me?.conn_id) return;
    const news = this.#spotted(data);
    const returned = this.#cancelFarewell(keyOf(data));
    if (news && !returned) this.#log.came(`${data.name} came in`, data.at);
  }

  /** Tell a newcomer that we are here; not all of us at the same moment. */
  #hello(data) {
    this.#spotted(data);
    if (data.conn_id === this.#me?.conn_id) return;
    const spread = Math.min(2000, 40 * this.#roster.people("").length);
    setTimeout(() => this.#line.send({ type: "here", to: data.conn_id }), Math.random() * spread);
  }

  #left({ conn_id, at }) {
    if (conn_id === this.#me?.conn_id) return; // our last line, not we
    const gone = this.#roster.leave(conn_id);
    this.#showPeople();
    if (!gone) return;
    this.#cancelFarewell(gone.key);
    const farewell = () => {
      this.#farewells.delete(gone.key);
      this.#log.came(`${gone.name} left`, at);
    };
    this.#farewells.set(gone.key, setTimeout(farewell, FAREWELL_MS));
  }

  #cancelFarewell(key) {
    clearTimeout(this.#farewells.get(key));
    return this.#farewells.delete(key);
  }

  #spotted(person) {
    const news = this.#roster.see(person, seconds());
    this.#showPeople();
    return news;
  }

  #showPeople() {
    showPeople(this.#roster.people(this.#me ? keyOf(this.#me) : ""));
  }

  /** Say now and then that we are still here, more rarely in a crowd. */
  #refresh() {
    const period = REFRESH_MS * Math.max(1, this.#roster.people("").length / 20);
    this.#roster.forget(seconds() - (3 * period) / 1000, this.#me?.conn_id);
    this.#showPeople();
    this.#line.send({ type: "here" });
    setTimeout(() => this.#refresh(), period * (0.8 + Math.random() * 0.4));
  }
}
