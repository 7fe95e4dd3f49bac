/* Small words for the page: finding, filling, formatting. Text is only ever text. */

export const $ = (id) => document.getElementById(id);

export function stamp(template) {
  return $(template).content.firstElementChild.cloneNode(true);
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/* Writes only what is new, so that a selection or a focus survives a second's tick. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function announce(text) {
  $("announce").textContent = text;
}

export function duration(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([length]) => left >= length);
  if (first < 0 || first === 3) return `${left} s`;
  const [length, unit] = units[first];
  const [small, smallUnit] = units[first + 1];
  const rest = Math.floor((left % length) / small);
  return `${Math.floor(left / length)} ${unit}` + (rest ? ` ${rest} ${smallUnit}` : "");
}

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function count(value) {
  return plain.format(value);
}

/* Three digits are enough to see what is going on. */
export function rate(value) {
  if (value === 0) return "0";
  if (value < 10) return value.toFixed(1);
  return value < 100_000 ? plain.format(value) : `${plain.format(value / 1000)}k`;
}

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 10) return `${value.toFixed(1)} ms`;
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function mebibytes(value) {
  return value < 1024 ? `${Math.round(value)} MiB` : `${(value / 1024).toFixed(1)} GiB`;
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}
