/* Asking the manager. What changes something carries the token that only this page got. */

let csrf = "";

export class Failed extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(method, path, body) {
  const headers = {};
  if (method !== "GET") {
    headers["Content-Type"] = "application/json";
    headers["X-CSRF-Token"] = csrf;
  }
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
    });
  } catch {
    throw new Failed(0, "The manager does not answer.");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Failed(answer.status, found.message || `It answered with ${answer.status}.`);
  return found;
}

export const get = (path) => ask("GET", path);
export const post = (path, body = {}) => ask("POST", path, body);

export async function logIn(token) {
  const session = await post("/login", { token });
  csrf = session.csrf_token;
}

/* Whether this browser is in already; throws what else is wrong. */
export async function isIn() {
  try {
    const session = await get("/api/session");
    csrf = session.csrf_token || "";
    return true;
  } catch (error) {
    if (error.status === 403) return false;
    throw error;
  }
}
