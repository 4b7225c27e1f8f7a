// What was said about a task when it was submitted, as `drover show` tells it.

import { h } from "./dom.js";
import { bytes, ms } from "./format.js";

const PARENTS_MAX = 8; // named; the others are counted
const AMOUNTS = { memory: ["memory", bytes], memory_bytes: ["memory", bytes], output_bytes: ["output", bytes], cpu_ms: ["processor time", ms] };

function pairs(map) {
  return Object.entries(map).map(([key, text]) => `${key}=${text}`).join(", ");
}

function amounts(map) {
  return Object.entries(map).map(([key, amount]) => {
    const [name, format] = AMOUNTS[key] ?? [key, String];
    return `${name} ${format(amount)}`;
  }).join(", ");
}

function parents(list) {
  const named = list.slice(0, PARENTS_MAX).map((parent, i) => {
    const name = parent.index >= 0 ? `${parent.id}.${parent.index}` : parent.id;
    return [i > 0 && ", ", h("a", { class: "mono", href: `#/task/${name}` }, name), ` ${parent.state ?? ""}${parent.when === "ended" ? " (or ended)" : ""}`];
  });
  return h("span", {}, named, list.length > PARENTS_MAX && `, and ${list.length - PARENTS_MAX} more`);
}

const OPTIONS = [
  ["group", "Group", String], ["tags", "Tags", pairs], ["key", "Key", String], ["schedule", "Schedule", String],
  ["fairness", "Fairness key", String], ["needs", "Needs", amounts], ["require", "Labels wanted", pairs], ["limits", "Limits", amounts],
  ["backoff_ms", "Backoff", ms], ["backoff_max_ms", "Backoff at most", ms], ["keep_ms", "Kept for", ms],
  ["expire_ms", "Expires after", ms], ["expires_in_ms", "Expires in", ms], ["parents", "Waits for, or has waited for", parents],
];

// Pairs for facts(): those it has.
export function options(task) {
  return OPTIONS.filter(([key]) => task[key] !== undefined && task[key] !== null && (typeof task[key] !== "object" || Object.keys(task[key]).length > 0))
    .map(([key, title, format]) => [title, format(task[key])]);
}
