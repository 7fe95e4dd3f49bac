/* The charts, drawn by uPlot (uplot/LICENSE.txt). All share one time axis and one cursor. */

import { $, clock, count, element, milliseconds, rate, stamp, write } from "./dom.js";

/* Positions in a sample: see tbtwist/webui/history.py. */
const AT = 0, KEPT = 900;
const CHARTS = [
  { title: "Requests a second", wide: true, show: rate, series: [
    { name: "all", at: 1, colour: "--sea", fill: true }, { name: "failed", at: 2, colour: "--ember" }] },
  { title: "Latency in ms", wide: true, least: 1, show: milliseconds, series: [
    { name: "p50", at: 3, colour: "--sea" }, { name: "p95", at: 4, colour: "--ochre" },
    { name: "p99", at: 5, colour: "--ember" }] },
  { title: "Connections", show: count, series: [
    { name: "WebSockets", at: 6, colour: "--sea", fill: true }, { name: "HTTP", at: 7, colour: "--ink-blue" }] },
  { title: "Bus messages a second", show: rate, series: [{ name: "", at: 8, colour: "--ink-blue", fill: true }] },
  { title: "Drops a second", show: rate, series: [{ name: "", at: 9, colour: "--ember", fill: true }] },
];

let samples = [];
let span = 300;
const made = [];

export function startCharts() {
  for (const chart of CHARTS) made.push(place(chart));
  const resized = new ResizeObserver(() => made.forEach(fit));
  made.forEach((each) => resized.observe(each.plot));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => made.forEach(rebuild));
  for (const button of document.querySelectorAll("[data-span]")) {
    button.addEventListener("click", () => choose(Number(button.dataset.span)));
  }
}

function choose(seconds) {
  span = seconds;
  for (const button of document.querySelectorAll("[data-span]")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.span) === seconds));
  }
  made.forEach(redraw);
}

function place(chart) {
  const figure = stamp("chart-template");
  figure.classList.toggle("wide", Boolean(chart.wide));
  write(figure.querySelector(".chart-title"), chart.title);
  const values = chart.series.map((series) => {
    const value = element("b");
    const key = element("span", { class: "key" }, series.name, " ", value);
    key.style.setProperty("--key", `var(${series.colour})`);
    figure.querySelector(".chart-values").append(key);
    return value;
  });
  $("charts").append(figure);
  const each = { chart, figure, values, plot: figure.querySelector(".plot"), drawn: null, hovered: null };
  rebuild(each);
  return each;
}

function rebuild(each) {
  if (each.drawn) each.drawn.destroy();
  const { width, height } = size(each);
  each.drawn = new uPlot(options(each, width, height), columns(each), each.plot);
}

function size(each) {
  return { width: Math.max(120, each.plot.clientWidth), height: Math.max(80, each.plot.clientHeight) };
}

function fit(each) {
  const { width, height } = size(each);
  if (each.drawn.width !== width || each.drawn.height !== height) each.drawn.setSize({ width, height });
}

function options(each, width, height) {
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--ink-2"), font: `11px ${colour("--sans")}`, ticks: { show: false }, grid: { stroke: colour("--rule"), width: 1 } };
  return {
    width, height,
    padding: [8, 22, 0, 0],
    legend: { show: false },
    cursor: { y: false, sync: { key: "tbtwist" }, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: true, range: () => range() }, y: { range: (_, low, high) => [0, Math.max(each.chart.least || 4, (high || 0) * 1.15)] } },
    axes: [
      { ...axis, size: 24, space: 70, grid: { show: false }, values: (_, ticks) => ticks.map((tick) => clock(tick).slice(0, isLong() ? 5 : 8)) },
      { ...axis, size: 46, space: 34, values: (_, ticks) => ticks.map((tick) => short(tick)) },
    ],
    series: [{}, ...each.chart.series.map((series) => ({
      stroke: colour(series.colour), width: 1.8, points: { show: false }, spanGaps: false,
      fill: series.fill ? `${colour(series.colour)}22` : undefined,
    }))],
    hooks: { setCursor: [(plot) => { each.hovered = plot.cursor.idx ?? null; tell(each); }] },
  };
}

function short(value) {
  if (value >= 1000) return `${value / 1000}k`;
  return String(Number(value.toFixed(2)));
}

/* A manager that has just started has little to show: then a minute is enough. */
function range() {
  if (!samples.length) return [0, 60];
  const end = samples.at(-1)[AT];
  return [Math.max(end - span, Math.min(samples[0][AT], end - 60)), end];
}

function isLong() {
  const [begin, end] = range();
  return end - begin > 240;
}

function shown() {
  const [begin] = range();
  return samples.filter((sample) => sample[AT] >= begin - 2);
}

function columns(each) {
  const visible = shown();
  return [AT, ...each.chart.series.map((series) => series.at)].map((at) => visible.map((sample) => sample[at]));
}

function redraw(each) {
  each.drawn.setData(columns(each));
  tell(each);
}

function tell(each) {
  const visible = shown();
  const sample = each.hovered === null ? visible.at(-1) : visible[each.hovered];
  each.chart.series.forEach((series, place) => write(each.values[place], sample ? each.chart.show(sample[series.at]) : "–"));
  if (!sample || each.hovered !== null) return;
  const told = each.chart.series.map((series) => `${series.name} ${each.chart.show(sample[series.at])}`.trim());
  each.plot.setAttribute("aria-label", `${each.chart.title}, now: ${told.join(", ")}`);
}

export function showHistory(history) {
  samples = history;
  made.forEach(redraw);
}

export function addSample(sample) {
  samples.push(sample);
  if (samples.length > KEPT) samples = samples.slice(-KEPT);
  made.forEach(redraw);
}
