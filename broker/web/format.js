// Numbers as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function count(number) {
  if (typeof number !== "number" || !Number.isFinite(number)) return "–";
  if (Math.abs(number) < 100000) return whole.format(number);
  for (const [size, sign] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (Math.abs(number) >= size) return `${(number / size).toPrecision(3)}${sign}`;
  }
  return String(number);
}

export function rate(number) {
  if (typeof number !== "number" || !Number.isFinite(number)) return "–";
  return number >= 100 || number === 0 ? count(Math.round(number)) : number.toFixed(number < 10 ? 1 : 0);
}

export function bytes(number) {
  if (typeof number !== "number" || !Number.isFinite(number)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (number >= 1024 && i < units.length - 1) {
    number /= 1024;
    i++;
  }
  return `${i === 0 || number >= 100 ? Math.round(number) : number.toPrecision(3)} ${units[i]}`;
}

export function ms(number) {
  if (typeof number !== "number" || !Number.isFinite(number)) return "–";
  if (number < 0.001) return "0";
  if (number < 1) return `${Math.round(number * 1000)} µs`;
  if (number < 1000) return `${number < 10 ? number.toFixed(1) : Math.round(number)} ms`;
  return age(number);
}

export function age(number) {
  if (typeof number !== "number" || !Number.isFinite(number)) return "–";
  const seconds = number / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const two = (whole, unit, part, small) => (Math.floor(part) ? `${Math.floor(whole)} ${unit} ${Math.floor(part)} ${small}` : `${Math.floor(whole)} ${unit}`);
  if (seconds < 3600) return two(seconds / 60, "min", seconds % 60, "s");
  if (seconds < 86400) return two(seconds / 3600, "h", (seconds % 3600) / 60, "min");
  return two(seconds / 86400, "d", (seconds % 86400) / 3600, "h");
}

export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

export function clock(timeMs) {
  return new Date(timeMs).toLocaleTimeString("en-GB");
}

export function json(value) {
  return JSON.stringify(value, null, 2);
}

// A clock of today, with the date when it was another day.
export function moment(timeMs) {
  const at = new Date(timeMs);
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? clock(timeMs) : `${at.toLocaleDateString("en-CA")} ${clock(timeMs)}`;
}

export function ago(ageMs) {
  return typeof ageMs === "number" ? `${age(ageMs)} ago` : "–";
}

// Texts of the broker have seconds as numbers: people read minutes and hours.
export function human(text) {
  return String(text ?? "").replace(/\b(\d+(?:\.\d+)?) s\b/g, (all, seconds) => (seconds >= 60 ? age(seconds * 1000) : all));
}
