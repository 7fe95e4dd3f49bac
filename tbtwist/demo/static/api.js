// Calls of the module Chat over HTTP. A reply is an envelope, {error, result: {data}, info};
// a failure is {error, message} with a status.

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Call Chat/<name>; resolves to {data, ms} or rejects with an ApiError to show. */
export async function call(name, args, method = "GET") {
  const url = new URL(`/api/Chat/${name}`, location.href);
  const options = { method, headers: { Accept: "application/json" }, cache: "no-store" };
  if (method === "GET") url.search = new URLSearchParams(args ?? {});
  else {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(args ?? {});
  }
  const begun = performance.now();
  let response, body;
  try {
    response = await fetch(url, options);
    body = await response.json();
  } catch {
    throw new ApiError(response?.status ?? 0, "The server cannot be reached. Try again in a moment.");
  }
  if (!response.ok) throw new ApiError(response.status, body?.message || `The server answered ${response.status}.`);
  return { data: body.result?.data ?? {}, ms: performance.now() - begun };
}
