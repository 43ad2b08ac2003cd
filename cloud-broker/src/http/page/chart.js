// The chart and the list of series beside it.

import { number } from "./tables.js";

const CHOSEN_MAX = 8;
const HEIGHT = 320;
/** Distances of the marks on the time axis, which shows whole seconds. */
const STEPS_S = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300];
const COLOURS = ["#0a84c1", "#e2711d", "#2a9d5c", "#b5489a", "#c9a200", "#6b5bd2", "#d03f3f", "#3aa6a0"];

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

export class Chart {
  #box;
  #list;
  #series;
  #plot = null;
  #shown = "";
  #chosen = [];
  /** Once the user has chosen, nothing is chosen for them. */
  #manual = false;

  constructor(box, list, series) {
    this.#box = box;
    this.#list = list;
    this.#series = series;
    new ResizeObserver(() => this.#plot?.setSize({ width: box.clientWidth, height: HEIGHT })).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.#shown = ""; this.draw(); });
  }

  clear() {
    this.#plot?.destroy();
    this.#plot = null;
    this.#shown = "";
    this.#chosen = [];
    this.#manual = false;
    this.#box.dataset.points = "0";
    this.#list.replaceChildren();
    this.#box.querySelector(".empty").hidden = false;
  }

  draw() {
    if (!this.#manual) this.#choose();
    this.#showList();
    const tables = this.#chosen.map((name) => {
      const { times, values } = this.#series.of(name);
      return [times, values];
    });
    if (tables.length === 0) return;
    const data = tables.length === 1 ? tables[0] : uPlot.join(tables);
    if (this.#shown !== this.#chosen.join("\n")) this.#build();
    this.#plot.setData(data);
    this.#box.dataset.points = String(Math.max(...tables.map(([times]) => times.length)));
  }

  /**
   * Takes series of one unit, so that one axis fits them all: of the first unit that is not much
   * rarer than another.
   */
  #choose() {
    const points = new Map();
    for (const name of this.#series.names) {
      const { unit, times } = this.#series.of(name);
      points.set(unit, (points.get(unit) ?? 0) + times.length);
    }
    const enough = Math.max(0, ...points.values()) / 10;
    const [unit] = [...points.keys()].filter((unit) => points.get(unit) >= enough);
    const names = this.#series.names.filter((name) => this.#series.of(name).unit === unit);
    this.#chosen = names.slice(0, CHOSEN_MAX);
  }

  #toggle(name, on) {
    this.#manual = true;
    this.#chosen = this.#chosen.filter((other) => other !== name);
    if (on) this.#chosen = [...this.#chosen, name].slice(-CHOSEN_MAX);
    if (this.#chosen.length === 0) this.#manual = false;
    this.draw();
  }

  #build() {
    this.#plot?.destroy();
    this.#box.querySelector(".empty").hidden = true;
    const style = getComputedStyle(document.documentElement);
    const soft = style.getPropertyValue("--soft");
    const line = style.getPropertyValue("--line");
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const unit = this.#series.of(this.#chosen[0]).unit;
    const options = {
      width: this.#box.clientWidth,
      height: HEIGHT,
      cursor: { points: { size: 6 } },
      axes: [{ ...axis, size: 34, space: 90, incrs: STEPS_S, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 70, values: (_, ticks) => ticks.map((tick) => number(tick, unit)) }],
      series: [{}, ...this.#chosen.map((name, at) => ({
        label: name, stroke: COLOURS[at], width: 2, spanGaps: true, points: { size: 4 },
      }))],
    };
    this.#plot = new uPlot(options, this.#chosen.length === 0 ? [[]] : [[], ...this.#chosen.map(() => [])], this.#box);
    this.#shown = this.#chosen.join("\n");
  }

  #showList() {
    const names = this.#series.names;
    const known = new Map([...this.#list.children].map((item) => [item.dataset.name, item]));
    for (const name of names) {
      const item = known.get(name) ?? this.#addItem(name);
      const at = this.#chosen.indexOf(name);
      const { values, unit } = this.#series.of(name);
      item.querySelector("input").checked = at >= 0;
      item.querySelector("rect").setAttribute("fill", at >= 0 ? COLOURS[at] : "transparent");
      item.querySelector(".value").textContent = number(values[values.length - 1], unit);
    }
  }

  #addItem(name) {
    const item = document.createElement("li");
    item.dataset.name = name;
    item.innerHTML = '<label><input type="checkbox"><svg class="swatch" viewBox="0 0 12 12"><rect width="12" height="12" rx="3"/></svg><span class="name"></span><span class="value"></span></label>';
    // The mark keeps the order of characters where a long name is cut at its beginning.
    item.querySelector(".name").textContent = `\u200e${name}`;
    item.querySelector(".name").title = name;
    item.querySelector("input").addEventListener("change", (event) => this.#toggle(name, event.target.checked));
    this.#list.append(item);
    return item;
  }
}
