// The page's end of the stream: a worker that it shares with the other pages of this browser, or, where there is
// none, a stream of its own. A page that nobody sees has neither: what it missed it is told when it is seen again.

import { tokenOf } from "./api.js";
import { Feed, Stream } from "./sse.js";

const NAME = "drover 1"; // another one when the messages change: a worker outlives the page that made it
const PATIENCE_MS = 3000; // with a worker that says nothing

const isSeen = () => document.visibilityState !== "hidden";

// on(kind, data): "status", "event", "backlog" (all that is known, oldest first); onState("on" | "off", failure?).
// What comes back is to be called when the token has changed.
export function listen(on, onState) {
  let port = null;
  let own = null;
  let feed = null;

  function alone() {
    port = null;
    feed = new Feed();
    own = new Stream(tokenOf(), (kind, data) => {
      if (kind === "event") feed.add(data);
      on(kind, data);
    }, onState);
    tell();
  }

  function tell() {
    if (port) {
      port.postMessage({ token: tokenOf(), isSeen: isSeen() });
    } else if (own) {
      if (isSeen()) own.start();
      else own.stop();
    }
  }

  function share() {
    const worker = new SharedWorker("/stream_worker.js", { type: "module", name: NAME });
    const timer = setTimeout(giveUp, PATIENCE_MS);
    function giveUp() {
      clearTimeout(timer);
      if (port !== worker.port) return;
      worker.port.postMessage({ isGone: true });
      worker.port.onmessage = null;
      alone();
    }
    worker.addEventListener("error", giveUp);
    port = worker.port;
    port.onmessage = ({ data: [kind, data] }) => {
      clearTimeout(timer);
      if (kind === "state") onState(...data);
      else if (kind !== "hello") on(kind, data);
    };
    tell();
  }

  document.addEventListener("visibilitychange", tell);
  window.addEventListener("pagehide", () => {
    port?.postMessage({ isGone: true });
    own?.stop();
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) tell();
  });
  if (window.SharedWorker) share();
  else alone();
  return () => {
    if (own) {
      own.stop();
      alone();
    } else {
      tell();
    }
  };
}
