"use strict";
// Draws the page's data block. Model text is only ever set as text (textContent), never as HTML.

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const unpacked = (text, type) => {
    const bytes = atob(text);
    const buffer = new Uint8Array(bytes.length);
    for (let i = 0; i < bytes.length; i++) buffer[i] = bytes.charCodeAt(i);
    return new type(buffer.buffer);
  };
  const optional = (text, type) => (text === null ? null : unpacked(text, type));

  const names = data.regions;
  const numRegions = names.length;
  const numSamples = data.samples.length;
  const vocabularyIds = unpacked(data.vocabulary.ids, Int32Array);
  const texts = data.vocabulary.texts;
  const offset = unpacked(data.offset, Uint32Array);
  const tokens = unpacked(data.tokens, texts.length > 65536 ? Uint32Array : Uint16Array);
  const regions = unpacked(data.region, Int8Array);
  const entropies = optional(data.entropy, Float32Array);
  const advantages = optional(data.advantage, Float32Array);
  const regionWeights = unpacked(data.regionWeights, Float32Array);
  const tokenWeights = optional(data.tokenWeights, Float32Array);

  // token counts of each response and region, and entropy sums
  const counts = new Float64Array(numSamples * numRegions);
  const entropySums = new Float64Array(numSamples * numRegions);
  const weightSums = new Float64Array(numSamples * numRegions); // of tokenWeights
  let heaviest = 0;
  for (let sample = 0; sample < numSamples; sample++) {
    for (let i = offset[sample]; i < offset[sample + 1]; i++) {
      if (regions[i] < 0) continue;
      const cell = sample * numRegions + regions[i];
      counts[cell]++;
      if (entropies) entropySums[cell] += entropies[i];
      if (tokenWeights) {
        weightSums[cell] += tokenWeights[i];
        heaviest = Math.max(heaviest, tokenWeights[i]);
      }
    }
  }
  if (!tokenWeights) for (const weight of regionWeights) if (weight > heaviest) heaviest = weight;
  heaviest = heaviest || 1;

  let current = -1;
  let stop = data.start;
  let active = -1; // position of the token that the card describes
  let kept = -1; // region that stands out
  let order = []; // responses in the list

  const find = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const number = (value, digits) =>
    value === null || !Number.isFinite(value) ? "–" : value.toFixed(digits).replace("-", "−");
  const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(part && part < 0.0995 * whole ? 1 : 0)} %` : "–");

  const regionWeight = (sample, region) => regionWeights[(stop * numSamples + sample) * numRegions + region];
  const weightAt = (position, sample) => {
    if (regions[position] < 0) return 0;
    return tokenWeights ? tokenWeights[position] : regionWeight(sample, regions[position]);
  };
  /** Weight that a region of a response has in all. */
  const regionTotal = (sample, region) => {
    const cell = sample * numRegions + region;
    if (!counts[cell]) return 0;
    return tokenWeights ? weightSums[cell] : counts[cell] * regionWeight(sample, region);
  };
  const textOf = (sample, position) => {
    const shared = data.samples[sample].shared[position - offset[sample]];
    return shared === undefined ? texts[tokens[position]] : shared;
  };
  const textCache = new Map();
  const responseText = (sample) => {
    if (!textCache.has(sample)) {
      const parts = [];
      for (let i = offset[sample]; i < offset[sample + 1]; i++) parts.push(textOf(sample, i));
      textCache.set(sample, parts.join(""));
    }
    return textCache.get(sample);
  };

  // ---- the list -------------------------------------------------------------------------------

  const list = find("samples");
  const wanted = new Set(); // faults that a shown response has
  let lowestFirst = false;
  const entries = data.samples.map((sample, index) => {
    const entry = make("li");
    const button = make("button");
    button.type = "button";
    button.dataset.sample = index;
    const line = make("div", "line");
    line.append(make("span", "", String(index + 1)));
    if (sample.score !== null) line.append(make("span", "", `reward ${number(sample.score, 2)}`));
    const length = offset[index + 1] - offset[index];
    line.append(make("span", "", length.toLocaleString("en")));
    const second = make("div", "preview");
    for (const flag of flags(sample)) second.append(make("span", "flag", flag), " · ");
    second.append(preview(index));
    button.append(line, second, stacked((region) => counts[index * numRegions + region]));
    button.addEventListener("click", () => show(index));
    entry.append(button);
    return entry;
  });

  function flags(sample) {
    return sample.faults.map((fault) => data.faults[fault]);
  }

  function preview(sample) {
    let text = "";
    for (let i = offset[sample]; i < offset[sample + 1] && text.length < 90; i++) {
      if (regions[i] !== 0) text += textOf(sample, i);
    }
    return text.trim().replace(/\s+/g, " ") || "–";
  }

  function stacked(size) {
    const bar = make("div", "stack");
    bar.setAttribute("aria-hidden", "true");
    for (let region = 0; region < numRegions; region++) bar.append(make("i", `r${region}`));
    resize(bar, size);
    return bar;
  }

  function resize(bar, size) {
    const sizes = names.map((_, region) => size(region));
    const whole = sizes.reduce((sum, part) => sum + part, 0) || 1;
    [...bar.children].forEach((part, region) => {
      part.style.width = `${(100 * sizes[region]) / whole}%`;
      part.hidden = !sizes[region];
    });
  }

  function refreshList() {
    const query = find("search").value.trim().toLowerCase();
    const matches = (index) => {
      const sample = data.samples[index];
      if (![...wanted].every((fault) => sample.faults.includes(fault))) return false;
      if (!query) return true;
      return [sample.name, responseText(index), data.documents[sample.prompt]].some((text) => text.toLowerCase().includes(query));
    };
    order = [...data.samples.keys()].filter(matches);
    if (lowestFirst) {
      const score = (index) => data.samples[index].score ?? Infinity;
      order.sort((a, b) => (score(a) === score(b) ? a - b : score(a) - score(b)));
    }
    list.replaceChildren(...order.map((index) => entries[index]));
    find("found").textContent =
      order.length === numSamples ? `${numSamples.toLocaleString("en")} responses` : `${order.length.toLocaleString("en")} of ${numSamples.toLocaleString("en")} responses`;
    if (order.length && !order.includes(current)) show(order[0]);
    markHits();
  }

  // ---- one response ---------------------------------------------------------------------------

  const area = find("tokens");
  let spans = [];

  function show(sample) {
    if (current >= 0) entries[current].firstChild.removeAttribute("aria-current");
    current = sample;
    entries[sample].firstChild.setAttribute("aria-current", "true");
    entries[sample].scrollIntoView({ block: "nearest" });
    hideCard();
    const about = data.samples[sample];
    find("name").textContent = about.name;
    const chips = [["tokens", (offset[sample + 1] - offset[sample]).toLocaleString("en")]];
    if (about.score !== null) chips.unshift(["reward", number(about.score, 2)]);
    if (about.step !== null) chips.push(["step", about.step]);
    find("chips").replaceChildren(
      ...chips.map(([label, value]) => {
        const chip = make("span", "", `${label} `);
        chip.append(make("b", "", String(value)));
        return chip;
      }),
      ...flags(about).map((flag) => make("span", "flag", flag)),
    );
    find("why").replaceChildren(...about.why.map((reason) => make("li", "", reason)));
    find("why").hidden = !about.why.length;
    spans = [];
    for (let i = offset[sample]; i < offset[sample + 1]; i++) spans.push(tokenSpan(sample, i));
    area.replaceChildren(...spans);
    for (const [id, document_] of [["prompt", about.prompt], ["truth", about.truth]]) {
      find(id).hidden = document_ === 0;
      find(id).querySelector("pre").textContent = data.documents[document_];
    }
    refreshWeights();
    keep(kept);
    markHits();
  }

  function tokenSpan(sample, position) {
    const region = regions[position];
    const span = make("span", region < 0 ? "t masked" : `t r${region}`);
    span.dataset.i = position - offset[sample];
    const text = textOf(sample, position);
    if (text === "") {
      span.classList.add("part"); // the rest of a character that the token before shows
    } else if (/[\n\t]/.test(text)) {
      for (const piece of text.split(/([\n\t])/)) {
        if (piece === "\n" || piece === "\t") span.append(make("i", piece === "\n" ? "newline" : "tab"));
        if (piece) span.append(piece);
      }
    } else {
      span.textContent = text;
    }
    if (tokenWeights && region >= 0) span.style.setProperty("--w", weightAt(position, sample) / heaviest);
    return span;
  }

  function refreshWeights() {
    const sample = current;
    const base = sample * numRegions;
    const isZero = names.map((_, region) => !tokenWeights && regionWeight(sample, region) === 0);
    for (let region = 0; region < numRegions; region++) {
      const weight = tokenWeights ? 1 : regionWeight(sample, region);
      area.style.setProperty(`--w${region}`, Number.isNaN(weight) ? 0 : weight / heaviest);
    }
    spans.forEach((span, i) => {
      const position = offset[sample] + i;
      if (regions[position] >= 0) span.classList.toggle("zero", tokenWeights ? tokenWeights[position] === 0 : isZero[regions[position]]);
    });
    let numTokens = 0;
    let total = 0;
    for (let region = 0; region < numRegions; region++) {
      numTokens += counts[base + region];
      total += regionTotal(sample, region);
    }
    names.forEach((_, region) => {
      const count = counts[base + region];
      const sum = regionTotal(sample, region);
      const row = rows[region];
      row.element.classList.toggle("absent", !count);
      row.weight.textContent = count ? number(sum / count, 3) : "–";
      row.entropy.textContent = count && entropies ? number(entropySums[base + region] / count, 3) : "–";
      row.tokens.textContent = percent(count, numTokens);
      row.share.textContent = percent(sum, total);
      row.tokenBar.style.width = `${numTokens ? (100 * count) / numTokens : 0}%`;
      row.weightBar.style.width = `${total ? (100 * sum) / total : 0}%`;
    });
    const sumOver = (value) => (region) => {
      let sum = 0;
      for (let each = 0; each < numSamples; each++) sum += value(each, region);
      return sum;
    };
    resize(batchTokens, sumOver((each, region) => counts[each * numRegions + region]));
    resize(batchWeight, sumOver(regionTotal));
    const step = data.steps ? ` · step ${data.steps[stop]}` : "";
    const use = data.asTrained && stop === data.start ? "as trained" : "hypothetical";
    find("progress").textContent = `ν = ${data.stops[stop].toFixed(2)}${step} · ${use}`;
    slider.value = data.stops[stop];
    slider.setAttribute("aria-valuetext", `progress ${data.stops[stop].toFixed(2)}${step}, ${use}`);
    drawChart();
    if (active >= 0) fillCard();
  }

  const rows = names.map((name, region) => {
    const element = make("tr", `r${region}`);
    const button = make("button", "region", name);
    button.type = "button";
    button.title = "let this region's tokens stand out";
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => keep(kept === region ? -1 : region));
    const header = make("th");
    header.scope = "row";
    header.append(button);
    const [weight, entropy, count, bar, share] = ["", "", "", "bar", ""].map((className) => make("td", className));
    const [tokenBar, weightBar] = [make("i"), make("i")];
    bar.append(tokenBar, weightBar);
    element.append(header, weight, entropy, count, bar, share);
    find("regions").append(element);
    return { element, button, weight, entropy, tokens: count, share, tokenBar, weightBar };
  });
  const batchTokens = stacked(() => 0);
  const batchWeight = stacked(() => 0);
  find("batch").append(make("span", "", "tokens, all responses"), batchTokens, make("span", "", "weight, all responses"), batchWeight);

  function keep(region) {
    kept = region;
    area.classList.toggle("only", region >= 0);
    spans.forEach((span, i) => span.classList.toggle("kept", regions[offset[current] + i] === region));
    rows.forEach((row, each) => row.button.setAttribute("aria-pressed", String(each === region)));
  }

  /** Marks the tokens of the open response that hold what is searched for. */
  function markHits() {
    const query = find("search").value.trim().toLowerCase();
    for (const span of area.querySelectorAll(".hit")) span.classList.remove("hit");
    if (!query || current < 0) return;
    const text = responseText(current).toLowerCase();
    let begin = 0;
    let found = text.indexOf(query);
    for (let i = 0; i < spans.length && found >= 0; i++) {
      const end = begin + textOf(current, offset[current] + i).length;
      while (found >= 0 && found + query.length <= begin) found = text.indexOf(query, found + query.length);
      if (found >= 0 && found < end && end > begin) spans[i].classList.add("hit");
      begin = end;
    }
  }

  // ---- the curriculum -------------------------------------------------------------------------

  const chart = find("chart");
  const slider = find("stop");
  const draw = (tag, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    chart.append(element);
  };

  function drawChart() {
    chart.replaceChildren();
    const { width, height } = chart.getBoundingClientRect();
    // the slider below begins and ends half a thumb further out, and so stands under its line
    const [left, right, top, bottom] = [32, width - 8, 6, height - 6];
    const x = (progress) => left + progress * (right - left);
    const ceiling = Math.max(1, heaviest) * 1.05;
    const y = (weight) => bottom - (weight / ceiling) * (bottom - top);
    for (const tick of [0, 0.5, 1, 1.5, 2, 3, 4, 6, 8].filter((tick) => tick <= ceiling)) {
      draw("line", { class: "grid", x1: left, x2: right, y1: y(tick), y2: y(tick) });
      draw("text", { x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, tick.toFixed(1));
    }
    draw("line", { class: "now", x1: x(data.stops[stop]), x2: x(data.stops[stop]), y1: top, y2: bottom });
    const dashedLast = [...names.keys()].reverse().sort((a, b) => (names[a] === "text") - (names[b] === "text"));
    for (const region of dashedLast) {
      const count = counts[current * numRegions + region];
      if (!count) continue;
      const at = (each) => (tokenWeights ? regionTotal(current, region) / count : regionWeights[(each * numSamples + current) * numRegions + region]);
      draw("polyline", { class: `r${region}`, points: data.stops.map((progress, each) => `${x(progress)},${y(at(each))}`).join(" ") });
      draw("circle", { class: `r${region}`, cx: x(data.stops[stop]), cy: y(at(stop)), r: 4 });
    }
  }

  // ---- one token ------------------------------------------------------------------------------

  const card = find("card");

  function activate(span) {
    if (active >= 0) spans[active].classList.remove("active");
    active = Number(span.dataset.i);
    span.classList.add("active");
    fillCard();
    card.hidden = false;
    placeCard();
  }

  function placeCard() {
    if (active < 0) return;
    const box = spans[active].getClientRects()[0];
    const left = Math.min(box.left, innerWidth - card.offsetWidth - 12);
    const below = box.bottom + 8;
    const fits = below + card.offsetHeight < innerHeight - 8;
    card.style.left = `${Math.max(8, left)}px`;
    card.style.top = `${fits ? below : Math.max(8, box.top - card.offsetHeight - 8)}px`;
  }

  function fillCard() {
    const position = offset[current] + active;
    const region = regions[position];
    const text = textOf(current, position);
    const fields = [
      ["token id", String(vocabularyIds[tokens[position]])],
      ["region", region < 0 ? "not sampled" : names[region]],
      ["entropy", entropies && region >= 0 ? `${number(entropies[position], 4)} nats` : "–"],
      ["weight", region < 0 ? "–" : number(weightAt(position, current), 4)],
      ["advantage", advantages && region >= 0 ? number(advantages[position], 4) : "–"],
      ["token", `${active + 1} of ${spans.length}`],
    ];
    const table = make("dl");
    for (const [label, value] of fields) {
      const cell = make("dd");
      if (label === "region" && region >= 0) cell.append(make("span", `region r${region}`, value));
      else cell.textContent = value;
      cell.dataset.field = label;
      table.append(make("dt", "", label), cell);
    }
    const shown = text === "" ? "rest of the character before" : text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replace(/^ +| +$/g, (run) => "␣".repeat(run.length));
    card.replaceChildren(make("strong", "", shown), table);
  }

  function hideCard() {
    if (active >= 0 && spans[active]) spans[active].classList.remove("active");
    active = -1;
    card.hidden = true;
  }

  // ---- events ---------------------------------------------------------------------------------

  area.addEventListener("pointerover", (event) => {
    const span = event.target.closest(".t");
    if (span) activate(span);
  });
  area.addEventListener("pointerleave", hideCard);
  area.addEventListener("blur", hideCard);
  addEventListener("scroll", placeCard, { passive: true });
  addEventListener("resize", drawChart);
  find("search").addEventListener("input", refreshList);
  for (const button of document.querySelectorAll("button[data-fault]")) {
    const { fault } = button.dataset;
    const count = data.samples.filter((sample) => sample.faults.includes(fault)).length;
    button.querySelector("b").textContent = count.toLocaleString("en");
    button.disabled = !count;
    button.addEventListener("click", () => {
      if (!wanted.delete(fault)) wanted.add(fault);
      button.setAttribute("aria-pressed", String(wanted.has(fault)));
      refreshList();
    });
  }
  const lowest = find("lowest");
  lowest.disabled = data.samples.every((sample) => sample.score === null);
  lowest.addEventListener("click", () => {
    lowestFirst = !lowestFirst;
    lowest.setAttribute("aria-pressed", String(lowestFirst));
    refreshList();
    if (order.length) show(order[0]);
  });
  slider.disabled = !data.hasCurriculum;
  if (!data.hasCurriculum) find("fixed").textContent = "this preset has no curriculum";
  slider.addEventListener("input", () => {
    const distance = data.stops.map((progress) => Math.abs(progress - Number(slider.value)));
    setStop(distance.indexOf(Math.min(...distance)));
  });

  function setStop(next) {
    stop = Math.min(Math.max(next, 0), data.stops.length - 1);
    refreshWeights();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input[type=search]");
    if (event.key === "Escape") {
      hideCard();
      if (typing) event.target.blur();
      return;
    }
    if (typing) return;
    const place = order.indexOf(current);
    const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "/") find("search").focus();
    else if (event.key === "j" && place + 1 < order.length) show(order[place + 1]);
    else if (event.key === "k" && place > 0) show(order[place - 1]);
    else if (event.key === "[" && data.hasCurriculum) setStop(stop - 1);
    else if (event.key === "]" && data.hasCurriculum) setStop(stop + 1);
    else if (sideways && event.target === slider) setStop(stop + sideways);
    else if (sideways && event.target === area) {
      const next = Math.min(Math.max(active + sideways, 0), spans.length - 1);
      if (!spans[next]) return;
      spans[next].scrollIntoView({ block: "nearest" });
      activate(spans[next]);
    } else return;
    event.preventDefault();
  });

  /** What the page shows, for the console and for tests. */
  window.restView = {
    numSamples,
    stops: data.stops,
    setStop,
    show,
    sample: (index) => {
      const [start, end] = [offset[index], offset[index + 1]];
      const positions = Array.from({ length: end - start }, (_, i) => start + i);
      return {
        ids: positions.map((i) => vocabularyIds[tokens[i]]),
        texts: positions.map((i) => textOf(index, i)),
        regions: Array.from(regions.subarray(start, end)),
        entropy: entropies && Array.from(entropies.subarray(start, end)),
        advantage: advantages && Array.from(advantages.subarray(start, end)),
        weights: positions.map((i) => weightAt(i, index)),
      };
    },
  };

  find("heaviest").textContent = number(heaviest, 2);
  refreshList();
})();
