// Types of tbtwist.js; docs/javascript.md describes what they mean.

export type State = "connecting" | "open" | "waiting" | "closed";

/** One address, several to choose from, or a function that says; relative ones are the page's. */
export type Url = string | string[] | (() => string | string[] | Promise<string | string[]>);

export interface Options {
  /** A JWT or a session's value; a function is asked again for each attempt. */
  token?: string | null | (() => string | null | Promise<string | null>);
  /** How the token is sent: as the subprotocol `bearer.TOKEN` (default), or in the query. */
  tokenIn?: "protocol" | "query";
  /** Whether to get what was missed when the connection comes back. Default: true. */
  resume?: boolean;
  firstDelayMs?: number;
  longestDelayMs?: number;
  restartSpreadMs?: number;
  pingEveryMs?: number;
  pingTimeoutMs?: number;
  confirmAfterMs?: number;
  callTimeoutMs?: number;
  queueMessages?: number;
  queueBytes?: number;
  /** Whether to connect again after this close code; undefined: as usual. */
  shouldRetry?: (code: number) => boolean | undefined;
  WebSocket?: typeof WebSocket;
  random?: () => number;
}

export type ErrorCode =
  | "QUEUE_FULL" // too much waits to be sent; nothing was taken
  | "CLOSED" // the connection is closed for good
  | "TIMEOUT" // no answer in time; it may have been done or not
  | "INTERRUPTED"; // the connection broke; it may have been done or not

/** Codes beside `ErrorCode` are the server's: NOT_FOUND, ACCESS_DENIED, BAD_ARGUMENT, … */
export class TbtwistError extends Error {
  readonly code: ErrorCode | (string & {});
  readonly exec_code?: number;
}

export interface Person {
  conn_id: string;
  user_id: string;
  user_name: string;
}

/** Apply `left` first; `more` means that somebody is not named. */
export interface Presence {
  channel: string;
  joined: Person[];
  left: Person[];
  more: boolean;
}

export interface Resumed {
  /** Whether every message of all channels has come. */
  recovered: boolean;
  channels: Record<string, { recovered: boolean; messages: number }>;
  /** Why not, where the token did not count. */
  reason?: string;
}

export interface Closed {
  code: number;
  reason: string;
  /** Whether it stays closed until `reconnect()`. */
  final: boolean;
  retryInMs?: number;
}

export interface Events {
  /** What arrived: JSON's value, text that is no JSON, or an ArrayBuffer. */
  message: (data: any, about: { channel: string | null }) => void;
  open: (about: { connId: string; resuming: boolean }) => void;
  close: (about: Closed) => void;
  resumed: (about: Resumed) => void;
  /** Messages of channels may be missing: fetch what the page shows anew. */
  missed: (about: { broadcasts?: number }) => void;
  /** Sent, and then the connection broke: nobody can say whether they were handled. */
  unconfirmed: (messages: unknown[]) => void;
  /** Never sent, and now never will be. */
  unsent: (messages: unknown[]) => void;
  presence: (notice: Presence) => void;
  /** A ping was answered, through the application's worker, after so many ms. */
  pong: (ms: number) => void;
  state: (about: { state: State } & Partial<Closed> & { connId?: string }) => void;
}

export interface ChannelEvents {
  message: (data: any) => void;
  presence: (notice: Presence) => void;
}

/** `on` and `once` return a function that ends it. */
export interface Emitter<E> {
  on<K extends keyof E>(event: K, listener: E[K]): () => void;
  once<K extends keyof E>(event: K, listener: E[K]): () => void;
  off<K extends keyof E>(event: K, listener: E[K]): void;
}

export interface Channel extends Emitter<ChannelEvents> {
  readonly name: string;
}

export interface Connection extends Emitter<Events> {
  readonly state: State;
  readonly connId: string;
  readonly queued: number;
  send(data: unknown, options?: { idempotent?: boolean }): "sent" | "queued";
  call<T = any>(
    module: string,
    name: string,
    args?: Record<string, unknown>,
    options?: { timeout?: number; idempotent?: boolean },
  ): Promise<T>;
  channel(name: string): Channel;
  reconnect(): void;
  close(code?: number, reason?: string): void;
}

export function connect(url: Url, options?: Options): Connection;
