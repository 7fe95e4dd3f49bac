// tbtwist.js: WebSockets of tbtwist for browsers. One file, no dependencies, an ES module.
//
//   import * as tbtwist from "/tbtwist.js";
//   const tb = tbtwist.connect("/ws/Chat/room");
//   tb.on("message", (message) => …);
//   const sum = await tb.call("Shop", "sum", { cart: 7 });
//
// It reconnects, gets what its channels said meanwhile, and says what it does not know.
// docs/javascript.md describes all of it.

const RS = "\u001e";
const STABLE_MS = 5000;
const OPENING_MS = 15_000;
const MAX_PUBLISHERS = 32;
const BUSY_MS = 30_000;

const DEFAULTS = {
  token: null,
  tokenIn: "protocol",
  resume: true,
  firstDelayMs: 500,
  longestDelayMs: 20_000,
  restartSpreadMs: 1000,
  pingEveryMs: 25_000,
  pingTimeoutMs: 10_000,
  confirmAfterMs: 1000,
  callTimeoutMs: 30_000,
  queueMessages: 100,
  queueBytes: 256 * 1024,
  WebSocket: globalThis.WebSocket,
  random: Math.random,
};

/** What can go wrong; `code` says what, for programs. */
export class TbtwistError extends Error {
  constructor(code, message, details = {}) {
    super(message);
    this.name = "TbtwistError";
    this.code = code;
    Object.assign(this, details);
  }
}

/** Open a connection that stays. `url` is one, several to choose from, or a function. */
export function connect(url, options = {}) {
  return new Connection(url, { ...DEFAULTS, ...options });
}

class Emitter {
  #listeners = new Map();

  on(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => this.off(event, listener);
  }

  once(event, listener) {
    const off = this.on(event, (...args) => (off(), listener(...args)));
    return off;
  }

  off(event, listener) {
    this.#listeners.get(event)?.delete(listener);
  }

  /** Tell all listeners; one that fails does not keep the others from hearing it. */
  emit(event, ...args) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(...args);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** One channel: `message` (data) and `presence` ({joined, left, more}). */
class Channel extends Emitter {
  constructor(name) {
    super();
    this.name = name;
  }
}

/** What has been seen of each publisher's broadcasts. */
class Positions {
  #seen = new Map();

