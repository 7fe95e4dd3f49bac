// The WebSocket that stays: tbtwist.js, and a beat that asks who is at the other end and
// measures the way there and back.

import * as tbtwist from "/tbtwist.js";

const BEAT_MS = 10_000;

export class Line {
  #urls; #on; #tb = null; #beat = 0; #asked = 0;

  /**
   * urls() gives the addresses to choose from. on.state({kind, seconds, code}) is told what
   * becomes of the line, on.message(object) what arrives, on.rtt(ms) how long a beat took, and
   * on.missed() that something may be missing.
   */
  constructor(urls, on) {
    this.#urls = urls;
    this.#on = on;
  }

  /** Open a new line; whatever an old one still had to send goes with it. */
  open() {
    clearInterval(this.#beat);
    this.#tb?.close();
    const tb = (this.#tb = tbtwist.connect(this.#urls));
    tb.on("message", (message) => this.#received(message));
    tb.on("missed", () => this.#on.missed());
    tb.on("state", (about) => this.#tb === tb && this.#became(about));
    this.#beat = setInterval(() => this.beat(), BEAT_MS);
  }

  /** Do not wait for the next attempt. */
  hurry() {
    this.#tb?.reconnect();
  }

  /** Send what may arrive twice; false if there is no room for it. */
  send(message) {
    try {
      this.#tb.send(message, { idempotent: true });
      return true;
    } catch {
      return false;
    }
  }

  /** Ask who is at the other end. */
  beat() {
    if (this.#tb.state !== "open") return;
    this.#asked = performance.now();
    this.#tb.send({ type: "whoami" });
  }

  #received(message) {
    if (message?.event === "you" && this.#asked) {
      this.#on.rtt(performance.now() - this.#asked);
      this.#asked = 0;
    }
    this.#on.message(message);
  }

  #became({ state, code, retryInMs = 0 }) {
    this.#asked = 0;
    const kind = state === "waiting" && !navigator.onLine ? "offline" : state;
    this.#on.state({ kind, code, seconds: Math.ceil(retryInMs / 1000) });
  }
}
