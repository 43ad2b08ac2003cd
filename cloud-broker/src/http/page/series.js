// Numbers over time, taken out of records: a value that is a JSON number, or a JSON object's
// numeric top-level fields (series = key, or key + "." + field).

const SERIES_MAX = 300;
const POINTS_MAX = 1500;
const WINDOW_MS = 120_000;

export class Series {
  /** Name to {unit, times (s), values}, in order of first appearance. */
  #all = new Map();

  clear() {
    this.#all.clear();
  }

  get names() {
    return [...this.#all.keys()];
  }

  of(name) {
    return this.#all.get(name);
  }

  add(record) {
    if (record.encoding !== "utf8" || record.value === null || record.key === null) return;
    if (!/^\s*[-\d{]/.test(record.value)) return;
    let value;
    try {
      value = JSON.parse(record.value);
    } catch {
      return;
    }
    if (typeof value === "number") {
      this.#point(record.key, "", record.timestamp, value);
    } else if (value !== null && typeof value === "object") {
      const unit = typeof value.unit === "string" ? value.unit : "";
      for (const [field, number] of Object.entries(value)) {
        if (typeof number === "number") this.#point(`${record.key}.${field}`, unit, record.timestamp, number);
      }
    }
  }

  #point(name, unit, timestamp, value) {
    if (!Number.isFinite(value)) return;
    let series = this.#all.get(name);
    if (!series) {
      if (this.#all.size >= SERIES_MAX) return;
      series = { unit, times: [], values: [] };
      this.#all.set(name, series);
    }
    const { times, values } = series;
    const time = timestamp / 1000;
    // A chart needs rising times; what comes late takes its place among the others.
    let at = times.length;
    while (at > 0 && times[at - 1] > time) at -= 1;
    if (at > 0 && times[at - 1] === time) {
      values[at - 1] = value;
    } else {
      times.splice(at, 0, time);
      values.splice(at, 0, value);
    }
    const oldest = times[times.length - 1] - WINDOW_MS / 1000;
    let drop = Math.max(0, times.length - POINTS_MAX);
    while (times[drop] < oldest) drop += 1;
    if (drop > 0) {
      times.splice(0, drop);
      values.splice(0, drop);
    }
  }
}
