"use strict";
// Draws the charts from the JSON in #data. One step is read out at a time, in all charts at once.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const readout = document.getElementById("step");
  const smoothing = document.getElementById("smoothing");
  const hiddenGroups = new Set();
  const HUGE = 1e300; // keeps differences finite
  const FEW = 15; // points that are drawn one by one, and not smoothed
  const MARGIN = { left: 46, right: 10, top: 8, bottom: 22 };
  const allSteps = [...new Set(data.charts.flatMap((c) => c.curves.flatMap((u) => u.steps)))].sort((a, b) => a - b);
  const [firstStep, lastStep] = [allSteps[0], allSteps[allSteps.length - 1]];
  let shownStep = null;

  const element = (name, attributes = {}, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  /** About `count` round numbers from `low` to `high`. */
  const ticks = (low, high, count, whole = false) => {
    const rough = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    let size = power * ([1, 2, 5, 10].find((m) => m * power >= rough) || 10);
    if (whole) size = Math.max(1, Math.round(size));
    const found = [];
    for (let i = Math.ceil(low / size - 1e-9); i * size <= high + size * 1e-9 && found.length < 20; i++) found.push(i * size);
    return { at: found, size };
  };

  const format = (value, { percent, size }) => {
    if (percent) return `${(100 * value).toFixed(Math.min(3, Math.max(0, -Math.floor(Math.log10(100 * size)))))}%`;
    if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)) return value.toExponential(1);
    return value.toFixed(Math.min(8, Math.max(0, -Math.floor(Math.log10(size) + 1e-9))));
  };

  /** Exponential mean, its start weighted fairly. */
  const smooth = (values, weight) => {
    let sum = 0, total = 0;
    return values.map((value) => {
      sum = weight * sum + (1 - weight) * value;
      total = weight * total + (1 - weight);
      return sum / total;
    });
  };

  const indexOf = (steps, step) => {
    let low = 0, high = steps.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (steps[middle] === step) return middle;
      if (steps[middle] < step) low = middle + 1; else high = middle - 1;
    }
    return -1;
  };

  const nearest = (steps, step) => steps.reduce((best, s) => (Math.abs(s - step) < Math.abs(best - step) ? s : best), steps[0]);

  class Chart {
    constructor(figure, spec) {
      Object.assign(this, { figure, spec, hidden: new Set(), steps: [] });
      this.plot = figure.querySelector(".plot");
      this.small = figure.parentElement.classList.contains("small");
      this.height = this.small ? 140 : 190;
      this.legend();
      this.plot.addEventListener("pointermove", (event) => show(this.stepAt(event.clientX)));
      this.plot.addEventListener("pointerdown", (event) => show(this.stepAt(event.clientX)));
      this.plot.addEventListener("pointerleave", () => show(null));
      this.plot.addEventListener("blur", () => show(null));
      this.plot.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.draw()).observe(this.plot);
    }

    legend() {
      const list = this.figure.querySelector(".legend");
      this.values = this.spec.curves.map((curve, place) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("aria-pressed", "true");
        button.title = curve.label;
        const sample = element("svg", { width: 18, height: 8, class: curve.color, "aria-hidden": "true" });
        sample.append(element("path", { d: "M1 4H17", class: `curve dash-${curve.dash}` }));
        const label = document.createElement("span");
        label.textContent = curve.label;
        const value = document.createElement("b");
        button.append(sample, label, value);
        button.addEventListener("click", () => {
          if (!this.hidden.delete(place)) this.hidden.add(place);
          button.setAttribute("aria-pressed", String(!this.hidden.has(place)));
          this.draw();
        });
        item.append(button);
        list.append(item);
        return { item, value };
      });
    }

    draw() {
      const width = this.plot.clientWidth;
      if (!width) return;
      const { spec, height } = this;
      const shown = spec.curves.filter((curve, place) => !this.hidden.has(place) && !hiddenGroups.has(curve.group));
      spec.curves.forEach((curve, place) => { this.values[place].item.hidden = hiddenGroups.has(curve.group); });
      this.steps = [...new Set(shown.flatMap((curve) => curve.steps))].sort((a, b) => a - b);
      const clamp = (value) => Math.max(-HUGE, Math.min(HUGE, value));
      let low = Infinity, high = -Infinity;
      for (const curve of shown) {
        for (const value of curve.low || curve.values) low = Math.min(low, clamp(value));
        for (const value of curve.high || curve.values) high = Math.max(high, clamp(value));
      }
      if (spec.limit) { low = Math.min(low, spec.limit[0]); high = Math.max(high, spec.limit[0]); }
      if (low > high) [low, high] = [0, 1];
      if (spec.fromZero) low = Math.min(0, low);
      const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || (spec.percent ? 0.01 : 1);
      high += room;
      if (!spec.fromZero) low -= room;

      this.x = (step) => MARGIN.left + (lastStep === firstStep ? 0.5 : (step - firstStep) / (lastStep - firstStep)) * (width - MARGIN.left - MARGIN.right);
      this.y = (value) => height - MARGIN.bottom - ((clamp(value) - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
      this.scale = ticks(low, high, this.small ? 4 : 5);
      const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": "true" });
      for (const value of this.scale.at) {
        const y = this.y(value);
        svg.append(element("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y, class: "grid" }));
        svg.append(element("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, format(value, { percent: spec.percent, size: this.scale.size })));
      }
      for (const step of ticks(firstStep, lastStep, Math.max(2, width / 80), true).at) {
        svg.append(element("text", { x: this.x(step), y: height - 5, "text-anchor": "middle" }, String(step)));
      }
      if (spec.limit) {
        const y = this.y(spec.limit[0]);
        svg.append(element("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y, class: "limit" }));
        svg.append(element("text", { x: MARGIN.left + 4, y: y - 5 }, spec.limit[1]));
      }
      // The leading curve comes last, on top of the others.
      for (const curve of [...shown].reverse()) svg.append(this.curve(curve));
      this.cross = element("g");
      svg.append(this.cross);
      this.plot.replaceChildren(svg);
      this.read();
    }

    path(steps, values) {
      return values.map((value, i) => `${i ? "L" : "M"}${this.x(steps[i]).toFixed(1)} ${this.y(value).toFixed(1)}`).join("");
    }

    curve(curve) {
      const group = element("g", { class: curve.color });
      const { steps } = curve;
      const few = steps.length <= FEW;
      const weight = few ? 0 : Number(smoothing.value);
      const soft = (values) => (weight ? smooth(values, weight) : values);
      if (curve.low) {
        const back = [...steps].reverse();
        [curve.drawnLow, curve.drawnHigh] = [soft(curve.low), soft(curve.high)];
        const edge = this.path(steps, curve.drawnHigh) + this.path(back, [...curve.drawnLow].reverse()).replace("M", "L");
        group.append(element("path", { d: `${edge}Z`, class: "band" }));
      }
      if (weight) group.append(element("path", { d: this.path(steps, curve.values), class: "raw" }));
      const values = curve.drawn = soft(curve.values);
      group.append(element("path", { d: this.path(steps, values), class: `curve dash-${curve.dash}` }));
      if (few) {
        steps.forEach((step, i) => group.append(element("circle", { cx: this.x(step), cy: this.y(values[i]), r: 3.5, class: "point" })));
      }
      return group;
    }

    /** Writes the values at the shown step, or the last ones, beside the curves' names. */
    read() {
      if (!this.cross) return;
      this.cross.replaceChildren();
      if (shownStep !== null) {
        const x = this.x(shownStep);
        this.cross.append(element("line", { x1: x, x2: x, y1: MARGIN.top, y2: this.height - MARGIN.bottom, class: "cross" }));
      }
      this.spec.curves.forEach((curve, place) => {
        const at = shownStep === null ? curve.steps.length - 1 : indexOf(curve.steps, shownStep);
        const style = { percent: this.spec.percent, size: this.scale.size / 20 };
        const values = curve.drawn || curve.values; // one that is hidden may never have been drawn
        let text = at < 0 ? "–" : format(values[at], style);
        if (at >= 0 && curve.drawnLow && !this.small) text += ` (${format(curve.drawnLow[at], style)} to ${format(curve.drawnHigh[at], style)})`;
        this.values[place].value.textContent = text;
        if (shownStep === null || at < 0 || this.hidden.has(place) || hiddenGroups.has(curve.group)) return;
        const dot = element("g", { class: curve.color });
        dot.append(element("circle", { cx: this.x(shownStep), cy: this.y(values[at]), r: 4, class: "point" }));
        this.cross.append(dot);
      });
    }

    stepAt(clientX) {
      if (!this.steps.length) return null;
      const box = this.plot.getBoundingClientRect();
      const share = (clientX - box.left - MARGIN.left) / (box.width - MARGIN.left - MARGIN.right);
      return nearest(this.steps, firstStep + share * (lastStep - firstStep));
    }

    key(event) {
      if (!this.steps.length) return;
      const now = shownStep === null ? this.steps.length : this.steps.indexOf(nearest(this.steps, shownStep));
      const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: this.steps.length - 1 }[event.key];
      if (event.key === "Escape") show(null);
      if (to === undefined) return;
      event.preventDefault();
      show(this.steps[Math.max(0, Math.min(this.steps.length - 1, to))]);
    }
  }

  const charts = [...document.querySelectorAll("figure[data-chart]")].map((figure) => new Chart(figure, data.charts[Number(figure.dataset.chart)]));

  let waiting = false;
  const show = (step) => {
    if (step === shownStep) return;
    shownStep = step;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      readout.textContent = shownStep === null ? `last step, ${lastStep}` : `step ${shownStep}`;
      charts.forEach((chart) => chart.read());
    });
  };

  const redraw = () => charts.forEach((chart) => chart.draw());
  smoothing.addEventListener("input", redraw);
  document.querySelectorAll("button[data-group]").forEach((button) => button.addEventListener("click", () => {
    const group = Number(button.dataset.group);
    if (!hiddenGroups.delete(group)) hiddenGroups.add(group);
    button.setAttribute("aria-pressed", String(!hiddenGroups.has(group)));
    redraw();
  }));
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.style.colorScheme ? root.style.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.style.colorScheme = dark ? "light" : "dark";
  });
})();
