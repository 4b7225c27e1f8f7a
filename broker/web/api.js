// The API of the broker.

const KEY = "drover-token";
let token = sessionStorage.getItem(KEY) ?? "";

export class ApiError extends Error {
  constructor(status, code, text) {
    super(text);
    this.status = status;
    this.code = code;
  }
}

export function setToken(text) {
  token = text;
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

export function tokenOf() {
  return token;
}

export function hasToken() {
  return token !== "";
}

function headers() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function failure(answer) {
  let error = {};
  try {
    error = (await answer.json()).error ?? {};
  } catch {
    // no body, or not ours: the number says enough
  }
  return new ApiError(answer.status, error.code ?? "", error.text ?? answer.statusText);
}

export async function get(path) {
  const answer = await fetch(`/api/v1/${path}`, { headers: headers(), cache: "no-store" });
  if (!answer.ok) throw await failure(answer);
  return answer.json();
}

export async function post(path) {
  const answer = await fetch(`/api/v1/${path}`, { method: "POST", headers: headers() });
  if (!answer.ok) throw await failure(answer);
  return answer.json();
}
