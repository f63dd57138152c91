"use strict";
/* The page of a report (proxysample/gallery/page.py). All rules of keeping are in the orders that
   the page was made with: a kept set is the first of them, and the slider says how many. Names from
   the data are only ever set as text. */
(() => {
  const PER_PAGE = 120;
  const CELL = 64;
  const BIG = 256;
  const N_BINS = 40;
  const MOST_PAIRS = 60;

  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  function numbers(kind, text) {
    const raw = atob(text);
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new kind(bytes.buffer);
  }

  const orders = data.orders.map((text) => numbers(Int32Array, text));
  const scores = numbers(Float64Array, data.scores);
  const codes = data.classes ? numbers(Int32Array, data.codes) : null;
  const sprites = data.sprites;
  const tiles = sprites ? numbers(Int32Array, sprites.places) : null;
  const shapes = sprites ? numbers(Uint8Array, sprites.shapes) : null;
  const alike = data.alike;
  const neighbours = alike ? numbers(Int32Array, alike.indices) : null;
  const likeness = alike ? numbers(Float32Array, alike.likeness) : null;
  const twins = alike ? numbers(Uint8Array, alike.duplicates) : null;

  /* Where each sample stands in each order; samples that were skipped stand nowhere. */
  const standings = orders.map((order) => {
    const places = new Int32Array(data.n).fill(-1);
    order.forEach((sample, place) => { places[sample] = place; });
    return places;
  });

  const pairs = [];
  const hasTwin = new Uint8Array(data.n);
  if (alike) {
    const seen = new Set();
    for (let i = 0; i < twins.length; i++) {
      if (!twins[i]) continue;
      const one = Math.floor(i / alike.count);
      const other = neighbours[i];
      hasTwin[one] = hasTwin[other] = 1;
      const key = Math.min(one, other) * data.n + Math.max(one, other);
      if (!seen.has(key)) {
        seen.add(key);
        pairs.push([Math.min(one, other), Math.max(one, other), likeness[i]]);
      }
    }
    const sign = alike.unit === "cosine" ? -1 : 1;
    pairs.sort((a, b) => sign * (a[2] - b[2]) || a[0] - b[0] || a[1] - b[1]);
  }

  const state = { stop: data.start, code: -1, sort: "cut", twinsOnly: false };
  const stop = () => data.stops[state.stop];
  const isKept = (sample) => {
    const place = standings[stop().order][sample];
    return place >= 0 && place < stop().kept;
  };
  const stateOf = (sample) => (isKept(sample) ? "kept" : "dropped");
  const count = (number) => number.toLocaleString("en-US");
  const short = (number) => String(Number(number.toPrecision(6)));
  const className = (sample) => (codes ? data.classes[codes[sample]] : "");
  const fileOf = (sample) => (data.files ? data.filesIn + data.files[sample] : "");

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  const isolated = (text) => element("bdi", {}, text);

  function picture(sample, size) {
    const box = element("span", { class: "picture", "aria-hidden": "true" });
    const tile = sprites ? tiles[sample] : -1;
    if (tile < 0) {
      box.classList.add("none");
      box.append(String(sample));
      return box;
    }
    const [width, height] = [shapes[2 * sample], shapes[2 * sample + 1]];
    const scale = size > CELL ? size / Math.max(width, height) : size / sprites.side;
    const place = tile % sprites.perSheet;
    const left = (place % sprites.columns) * sprites.side * scale;
    const top = Math.floor(place / sprites.columns) * sprites.side * scale;
    const inner = element("span", { class: "pixels s" + Math.floor(tile / sprites.perSheet) });
    inner.style.width = width * scale + "px";
    inner.style.height = height * scale + "px";
    inner.style.backgroundSize = sprites.columns * sprites.side * scale + "px auto";
    inner.style.backgroundPosition = -left + "px " + -top + "px";
    box.append(inner);
    return box;
  }

  function described(sample) {
    const words = ["Sample " + sample];
    if (codes) words.push("class " + className(sample));
    words.push("score " + short(scores[sample]), stateOf(sample));
    return words.join(", ");
  }

  function cell(sample) {
    const caption = codes ? isolated(className(sample)) : String(sample);
    const made = element("button", {
      type: "button", class: "cell", "data-index": sample, "aria-label": described(sample),
    });
    made.append(picture(sample, CELL), element("span", { class: "caption" }, caption));
    made.title = [sample, fileOf(sample)].filter(String).join(": ");
    return made;
  }

  /* A pane shows one page of the samples that are kept, or dropped. */
  const panes = ["kept", "dropped"].map((kind) => {
    const pane = { kind, page: 0, found: [], grid: byId(kind + "-grid") };
    pane.count = byId(kind + "-count");
    pane.words = byId(kind + "-range");
    pane.previous = byId(kind + "-previous");
    pane.next = byId(kind + "-next");
    pane.previous.addEventListener("click", () => turn(pane, -1));
    pane.next.addEventListener("click", () => turn(pane, 1));
    pane.grid.addEventListener("keydown", (event) => walk(pane, event));
    pane.grid.addEventListener("click", (event) => {
      const chosen = event.target.closest(".cell");
      if (chosen) open(Number(chosen.dataset.index), pane.found);
    });
    pane.grid.addEventListener("focusin", (event) => {
      const chosen = event.target.closest(".cell");
      if (chosen) rove(pane, chosen);
    });
    return pane;
  });

  const permutations = {};
  function permutation(sort) {
    if (!permutations[sort]) {
      const made = Int32Array.from(orders[0]).sort();
      if (sort === "low") made.sort((a, b) => scores[a] - scores[b] || a - b);
      if (sort === "high") made.sort((a, b) => scores[b] - scores[a] || a - b);
      permutations[sort] = made;
    }
    return permutations[sort];
  }

  function listed(kind) {
    const { order, kept } = stop();
    const found = [];
    const take = (sample) => {
      const fits = state.code < 0 || codes[sample] === state.code;
      if (fits && (!state.twinsOnly || hasTwin[sample])) found.push(sample);
    };
    const places = standings[order];
    const all = orders[order];
    if (state.sort === "cut" && kind === "kept") {
      for (let place = kept - 1; place >= 0; place--) take(all[place]);
    } else if (state.sort === "cut" || state.sort === "order") {
      const [from, to] = kind === "kept" ? [0, kept] : [kept, all.length];
      for (let place = from; place < to; place++) take(all[place]);
    } else {
      for (const sample of permutation(state.sort)) {
        if ((places[sample] < kept) === (kind === "kept")) take(sample);
      }
    }
    return found;
  }

  function showPane(pane) {
    const last = Math.max(0, Math.ceil(pane.found.length / PER_PAGE) - 1);
    pane.page = Math.min(pane.page, last);
    const from = pane.page * PER_PAGE;
    const shown = pane.found.slice(from, from + PER_PAGE);
    pane.grid.replaceChildren(...shown.map(cell));
    [...pane.grid.children].forEach((one, place) => { one.tabIndex = place ? -1 : 0; });
    if (!shown.length) pane.grid.append(element("p", { class: "quiet" }, "None."));
    pane.count.textContent = count(pane.found.length);
    pane.words.textContent = shown.length
      ? count(from + 1) + "–" + count(from + shown.length) + " of " + count(pane.found.length)
      : "";
    pane.previous.disabled = pane.page === 0;
    pane.next.disabled = pane.page === last;
    pane.previous.parentElement.hidden = last === 0;
  }

  function turn(pane, step) {
    pane.page += step;
    showPane(pane);
  }

  function rove(pane, chosen) {
    for (const one of pane.grid.children) one.tabIndex = one === chosen ? 0 : -1;
  }

  function walk(pane, event) {
    const cells = [...pane.grid.querySelectorAll(".cell")];
    const at = cells.indexOf(document.activeElement);
    if (at < 0) return;
    const across = cells.filter((one) => one.offsetTop === cells[0].offsetTop).length;
    const steps = {
      ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + across, ArrowUp: at - across,
      Home: 0, End: cells.length - 1,
    };
    if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in steps)) return;
    event.preventDefault();
    const to = steps[event.key];
    if (to >= cells.length && !pane.next.disabled) {
      turn(pane, 1);
      pane.grid.querySelector(".cell").focus();
    } else if (to < 0 && !pane.previous.disabled) {
      turn(pane, -1);
      [...pane.grid.querySelectorAll(".cell")].pop().focus();
    } else if (to >= 0 && to < cells.length) {
      cells[to].focus();
    }
  }

  /* Counts by class. */
  const classRows = [];
  const sizes = new Int32Array(data.classes ? data.classes.length : 0);
  if (codes) {
    for (const sample of orders[0]) sizes[codes[sample]]++;
    const body = byId("class-rows");
    data.classes.forEach((name, code) => {
      const option = element("option", { value: code }, name);
      if (!sizes[code]) return;
      byId("class").append(option);
      const choose = element("button", { type: "button", "aria-pressed": "false" }, isolated(name));
      choose.addEventListener("click", () => chooseClass(state.code === code ? -1 : code));
      const bar = element("span", {});
      const row = element("tr", {}, element("th", { scope: "row" }, choose));
      const kept = element("td", { class: "number" });
      const share = element("td", {}, element("div", { class: "bar" }, bar));
      row.append(kept, element("td", { class: "number" }, count(sizes[code])), share);
      body.append(row);
      classRows.push({ code, choose, kept, bar });
    });
    byId("classes").hidden = false;
    byId("class").parentElement.hidden = false;
  }

  function showClasses() {
    if (!codes) return;
    const kept = new Int32Array(sizes.length);
    const order = orders[stop().order];
    for (let place = 0; place < stop().kept; place++) kept[codes[order[place]]]++;
    for (const row of classRows) {
      row.kept.textContent = count(kept[row.code]);
      row.bar.style.width = (100 * kept[row.code]) / sizes[row.code] + "%";
      row.choose.setAttribute("aria-pressed", String(row.code === state.code));
    }
  }

  function chooseClass(code) {
    state.code = code;
    byId("class").value = String(code);
    show(true);
  }

  /* The scores' histogram. */
  const svg = "http://www.w3.org/2000/svg";
  let low = Infinity;
  let high = -Infinity;
  for (const sample of orders[0]) {
    low = Math.min(low, scores[sample]);
    high = Math.max(high, scores[sample]);
  }
  const binOf = (score) =>
    high > low ? Math.min(N_BINS - 1, Math.floor(((score - low) / (high - low)) * N_BINS)) : 0;
  const inBin = new Int32Array(N_BINS);
  for (const sample of orders[0]) inBin[binOf(scores[sample])]++;
  const highest = Math.max(...inBin, 1);
  const bars = Array.from(inBin, (_, bin) =>
    ["kept", "dropped"].map((kind) => {
      const bar = document.createElementNS(svg, "rect");
      bar.setAttribute("class", kind);
      bar.setAttribute("x", 18 * bin);
      bar.setAttribute("width", 17);
      byId("histogram").append(bar);
      return bar;
    }));
  byId("low").textContent = low.toPrecision(4);
  byId("high").textContent = high.toPrecision(4);

  function showScores() {
    const kept = new Int32Array(N_BINS);
    const order = orders[stop().order];
    for (let place = 0; place < stop().kept; place++) kept[binOf(scores[order[place]])]++;
    bars.forEach(([ofKept, ofDropped], bin) => {
      const tall = (200 * kept[bin]) / highest;
      const all = (200 * inBin[bin]) / highest;
      ofKept.setAttribute("y", 200 - tall);
      ofKept.setAttribute("height", tall);
      ofDropped.setAttribute("y", 200 - all);
      ofDropped.setAttribute("height", all - tall);
    });
  }

  /* Near duplicates. */
  let pairsOf = null;

  function showPairs() {
    if (!alike) return;
    if (pairsOf === state.code) {
      for (const one of byId("pairs").querySelectorAll(".cell")) stamp(one);
      return;
    }
    pairsOf = state.code;
    const fits = (sample) => state.code < 0 || codes[sample] === state.code;
    const chosen = pairs.filter(([one, other]) => fits(one) || fits(other));
    byId("pairs").replaceChildren(
      ...chosen.slice(0, MOST_PAIRS).map(([one, other, near]) => {
        const item = element("li", {}, stamped(one), stamped(other));
        item.append(element("span", { class: "quiet" }, likenessWords(near)));
        return item;
      }));
    byId("pair-count").textContent = count(chosen.length);
    byId("more-pairs").textContent = chosen.length > MOST_PAIRS
      ? "The " + MOST_PAIRS + " closest are shown." : chosen.length ? "" : "None.";
  }

  const likenessWords = (near) =>
    alike.unit === "cosine" ? "cosine " + near.toFixed(3) : near.toFixed(1) + " apart";

  /* A cell that tells whether it is kept. */
  function stamped(sample) {
    const made = cell(sample);
    made.append(element("span", { class: "stamp" }));
    stamp(made);
    return made;
  }

  function stamp(made) {
    const sample = Number(made.dataset.index);
    made.className = "cell " + stateOf(sample);
    made.setAttribute("aria-label", described(sample));
    made.querySelector(".stamp").textContent = stateOf(sample);
  }

  for (const id of ["pairs", "neighbours"]) {
    byId(id).addEventListener("click", (event) => {
      const chosen = event.target.closest(".cell");
      if (chosen) open(Number(chosen.dataset.index), id === "pairs" ? [] : null);
    });
  }

  /* One sample, in a dialog. */
  const dialog = byId("sample");
  let looked = { sample: 0, list: [] };

  function open(sample, list) {
    looked = { sample, list: list === null ? looked.list : list };
    showSample();
    if (!dialog.open) dialog.showModal();
  }

  function line(name, ...value) {
    byId("told").append(element("dt", {}, name), element("dd", {}, ...value));
  }

  function showSample() {
    const { sample, list } = looked;
    byId("sample-title").textContent = "Sample " + sample;
    byId("big").replaceChildren(picture(sample, BIG));
    byId("told").replaceChildren();
    const { order, words } = stop();
    const place = standings[order][sample];
    if (codes) line("class", isolated(className(sample)));
    if (data.files) line(data.fileKind, isolated(fileOf(sample)));
    line("score", short(scores[sample]));
    line("place", count(place + 1) + " of " + count(orders[order].length));
    line("at " + words, element("strong", { class: "state " + stateOf(sample) }, stateOf(sample)));
    const first = data.stops.find((one) => one.order === order && one.kept > place);
    if (orders.length === 1) {
      line("kept from", first ? first.words + " on" : "never kept by these rules");
    }
    showNeighbours(sample);
    const at = list.indexOf(sample);
    byId("sample-previous").disabled = at <= 0;
    byId("sample-next").disabled = at < 0 || at === list.length - 1;
  }

  function showNeighbours(sample) {
    if (!alike) return;
    const shown = [];
    for (let i = sample * alike.count; i < (sample + 1) * alike.count; i++) {
      if (neighbours[i] < 0) continue;
      const made = stamped(neighbours[i]);
      made.append(element("span", { class: "caption" }, likenessWords(likeness[i])));
      if (twins[i]) made.append(element("span", { class: "twin" }, "near duplicate"));
      shown.push(made);
    }
    byId("neighbours").replaceChildren(...shown);
    if (!shown.length) byId("neighbours").append("None: this sample was not compared.");
  }

  function step(by) {
    const at = looked.list.indexOf(looked.sample);
    if (at >= 0 && looked.list[at + by] !== undefined) open(looked.list[at + by], null);
  }

  byId("sample-previous").addEventListener("click", () => step(-1));
  byId("sample-next").addEventListener("click", () => step(1));
  byId("sample-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });

  /* What is chosen above. */
  const slider = byId("slider");
  const ratio = byId("ratio");
  slider.max = data.stops.length - 1;
  slider.value = state.stop;
  slider.disabled = data.stops.length === 1;
  slider.addEventListener("input", () => {
    state.stop = Number(slider.value);
    show(false);
  });
  ratio.addEventListener("change", () => {
    const wanted = Number(ratio.value);
    let nearest = wanted > 0 ? 0 : state.stop;
    data.stops.forEach((one, place) => {
      const off = (at) => Math.abs(data.stops[at].ratio - wanted);
      if (wanted > 0 && off(place) < off(nearest)) nearest = place;
    });
    state.stop = nearest;
    slider.value = nearest;
    show(false);
  });
  byId("class").addEventListener("change", (event) => chooseClass(Number(event.target.value)));
  byId("sort").addEventListener("change", (event) => {
    state.sort = event.target.value;
    show(true);
  });
  byId("twins").addEventListener("change", (event) => {
    state.twinsOnly = event.target.checked;
    show(true);
  });

  function show(fromFirstPage) {
    const { kept, words, order, ratio: share } = stop();
    const total = orders[order].length;
    const told = words + " keeps " + count(kept) + " of " + count(total);
    byId("kept-words").textContent = told;
    slider.setAttribute("aria-valuetext", told);
    ratio.value = short(share);
    for (const pane of panes) {
      if (fromFirstPage) pane.page = 0;
      pane.found = listed(pane.kind);
      showPane(pane);
    }
    showClasses();
    showScores();
    showPairs();
  }

  byId("why-few").hidden = !data.whyFew;
  byId("why-few").textContent = data.whyFew;
  byId("alike").hidden = !alike;
  byId("neighbours-title").hidden = !alike;
  byId("twins").parentElement.hidden = !alike;
  byId("page").hidden = false;
  show(true);
})();
