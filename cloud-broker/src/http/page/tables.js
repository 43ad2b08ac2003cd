// Tables, and how numbers are written in them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });

export const count = (n) => whole.format(n);

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (n >= 1024 && at < units.length - 1) { n /= 1024; at += 1; }
  return `${n.toFixed(at === 0 || n >= 100 ? 0 : 1)} ${units[at]}`;
}

export function number(n, unit) {
  if (n === undefined || n === null) return "";
  if (unit === "B" || unit === "B/s") return bytes(n) + unit.slice(1);
  const text = Math.abs(n) >= 100_000 ? short.format(n) : String(Math.round(n * 1000) / 1000);
  return unit ? `${text}${unit === "%" ? "" : " "}${unit}` : text;
}

function span(ms) {
  const steps = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1000, "s"]];
  for (const [size, unit] of steps) if (ms >= size) return `${Math.floor(ms / size)} ${unit}`;
  return `${Math.max(0, Math.round(ms))} ms`;
}

const ago = (ms) => (ms === null ? "–" : `${span(Math.max(0, Date.now() - ms))} ago`);

/** Local time, as on the chart, to the millisecond. */
function moment(ms) {
  const date = new Date(ms);
  return `${date.toLocaleString("sv-SE")}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

function cell(text, kind = "") {
  const td = document.createElement("td");
  td.className = kind;
  td.textContent = text;
  if (kind === "text") td.title = text;
  return td;
}

function fill(table, rows) {
  table.tBodies[0].replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells);
    return row;
  }));
}

export function showStreams(table, streams) {
  fill(table, streams.map((stream) => [
    cell(stream.name),
    cell(stream.filters.join(", ") || "–", "text"),
    cell(count(stream.partitions), "number"),
    cell(count(stream.records), "number"),
    cell(bytes(stream.bytes), "number"),
    cell(stream.retention_ms === null ? "for ever" : span(stream.retention_ms)),
  ]));
}

export function showDevices(table, devices) {
  table.hidden = devices.length === 0;
  table.nextElementSibling.hidden = devices.length > 0;
  fill(table, devices.map((device) => {
    const name = cell("");
    const state = document.createElement("span");
    state.className = device.connected ? "state on" : "state";
    state.title = device.connected ? "connected" : "not connected";
    name.append(state, device.device);
    for (const alarm of device.alarms) {
      const text = document.createElement("div");
      text.className = "alarm";
      text.textContent = `${alarm.code}: ${alarm.text}`;
      name.append(text);
    }
    const { events, bytes: held, oldest_ms } = device.backlog;
    return [
      name,
      cell(events === 0 ? "0" : `${count(events)} · ${bytes(held)}`, "number"),
      cell(oldest_ms === null ? "–" : ago(oldest_ms), "number"),
      cell(count(device.lost_events), device.lost_events > 0 ? "number lost" : "number"),
      cell(ago(device.last_seen_ms)),
    ];
  }));
}

export function showLatest(table, records) {
  fill(table, records.map((record) => [
    cell(moment(record.timestamp)),
    cell(record.key ?? "", "text"),
    cell(record.encoding === "utf8" ? (record.value ?? "null") : `base64 ${record.value}`, "text"),
    cell(count(record.partition), "number"),
    cell(String(record.offset), "number"),
  ]));
}
