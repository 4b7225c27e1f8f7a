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
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
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
