// The API of the broker, and its stream.

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

// Reads the stream for ever, over restarts of the broker. on(kind, data); onState("on" | "off")
export async function listen(on, onState) {
  let pause = 500;
  for (;;) {
    try {
      const answer = await fetch("/api/v1/events", { headers: headers(), cache: "no-store" });
      if (!answer.ok) throw await failure(answer);
      onState("on");
      pause = 500;
      await read(answer.body.getReader(), on);
      onState("off");
    } catch (error) {
      onState("off", error);
    }
    await new Promise((resume) => setTimeout(resume, pause));
    pause = Math.min(5000, pause * 2);
  }
}

async function read(reader, on) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      deliver(text.slice(0, end), on);
      text = text.slice(end + 2);
    }
  }
}

function deliver(block, on) {
  let kind = "";
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) kind = line.slice(7);
    if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (data) on(kind, JSON.parse(data));
}
