// Starts the page: asks for streams and devices from time to time, and follows one stream live.

import { Chart } from "./chart.js";
import { Live } from "./live.js";
import { Series } from "./series.js";
import { showDevices, showLatest, showStreams, bytes, count } from "./tables.js";

const ASK_MS = 1000;
const DRAW_MS = 250;
/** So many records behind, the page leaves some out rather than show old ones. */
const BEHIND_MAX = 50_000;
const LATEST_MAX = 12;

const element = (id) => document.getElementById(id);
const series = new Series();
const chart = new Chart(element("chart"), element("series"), series);
const live = new Live(onRecord, onState);
let received = 0;
let latest = [];
let changed = false;
let rates = [];

function onRecord(record) {
  received += 1;
  changed = true;
  series.add(record);
  latest.unshift(record);
  latest.length = Math.min(latest.length, LATEST_MAX);
}

function onState(state) {
  element("link").dataset.state = state;
  element("link").textContent = { live: "live", connecting: "connecting", lost: "no connection" }[state];
}

async function ask(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function askAll() {
  try {
    const [{ streams }, { devices }] = await Promise.all([ask("/api/v1/streams"), ask("/api/v1/devices")]);
    showStreams(element("streams"), streams);
    showDevices(element("devices"), devices);
    offer(streams);
    await lookAt(streams.find((stream) => stream.name === element("stream").value));
  } catch {
    onState("lost");
  }
  setTimeout(askAll, ASK_MS);
}

/** Fills the list of streams to choose from; the first choice is the one with the most records. */
function offer(streams) {
  const select = element("stream");
  const names = streams.map((stream) => stream.name);
  const known = [...select.options].map((option) => option.value);
  if (names.join() === known.join()) return;
  const before = select.value;
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  const fullest = streams.reduce((a, b) => (b.records > a.records ? b : a), streams[0]);
  select.value = names.includes(before) ? before : (fullest?.name ?? "");
  if (select.value !== before) follow();
}

async function lookAt(stream) {
  if (!stream) return;
  element("stream-name").textContent = stream.name;
  element("records").textContent = count(stream.records);
  element("stored").textContent = bytes(stream.bytes);
  const { partition } = await ask(`/api/v1/streams/${encodeURIComponent(stream.name)}`);
  if (live.behind(partition) > BEHIND_MAX) live.skip();
}

function follow() {
  const name = element("stream").value;
  if (!name) return;
  series.clear();
  chart.clear();
  latest = [];
  live.follow(name, element("filter").value.trim());
}

function draw() {
  const now = performance.now();
  rates.push([now, received]);
  while (rates.length > 2 && now - rates[0][0] > 3000) rates.shift();
  const [then, before] = rates[0];
  const rate = now > then ? ((received - before) * 1000) / (now - then) : 0;
  element("rate").textContent = count(rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate));
  if (!changed || document.hidden) return;
  changed = false;
  element("events").textContent = count(received);
  showLatest(element("latest"), latest);
  chart.draw();
}

element("choice").addEventListener("submit", (event) => event.preventDefault());
element("choice").addEventListener("change", follow);
document.addEventListener("visibilitychange", () => { changed = true; });
setInterval(draw, DRAW_MS);
askAll();