  /** Take note of a position; false if it is not news. */
  take(mark, number) {
    if (number <= (this.#seen.get(mark) ?? 0)) return false;
    this.#seen.delete(mark);
    this.#seen.set(mark, number);
    if (this.#seen.size > MAX_PUBLISHERS) this.#seen.delete(this.#seen.keys().next().value);
    return true;
  }

  toString() {
    return [...this.#seen].map(([mark, number]) => `${mark}.${number}`).join(",");
  }
}

/** What is to be sent, in order: what waits, and what was sent and is not confirmed. */
class Outbox {
  waiting = [];
  unconfirmed = [];
  #bytes = 0;

  constructor(messages, bytes) {
    this.limit = { messages, bytes };
  }

  add(entry) {
    const full = this.waiting.length >= this.limit.messages || this.#bytes + entry.size > this.limit.bytes;
    if (full) throw new TbtwistError("QUEUE_FULL", "Too much waits to be sent.");
    this.#bytes += entry.size;
    this.waiting.push(entry);
  }

  next() {
    const entry = this.waiting.shift();
    if (entry) this.#bytes -= entry.size;
    return entry;
  }

  remove(entry) {
    const at = this.waiting.indexOf(entry);
    if (at >= 0) this.#bytes -= this.waiting.splice(at, 1)[0].size;
    this.unconfirmed = this.unconfirmed.filter((other) => other !== entry);
  }

  /** These, and whatever was sent before them, have been handled. */
  confirm(entries) {
    const last = Math.max(...[...entries].map((entry) => this.unconfirmed.indexOf(entry)), -1);
    this.unconfirmed.splice(0, last + 1);
  }

  /** The connection broke: what may be sent again waits once more; return the rest. */
  interrupt(again) {
    const broken = this.unconfirmed;
    this.unconfirmed = [];
    const back = broken.filter((entry) => entry.idempotent && again);
    for (const entry of back) this.#bytes += entry.size;
    this.waiting.unshift(...back);
    return broken.filter((entry) => !back.includes(entry));
  }
}

class Connection extends Emitter {
  #url; #options; #outbox;
  #socket = null;
  #state = "connecting";
  #wanted = true;
  #failures = 0;
  #attempt = 0;
  #timer = 0; // of the next attempt, or until the handshake must be done
  #beat = 0; // until the next ping, or until it must be answered
  #stable = 0;
  #ping = null; // {id, entries, at}: the ping that waits for its answer, and what that confirms
  #pingAt = 0; // when the next one is due
  #lastId = 0;
  #calls = new Map(); // id → {entry, resolve, reject, timer}
  #channels = new Map();
  #positions = new Positions();
  #token = "";
  #resuming = false;
  #stop = [];

  connId = "";

  constructor(url, options) {
    super();
    this.#url = url;
    this.#options = options;
    this.#outbox = new Outbox(options.queueMessages, options.queueBytes);
    this.#watchTheWorld();
    queueMicrotask(() => this.#wanted && this.#open());
  }

  /** "connecting", "open", "waiting" (for the next attempt), or "closed" (for good). */
  get state() {
    return this.#state;
  }

  /** How many messages wait for a connection. */
  get queued() {
    return this.#outbox.waiting.length;
  }

  /** The channel called `name`; what it says is told to its listeners as well. */
  channel(name) {
    if (!this.#channels.has(name)) this.#channels.set(name, new Channel(name));
    return this.#channels.get(name);
  }

  /**
   * Send a string, bytes, or anything else as JSON. Returns "sent" or "queued"; throws
   * QUEUE_FULL or CLOSED. What is `idempotent` is sent again if the connection breaks before
   * the server has confirmed it; all else is reported then ("unconfirmed").
   */
  send(data, { idempotent = false } = {}) {
    return this.#enqueue({ data: packed(data), original: data, idempotent });
  }

  /** Call an API function; resolves to its data, or rejects with a TbtwistError. */
  call(module, name, args = {}, { timeout = this.#options.callTimeoutMs, idempotent = false } = {}) {
    const id = this.#newId("c");
    const data = JSON.stringify({ type: "call", id, module, function: name, args });
    return new Promise((resolve, reject) => {
      const entry = { data, original: null, idempotent, id };
      this.#enqueue(entry);
      const timer = setTimeout(() => this.#settle(id, "reject", tooLate(module, name, timeout)), timeout);
      this.#calls.set(id, { entry, resolve, reject, timer });
    });
  }

  /** Connect again now: after "closed", or instead of waiting. */
  reconnect() {
    if (this.#socket) return;
    if (!this.#wanted) this.#watchTheWorld();
    this.#wanted = true;
    this.#open();
  }

  /** Close for good; calls that wait are rejected. */
  close(code = 1000, reason = "") {
    this.#wanted = false;
    this.#unwatch();
    this.#drop(code, reason);
    this.#broken(false);
    this.#giveUp("CLOSED", "The connection was closed.");
    if (this.#state !== "closed") {
      this.#become("closed", { code, reason, final: true });
      this.emit("close", { code, reason, final: true });
    }
  }

  // --- sending -----------------------------------------------------------------------

  #enqueue(entry) {
    if (this.#state === "closed") throw new TbtwistError("CLOSED", "The connection is closed.");
    entry.size = entry.data.length ?? entry.data.byteLength;
    this.#outbox.add(entry);
    this.#flush();
    return this.#outbox.waiting.includes(entry) ? "queued" : "sent";
  }

  #flush() {
    if (this.#state !== "open") return;
    let sent = null;
    while (this.#outbox.waiting.length && this.#outbox.unconfirmed.length < 4 * this.#options.queueMessages) {
      sent = this.#outbox.next();
      this.#socket.send(sent.data);
      this.#outbox.unconfirmed.push(sent);
    }
    if (sent) this.#confirmSoon();
  }

  /** Ask for a pong soon: messages are handled in order, so it confirms what was sent before. */
  #confirmSoon() {
    if (!this.#ping && this.#pingAt > performance.now() + this.#options.confirmAfterMs) {
      this.#pingAfter(this.#options.confirmAfterMs);
    }
  }

  #pingAfter(ms) {
    this.#pingAt = performance.now() + ms;
    this.#beatAfter(ms, () => this.#askForPong());
  }

  #askForPong() {
    const entries = new Set(this.#outbox.unconfirmed);
    const id = this.#newId("p");
    this.#ping = { id, entries, at: performance.now() };
    this.#socket.send(JSON.stringify({ type: "ping", id }));
    const patience = this.#options.pingTimeoutMs + (entries.size ? BUSY_MS : 0);
    this.#beatAfter(patience, () => this.#lost(1006, "no answer"));
  }

  #pong() {
    const { entries, at } = this.#ping;
    this.#ping = null;
    this.#outbox.confirm(entries);
    this.#pingAfter(this.#outbox.unconfirmed.length ? this.#options.confirmAfterMs : this.#options.pingEveryMs);
    this.emit("pong", performance.now() - at);
    this.#flush();
  }

  #beatAfter(ms, what) {
    clearTimeout(this.#beat);
    this.#beat = setTimeout(what, ms);
  }

  #newId(kind) {
    this.#lastId += 1;
    return `tb-${kind}${this.#lastId}`;
  }

  /** An answer confirms its call, and what was sent before that. */
  #answered(id, how, value) {
    const call = this.#calls.get(id);
    if (call) this.#outbox.confirm([call.entry]);
    return this.#settle(id, how, value);
  }

  #settle(id, how, value) {
    const call = this.#calls.get(id);
    if (!call) return false;
    this.#calls.delete(id);
    clearTimeout(call.timer);
    this.#outbox.remove(call.entry);
    call[how](value);
    return true;
  }

  // --- the connection ------------------------------------------------------------------

  async #open() {
    clearTimeout(this.#timer);
    const attempt = ++this.#attempt;
    this.#become("connecting", {});
    try {
      const [address, protocols] = await this.#address();
      if (attempt !== this.#attempt || !this.#wanted) return;
      this.#listen(new this.#options.WebSocket(address, protocols));
    } catch (error) {
      if (attempt === this.#attempt && this.#wanted) this.#lost(1006, String(error?.message ?? error));
    }
  }

  /** Where to connect, and the subprotocols to offer. */
  async #address() {
    const { resume, tokenIn } = this.#options;
    const [given, token] = await Promise.all([evaluate(this.#url), evaluate(this.#options.token)]);
    const urls = [given].flat();
    const url = new URL(urls[this.#failures % urls.length], globalThis.location?.href);
    url.protocol = url.protocol.replace("http", "ws");
    const query = [];
    if (token && tokenIn === "query") query.push(`token=${encodeURIComponent(token)}`);
    if (resume) query.push(`resume=${this.#token || 1}`);
    if (resume && this.#token && String(this.#positions)) query.push(`seen=${this.#positions}`);
    url.search += (url.search ? "&" : "?") + query.join("&");
    url.hash = "";
    return [url.href, token && tokenIn === "protocol" ? ["tbtwist.v1", `bearer.${token}`] : []];
  }

  #listen(socket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#socket === socket && this.#received(data);
    socket.onclose = ({ code, reason }) => this.#socket === socket && this.#lost(code, reason);
    socket.onerror = () => {}; // what matters follows as onclose
    this.#timer = setTimeout(() => this.#socket === socket && this.#lost(1006, "no answer"), OPENING_MS);
  }

  #greeted({ conn_id, resume = "", resuming = false }) {
    clearTimeout(this.#timer);
    const expected = Boolean(this.#token);
    this.connId = conn_id;
    this.#resuming = resuming;
    if (!resuming) {
      this.#token = resume;
      this.#positions = new Positions();
    }
    this.#stable = setTimeout(() => (this.#failures = 0), STABLE_MS);
    this.#become("open", { connId: conn_id });
    this.emit("open", { connId: conn_id, resuming });
    if (resuming) return;
    if (expected) this.#resumed({ recovered: false, channels: {}, reason: "not offered" });
    else this.#begin();
  }

  /** What was missed has come: now it is our turn. */
  #begin() {
    this.#resuming = false;
    this.#pingAfter(this.#options.pingEveryMs);
    this.#flush();
  }

  #lost(code, reason) {
    this.#drop();
    const again = code !== 1009;
    this.#broken(again);
    const final = !this.#wanted || !this.#mayRetry(code);
    if (final) return this.#end(code, reason);
    const delay = this.#delay(code);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#open(), delay);
    this.#become("waiting", { code, reason, retryInMs: delay });
    this.emit("close", { code, reason, final: false, retryInMs: delay });
  }

  #end(code, reason) {
    this.#wanted = false;
    this.#unwatch();
    this.#giveUp("CLOSED", `The server closed the connection (${code}${reason ? `: ${reason}` : ""}).`);
    this.#token = "";
    this.#become("closed", { code, reason, final: true });
    this.emit("close", { code, reason, final: true });
  }

  /** The application's own codes, a normal end, and a token that is no good are final. */
  #mayRetry(code) {
    const { shouldRetry, token } = this.#options;
    if (shouldRetry) {
      const wanted = shouldRetry(code);
      if (wanted !== undefined) return wanted;
    }
    if (code === 1008) return typeof token === "function" && this.#failures < 3;
    return code !== 1000 && !(code >= 4000 && code <= 4999);
  }

  /** Full jitter: anything up to a ceiling that doubles. An announced restart is quick. */
  #delay(code) {
    const { firstDelayMs, longestDelayMs, restartSpreadMs, random } = this.#options;
    if (code === 1012 && this.#failures === 0) return random() * restartSpreadMs;
    const steps = this.#failures + (code === 1013 ? 2 : 0);
    return random() * Math.min(longestDelayMs, firstDelayMs * 2 ** steps);
  }

  #drop(code = 1000, reason = "") {
    this.#attempt += 1;
    for (const timer of [this.#timer, this.#beat, this.#stable]) clearTimeout(timer);
    this.#ping = null;
    const socket = this.#socket;
    this.#socket = null;
    this.#resuming = false;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close(code, reason);
  }

  /** Tell about what was under way: whether the server did it, nobody can say. */
  #broken(again) {
    const unknown = this.#outbox.interrupt(again);
    const messages = unknown.filter((entry) => !entry.id).map((entry) => entry.original);
    for (const { id } of unknown.filter((entry) => entry.id)) {
      const why = "The connection broke before the answer; it may have been done or not.";
      this.#settle(id, "reject", new TbtwistError("INTERRUPTED", why));
    }
    if (messages.length) this.emit("unconfirmed", messages);
  }

  #giveUp(code, message) {
    const unsent = this.#outbox.waiting.filter((entry) => !entry.id).map((entry) => entry.original);
    for (const id of [...this.#calls.keys()]) this.#settle(id, "reject", new TbtwistError(code, message));
    while (this.#outbox.next());
    if (unsent.length) this.emit("unsent", unsent);
  }

  #become(state, details) {
    this.#state = state;
    this.emit("state", { state, ...details });
  }

  // --- receiving -----------------------------------------------------------------------

  #received(data) {
    if (typeof data !== "string") return this.#receivedBytes(new Uint8Array(data));
    if (!this.#token || !data.startsWith(RS)) return this.#plain(data);
    const end = data.indexOf(RS, 1);
    this.#stamped(data.slice(1, end), data.slice(end + 1));
  }

  #receivedBytes(bytes) {
    if (!this.#token || bytes[0] !== 0x1e) return this.#deliver(bytes.buffer, null);
    const end = bytes.indexOf(0x1e, 1);
    this.#stamped(new TextDecoder().decode(bytes.subarray(1, end)), bytes.slice(end + 1).buffer);
  }

  /** Something behind a stamp: ours, a broadcast with its position, or just escaped. */
  #stamped(stamp, rest) {
    if (stamp === "!") return this.#told(JSON.parse(rest));
    if (stamp === "") return typeof rest === "string" ? this.#plain(rest) : this.#deliver(rest, null);
    const [position, channel] = stamp.split(" ");
    const [mark, number] = position.split(".");
    if (!this.#positions.take(mark, Number(number))) return;
    this.#deliver(typeof rest === "string" ? parsed(rest) : rest, channel === undefined ? null : decodeURIComponent(channel));
  }

  /** What is for one connection: the greeting, answers, or a message. */
  #plain(text) {
    const message = parsed(text);
    const { type, id } = message ?? {};
    if (this.#state === "connecting" && type === "connected") return this.#greeted(message);
    if (type === "pong" && id !== undefined && id === this.#ping?.id) return this.#pong();
    if (type === "response" && this.#answered(id, "resolve", message.data)) return;
    if (type === "error" && this.#answered(id, "reject", refused(message))) return;
    if (type === "presence" && !this.#token) return this.#presence(message);
    this.#deliver(message, null);
  }

  #told(message) {
    const { type, resume, ...rest } = message;
    if (resume) this.#token = resume;
    if (type === "resumed") this.#resumed(rest);
    else if (type === "missed") this.emit("missed", rest);
    else if (type === "presence") this.#presence(rest);
  }

  #resumed({ recovered, channels, reason }) {
    if (!recovered) this.emit("missed", {});
    this.emit("resumed", { recovered, channels, reason });
    this.#begin();
  }

  #presence({ channel, joined, left, more }) {
    const notice = { channel, joined, left, more };
    this.emit("presence", notice);
    this.#channels.get(channel)?.emit("presence", notice);
  }

  #deliver(data, channel) {
    this.emit("message", data, { channel });
    if (channel !== null) this.#channels.get(channel)?.emit("message", data);
  }

  // --- the world around ------------------------------------------------------------------

  /** Hurry when the network or the reader comes back; leave when the page does. */
  #watchTheWorld() {
    const hurry = () => (this.#state === "waiting" ? this.#open() : this.#probe());
    this.#onEvent(globalThis, "online", hurry);
    this.#onEvent(globalThis.document, "visibilitychange", () => document.hidden || hurry());
    this.#onEvent(globalThis, "pagehide", () => this.#pause());
    this.#onEvent(globalThis, "pageshow", (event) => event.persisted && this.#wanted && !this.#socket && this.#open());
  }

  #onEvent(target, event, listener) {
    if (!target?.addEventListener) return;
    target.addEventListener(event, listener);
    this.#stop.push(() => target.removeEventListener(event, listener));
  }

  #unwatch() {
    for (const stop of this.#stop.splice(0)) stop();
  }

  /** Look whether an open line still is one. */
  #probe() {
    if (this.#state === "open" && !this.#resuming && !this.#ping) this.#askForPong();
  }

  #pause() {
    this.#drop();
    this.#broken(true);
    this.#become("waiting", {});
  }
}

async function evaluate(value) {
  return typeof value === "function" ? value() : value;
}

function packed(data) {
  const asIs = typeof data === "string" || data instanceof ArrayBuffer || ArrayBuffer.isView(data);
  return asIs ? data : JSON.stringify(data);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function refused({ code, message, ...more }) {
  return new TbtwistError(code ?? "ERROR", message ?? "The call was refused.", more);
}

function tooLate(module, name, ms) {
  return new TbtwistError("TIMEOUT", `${module}.${name} did not answer within ${ms} ms.`);
}
