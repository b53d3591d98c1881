// The API as the pages use it: the same endpoints that programs have, with the session's cookie and its CSRF token.

/** An answer that is no success; `code` and `message` are the API's. */
export class ApiFailure extends Error {
  constructor(status, code, message, details = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

/** Ask the API; returns the JSON (null when there is none). Throws ApiFailure; `seconds` is the longest wait. */
export async function call(method, path, body = undefined, seconds = 90) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = document.querySelector('meta[name="csrf-token"]').content;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      signal: AbortSignal.timeout(seconds * 1000),
    });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new ApiFailure(0, late ? "no_answer" : "unreachable", late ? "The server did not answer in time." : "The server cannot be reached.");
  }
  const text = await response.text();
  let content = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiFailure(response.status, "no_json", `The server answered ${response.status} with something that is no JSON.`);
  }
  if (response.ok) return content;
  const error = content?.error ?? {};
  throw new ApiFailure(response.status, error.code ?? "failed", error.message ?? `The server answered ${response.status}.`, error.details ?? {});
}

/** What went wrong, in a sentence for people. */
export function explain(failure) {
  if (!(failure instanceof ApiFailure)) return String(failure?.message ?? failure);
  const problems = (failure.details.problems ?? []).map((each) => `${each.field}: ${each.message}`);
  const text = problems.length ? `${failure.message} (${problems.join("; ")})` : failure.message;
  return text.charAt(0).toUpperCase() + text.slice(1);
}
