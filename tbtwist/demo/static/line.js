// The WebSocket that stays: reconnects with exponential backoff and jitter, notices a dead
// line by itself, and measures the way there and back.

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;
const BEAT_MS = 10_000;
const SERVICE_RESTART = 1012;

export class Line {
  #urls; #on; #socket = null; #timer = 0; #beat = 0; #failures = 0; #asked = 0; #wanted = false;

  /**
   * urls() gives the addresses to choose from. on.state({kind, seconds, code}) is told what
   * becomes of the line, on.message(object) what arrives, on.rtt(ms) how long a beat took.
   */
  constructor(urls, on) {
    this.#urls = urls;
    this.#on = on;
    addEventListener("online", () => this.hurry());
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  open() {
    this.close();
    this.#wanted = true;
    this.#connect();
  }

  close() {
    this.#wanted = false;
    this.#drop();
  }

  /** Do not wait for the next attempt. */
  hurry() {
    if (this.#wanted && !this.#socket) this.#connect();
  }

  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Ask who is at the other end: its answer is the beat of this line. */
  beat() {
    if (this.#asked) return this.#lost(1006);
    this.#asked = performance.now();
    this.send({ type: "whoami" });
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#on.state({ kind: "connecting" });
    const urls = this.#urls();
    const socket = new WebSocket(urls[this.#failures % urls.length]);
    this.#socket = socket;
    socket.onmessage = (event) => this.#socket === socket && this.#received(event.data);
    socket.onclose = (event) => this.#socket === socket && this.#lost(event.code);
    // A line that is neither open nor refused after a while is treated as lost.
    this.#timer = setTimeout(() => this.#socket === socket && this.#lost(1006), BEAT_MS);
  }

  #received(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message?.event === "welcome") this.#welcomed();
    if (message?.event === "you" && this.#asked) {
      this.#on.rtt(performance.now() - this.#asked);
      this.#asked = 0;
    }
    this.#on.message(message);
  }

  #welcomed() {
    clearTimeout(this.#timer);
    clearInterval(this.#beat);
    this.#failures = 0;
    this.#asked = 0;
    this.#beat = setInterval(() => this.beat(), BEAT_MS);
    this.#on.state({ kind: "open" });
  }

  #lost(code) {
    this.#drop();
    const delay = this.#delay(code);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(), delay);
    this.#on.state({ kind: navigator.onLine ? "waiting" : "offline", seconds: Math.ceil(delay / 1000), code });
  }

  /** Soon after a restart that was announced, spread over a second; else later each time. */
  #delay(code) {
    if (code === SERVICE_RESTART && this.#failures === 0) return 100 + Math.random() * 900;
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures);
    return ceiling / 2 + Math.random() * (ceiling / 2);
  }

  #drop() {
    clearTimeout(this.#timer);
    clearInterval(this.#beat);
    this.#asked = 0;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }
}
