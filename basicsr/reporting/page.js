// The report: reads the JSON document beside it and builds the page. No text of the document is ever markup.
"use strict";

const report = JSON.parse(document.getElementById("report").textContent);
const COLLAPSE = -3; // dB of PSNR against the input; beyond it an image counts as collapsed
const ERROR_WHITE = 40; // difference in gray values at which the error map is brightest
const FRAME_TIME = 150; // milliseconds of a frame of a clip that plays
const EXTREMES = 4; // images shown as best and as worst
const NEAR = "1200px"; // pictures this far outside of the window are kept decoded

const byId = (id) => document.getElementById(id);

/** An element with properties, attributes (names with a dash, and role) and children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "list") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

// ---------------------------------------------------------------- numbers

const MINUS = "\u2212";

/** A value of `metric` with its digits; rates in percent. */
function format(value, metric, signed = false) {
  if (value === undefined) return "";
  if (Number.isNaN(value)) return "not a number";
  const sign = value < 0 ? MINUS : signed && value > 0 ? "+" : "";
  const size = Math.abs(value);
  if (size === Infinity) return `${sign}∞`;
  const { unit, digits } = report.metrics[metric];
  return unit === "rate" ? `${sign}${(100 * size).toFixed(digits)} %` : sign + size.toFixed(digits);
}

const known = (value) => value !== undefined && !Number.isNaN(value);
/** b - a, where equal infinities differ by nothing. */
const difference = (a, b) => (a === b ? 0 : b - a);
/** The mean of the finite values, and in words what it leaves out; of nothing but equal infinities, these. */
function summarise(values) {
  const finite = values.filter(Number.isFinite);
  const undefinedOnes = values.filter(Number.isNaN).length;
  const infinite = values.length - finite.length - undefinedOnes;
  const told = [];
  if (infinite) told.push(`${infinite.toLocaleString("en")} infinite`);
  if (undefinedOnes) told.push(`${undefinedOnes.toLocaleString("en")} undefined`);
  const alike = values.length > 0 && values.every((value) => value === values[0]);
  const mean = finite.length ? finite.reduce((sum, value) => sum + value, 0) / finite.length : alike ? values[0] : NaN;
  return { mean, leftOut: told.join(", ") };
}
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const unitOf = (metric) => report.metrics[metric].unit;
const titleOf = (metric) => report.metrics[metric].title;
const ofEach = (values, change) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
/** The values of an image: a number, of a clip one a frame. */
const framesOf = (values) => ofEach(values, (value) => [value].flat().map(Number));
/** The value of an image; of a clip the mean over its frames. */
const numbers = (values) => ofEach(framesOf(values), (frames) => (frames.length === 1 ? frames[0] : summarise(frames).mean));

// ---------------------------------------------------------------- the model

const images = [];
for (const set of report.sets) {
  for (const item of set.images) {
    images.push({
      ...item,
      set,
      number: images.length,
      input: numbers(item.input),
      inputFrames: framesOf(item.input),
      results: item.results.map((result) => ({ ...result, values: numbers(result.values), frames: framesOf(result.values), pictures: result.frames })),
      count: Math.max(...item.results.map((result) => result.frames?.length ?? 1)), // of frames, where it is a clip
      frame: Math.floor(Math.max(...item.results.map((result) => result.frames?.length ?? 1)) / 2),
      split: 50,
      shows: {},
    });
  }
}

/** What a side of the slider can show: the input, each run's result, the ground truth. */
const INPUT = {
  name: "input",
  values: (image) => image.input,
  frames: (image) => image.inputFrames,
  summaries: () => ({}),
  data: (image) => image.thumbnails.lq,
  full: (image) => image.full.lq,
};
const TRUTH = {
  name: "ground truth",
  values: () => ({}),
  frames: () => ({}),
  summaries: () => ({}),
  data: (image) => image.gt_frames?.[image.frame] ?? image.thumbnails.gt,
  full: (image) => image.full.gt,
};
const runs = report.runs.map((run, i) => ({
  name: report.runs.length > 1 ? run.name : "restored",
  values: (image) => image.results[i].values,
  frames: (image) => image.results[i].frames,
  summaries: (set) => set.summaries[i],
  data: (image) => image.results[i].pictures?.[image.frame] ?? image.results[i].thumbnail,
  full: (image) => image.results[i].full,
}));
const sources = [INPUT, ...runs];
const comparing = runs.length > 1;
const pair = { left: comparing ? runs[0] : INPUT, right: runs[runs.length - 1] };

const measured = new Set(images.flatMap((image) => image.results.flatMap((result) => Object.keys(result.values))));
const summarised = new Set(report.sets.flatMap((set) => set.summaries.flatMap(Object.keys)));
const metricNames = Object.keys(report.metrics).filter((metric) => measured.has(metric) || summarised.has(metric));
const imageMetrics = metricNames.filter((metric) => measured.has(metric));
/** What is shown of a single image: a rate says yes or no of it, as the mark below it does. */
const singleMetrics = imageMetrics.filter((metric) => unitOf(metric) !== "rate");
/** 1 where more is better, -1 where less is. */
const directionOf = (metric) => (report.metrics[metric].better === "higher" ? 1 : -1);

function gainOf(image, left = pair.left, right = pair.right, metric = report.gain) {
  const [a, b] = [left.values(image)[metric], right.values(image)[metric]];
  return a === undefined || b === undefined ? undefined : difference(a, b);
}
const gainsOf = (members, left, right) => members.map((image) => gainOf(image, left, right)).filter((gain) => gain !== undefined);
const gainName = () => `${titleOf(report.gain)} ${pair.left === INPUT ? "gain" : "difference"}`;
/** How much better the right side is. */
const improvementOf = (image) => {
  const gain = gainOf(image);
  return gain === undefined ? undefined : directionOf(report.gain) * gain;
};
const collapses = report.gain && unitOf(report.gain) === "dB";
const isCollapsed = (image, run) => collapses && gainOf(image, INPUT, run) < COLLAPSE;
const sizeOf = (image) => `${image.size[0]} × ${image.size[1]}`;

// ---------------------------------------------------------------- head and tables

function showHead() {
  const sets = report.sets.length > 1 ? ` in ${plural(report.sets.length, "set")}` : "";
  const compared = comparing ? `${plural(runs.length, "run")}, ` : "";
  byId("lead").textContent = `${compared}${plural(images.length, "image")}${sets}`;
  byId("notes").append(...report.notes.map((note) => make("p", { className: "note", textContent: note })));
  for (const run of report.runs) {
    const list = make("dl", { className: "facts" });
    for (const [what, value] of run.facts) {
      list.append(make("div", {}, make("dt", { textContent: what }), make("dd", { textContent: value })));
    }
    if (!run.facts.length) continue;
    if (!comparing) byId("facts").append(list);
    else byId("facts").append(make("details", {}, make("summary", { textContent: run.name }), list));
  }
}

/** The summary of each metric that all images of the set have, or that the run has summarised itself. */
function summariesOf(source, set) {
  const members = images.filter((image) => image.set === set);
  const summaries = ofEach(source.summaries(set), ({ mean, left_out }) => ({ mean: Number(mean), leftOut: left_out }));
  for (const metric of metricNames.filter((name) => report.metrics[name].averaged)) {
    const found = members.map((image) => source.frames(image)[metric]).filter((values) => values !== undefined);
    if (found.length === members.length) summaries[metric] = summarise(found.flat());
  }
  return summaries;
}

const cell = (text, className = "") => make("td", { textContent: text, className });
/** A mean; what it leaves out stands below it. */
function summaryCell(text, leftOut, className = "number") {
  const shown = cell(text, className);
  if (leftOut) shown.append(make("span", { className: "quiet left-out", textContent: leftOut }));
  return shown;
}
const head = (text, scope, className = "") => make("th", { textContent: text, scope, className });

/** The best of several means. None is where they leave out different images. */
function isBest(metric, value, summaries) {
  if (summaries.some((summary) => summary?.leftOut)) return false;
  const rivals = summaries.map((summary) => summary?.mean).filter(known);
  if (rivals.length < 2 || !known(value)) return false;
  return value === (directionOf(metric) > 0 ? Math.max(...rivals) : Math.min(...rivals));
}

function showTables() {
  if (!metricNames.length) return;
  const withGain = report.gain && images.some((image) => gainOf(image, INPUT, runs[0]) !== undefined);
  const columns = [...metricNames.map(titleOf), ...(withGain ? [`${titleOf(report.gain)} gain`] : [])];
  const table = make("table", { className: "metrics" });
  table.append(make("thead", {}, make("tr", {}, head("Set", "col"), ...columns.map((name) => head(name, "col", "number")))));
  for (const set of report.sets) {
    const members = images.filter((image) => image.set === set);
    const body = make("tbody", {}, make("tr", { className: "set" }, head(`${set.name}`, "rowgroup"), ...columns.map(() => cell(""))));
    body.querySelector("th").append(make("span", { className: "quiet", textContent: ` ${plural(members.length, "image")}` }));
    const rows = [INPUT, ...runs].map((source) => [source, summariesOf(source, set)]);
    for (const [source, summaries] of rows) {
      if (source === INPUT && !Object.keys(summaries).length) continue;
      const row = make("tr", {}, head(source.name, "row"));
      for (const metric of metricNames) {
        const { mean, leftOut } = summaries[metric] ?? {};
        const rivals = rows.filter(([other]) => other !== INPUT).map(([, values]) => values[metric]);
        const best = source !== INPUT && isBest(metric, mean, rivals);
        row.append(summaryCell(format(mean, metric), leftOut, best ? "number best" : "number"));
      }
      if (withGain) {
        const gains = source === INPUT ? [] : gainsOf(members, INPUT, source);
        const { mean, leftOut } = summarise(gains);
        row.append(gains.length ? summaryCell(format(mean, report.gain, true), leftOut) : cell(""));
      }
      body.append(row);
    }
    table.append(body);
  }
  byId("table").append(make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Metrics" }, table));
  byId("tables").hidden = false;
  showPaperTable();
}

/** Rows as in the paper: the input, then a run each; "PSNR / SSIM / MCR" and so on of each set side by side. */
function showPaperTable() {
  if (!comparing || !metricNames.length) return;
  const short = (metric, value) =>
    value === undefined ? "–" : unitOf(metric) ? format(value, metric) : value.toFixed(3).replace(/^(-?)0\./, "$1.");
  const table = make("table", { className: "paper" });
  table.append(make("thead", {}, make("tr", {}, head("", "col"), ...report.sets.map((set) => head(set.name, "col", "number")))));
  const body = make("tbody");
  for (const source of sources) {
    const row = make("tr", {}, head(source.name, "row"));
    for (const set of report.sets) {
      const summaries = summariesOf(source, set);
      const told = metricNames.filter((metric) => summaries[metric]?.leftOut).map((metric) => `${titleOf(metric)}: ${summaries[metric].leftOut}`);
      const text = metricNames.map((metric) => short(metric, summaries[metric]?.mean)).join(" / ");
      row.append(summaryCell(text, told.join("; ")));
    }
    body.append(row);
  }
  table.append(body);
  byId("paper").append(
    make("h3", { textContent: metricNames.map(titleOf).join(" / ") }),
    make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Paper's table" }, table),
  );
}

// ---------------------------------------------------------------- distribution of gains

const SVG = "http://www.w3.org/2000/svg";
function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** 1, 2 or 5 times a power of ten, at least `rough`. */
function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
}

function histogram(gains, width) {
  const finite = gains.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const step = niceStep(Math.max((high - low) / 24, 0.1));
  const first = Math.floor(low / step);
  const bins = Array(Math.floor(high / step) - first + 1).fill(0);
  for (const gain of finite) bins[Math.floor(gain / step) - first] += 1;
  const collapseKnown = pair.left === INPUT && collapses;
  const start = Math.min(first * step, 0, collapseKnown ? COLLAPSE - 0.5 : 0);
  const end = Math.max((first + bins.length) * step, 0);
  const box = { left: 44, right: width - 12, top: 22, bottom: 178 };
  const most = Math.max(...bins);
  const x = (value) => box.left + ((value - start) / (end - start || 1)) * (box.right - box.left);
  const y = (count) => box.bottom - (count / most) * (box.bottom - box.top);
  const unit = unitOf(report.gain);
  const collapsed = gains.filter((gain) => gain < COLLAPSE).length;
  const told = `Distribution of ${gainName()} of ${plural(gains.length, "image")}`;
  const picture = draw("svg", { viewBox: `0 0 ${width} 222`, width, height: 222, role: "img", "aria-label": told });

  const countStep = Math.max(niceStep(most / 4), 1);
  for (let count = 0; count <= most; count += countStep) {
    picture.append(draw("line", { x1: box.left, x2: box.right, y1: y(count), y2: y(count), class: "grid" }));
    picture.append(draw("text", { x: box.left - 8, y: y(count) + 4, "text-anchor": "end" }, String(count)));
  }
  const tick = niceStep((end - start) / Math.max(Math.floor(width / 90), 2));
  const digits = Math.max(0, -Math.floor(Math.log10(tick) + 1e-9));
  for (let i = Math.ceil(start / tick); i * tick <= end + 1e-9; i += 1) {
    const value = i * tick;
    const text = (value < 0 ? MINUS : "") + Math.abs(value).toFixed(digits);
    picture.append(draw("text", { x: x(value), y: box.bottom + 18, "text-anchor": "middle" }, text));
  }
  bins.forEach((count, i) => {
    const [from, to] = [(first + i) * step, (first + i + 1) * step];
    const size = { x: x(from) + 0.75, width: Math.max(x(to) - x(from) - 1.5, 1), y: y(count), height: box.bottom - y(count) };
    const range = `${format(from, report.gain)} to ${format(to, report.gain)} ${unit}: ${plural(count, "image")}`;
    const kind = collapseKnown && to <= COLLAPSE + 1e-9 ? "bar collapsed" : "bar";
    picture.append(draw("rect", { ...size, class: kind }, draw("title", {}, range)));
  });
  picture.append(draw("line", { x1: x(0), x2: x(0), y1: box.top, y2: box.bottom, class: "zero" }));
  if (collapseKnown) {
    picture.append(draw("line", { x1: x(COLLAPSE), x2: x(COLLAPSE), y1: box.top - 8, y2: box.bottom, class: "threshold" }));
    picture.append(draw("text", { x: x(COLLAPSE) + 6, y: box.top - 8, class: "threshold" }, `collapse, ${MINUS}3 dB`));
  }
  const caption = `${gainName()} in ${unit || "its own unit"}`;
  picture.append(draw("text", { x: (box.left + box.right) / 2, y: 216, "text-anchor": "middle", class: "axis" }, caption));
  return [picture, collapseKnown ? collapsed : undefined];
}

function showGains() {
  const place = byId("histograms");
  place.replaceChildren();
  byId("gains").hidden = true;
  if (!report.gain) return;
  byId("gains-title").textContent =
    pair.left === INPUT ? `${titleOf(report.gain)} gain over the input` : `${titleOf(report.gain)}: ${pair.right.name} against ${pair.left.name}`;
  for (const set of report.sets) {
    const gains = gainsOf(images.filter((image) => image.set === set));
    if (!gains.length) continue;
    const { mean, leftOut } = summarise(gains);
    byId("gains").hidden = false;
    const figure = make("figure");
    place.append(figure);
    if (report.sets.length > 1) figure.append(make("h3", { textContent: set.name }));
    const better = gains.filter((gain) => directionOf(report.gain) * gain > 0).length;
    const told = [`${format(mean, report.gain, true)} ${unitOf(report.gain)} on average`];
    told.push(`${better.toLocaleString("en")} of ${plural(gains.length, "image")} better`);
    if (gains.some(Number.isFinite)) {
      const [picture, collapsed] = histogram(gains, Math.max(figure.clientWidth, 280));
      figure.append(picture);
      if (collapsed !== undefined) told.push(`${collapsed.toLocaleString("en")} lost more than 3 dB`);
    }
    if (leftOut) told.push(`${leftOut}, left out`);
    figure.append(make("figcaption", { textContent: told.join(" · ") }));
  }
}

function showExtremes() {
  const place = byId("strips");
  place.replaceChildren();
  byId("extremes").hidden = true;
  for (const set of report.sets) {
    const ranked = images.filter((image) => image.set === set && known(gainOf(image)));
    if (ranked.length < 2) continue;
    ranked.sort((a, b) => difference(improvementOf(b), improvementOf(a)));
    byId("extremes").hidden = false;
    const count = Math.min(EXTREMES, Math.floor(ranked.length / 2));
    if (report.sets.length > 1) place.append(make("h3", { textContent: set.name }));
    place.append(
      make("div", { className: "strips" }, makeStrip("Best", ranked.slice(-count).reverse()), makeStrip("Worst", ranked.slice(0, count))),
    );
  }
}

function makeStrip(name, members) {
  const strip = make("ul", { className: "strip", "aria-label": name });
  for (const image of members) {
    const gain = gainOf(image);
    const button = make(
      "button",
      { type: "button", className: "extreme", onclick: () => goTo(image) },
      make("img", { src: picture(pair.right.data(image)), alt: "", decoding: "async" }),
      make("span", { className: "name", textContent: image.key }),
      make("span", { className: improvementOf(image) < 0 ? "loss" : "gain", textContent: format(gain, report.gain, true) }),
    );
    strip.append(make("li", {}, button));
  }
  return make("div", {}, make("p", { className: "quiet", textContent: name }), strip);
}

// ---------------------------------------------------------------- pictures

const picture = (data) => `data:image/webp;base64,${data}`;

async function pixelsOf(data) {
  const image = new Image();
  image.src = picture(data);
  await image.decode();
  const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Black, violet, orange, light yellow for 0..1. */
function heat(share) {
  const stops = [[8, 8, 20], [92, 24, 120], [226, 92, 60], [252, 246, 180]];
  const place = Math.min(share, 1) * (stops.length - 1);
  const i = Math.min(Math.floor(place), stops.length - 2);
  return stops[i].map((value, channel) => value + (stops[i + 1][channel] - value) * (place - i));
}
const HEAT = Array.from({ length: 256 }, (_, value) => heat(value / ERROR_WHITE));

/** The largest difference of a channel to the ground truth, pixel by pixel. */
async function paintError(canvas, shown, truth) {
  const [a, b] = await Promise.all([pixelsOf(shown), pixelsOf(truth)]);
  const map = new ImageData(a.width, a.height);
  for (let i = 0; i < map.data.length; i += 4) {
    let error = 0;
    for (let channel = i; channel < i + 3; channel += 1) error = Math.max(error, Math.abs(a.data[channel] - b.data[channel]));
    const [red, green, blue] = HEAT[error];
    map.data[i] = red;
    map.data[i + 1] = green;
    map.data[i + 2] = blue;
    map.data[i + 3] = 255;
  }
  put(canvas, map);
}

/** Regions in colors whose hues keep apart; what no region covers stays clear. */
async function paintRegions(canvas, labels) {
  const map = await pixelsOf(labels);
  for (let i = 0; i < map.data.length; i += 4) {
    const id = map.data[i];
    const [red, green, blue] = regionColour(id);
    map.data[i] = red;
    map.data[i + 1] = green;
    map.data[i + 2] = blue;
    map.data[i + 3] = id ? 255 : 0;
  }
  put(canvas, map);
}
const regionColours = Array.from({ length: 256 }, (_, id) => {
  const hue = (id * 0.618034) % 1;
  return [0, 1 / 3, 2 / 3].map((shift) => 255 * Math.min(1, Math.max(0.1, Math.abs((((hue + shift) % 1) * 6) - 3) - 1)));
});
const regionColour = (id) => regionColours[id];

function put(canvas, map) {
  [canvas.width, canvas.height] = [map.width, map.height];
  canvas.getContext("2d").putImageData(map, 0, 0);
}

// ---------------------------------------------------------------- an image: slider, switches, numbers

/** What the sides of the slider show now. */
const sidesOf = (image) => [pair.left, image.shows.truth ? TRUTH : pair.right];

/** The two pictures under one divider. `show()` loads what is switched on, `drop()` forgets the pixels. */
function makeViewer(image, large) {
  const box = make("div", { className: "viewer" });
  const [width, height] = image.size;
  box.style.setProperty("--ratio", Math.min(Math.max(width / height, 0.75), 2.4));
  const layers = [0, 1].map((side) => make("div", { className: side ? "side right" : "side left" }));
  const names = [0, 1].map((side) => make("span", { className: side ? "name right" : "name left" }));
  const regions = make("canvas", { className: "regions", hidden: true });
  const range = make("input", { type: "range", min: 0, max: 100, step: "any", value: image.split, className: "divider" });
  range.setAttribute("aria-label", `Divider of ${image.key}`);
  const move = () => {
    image.split = Number(range.value);
    box.style.setProperty("--split", `${image.split}%`);
    range.setAttribute("aria-valuetext", `${Math.round(image.split)} %`);
  };
  range.addEventListener("input", move);
  range.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2, ArrowDown: -2, ArrowUp: 2 }[event.key];
    if (!step) return; // a range with step "any" has no step of its own
    event.preventDefault();
    range.value = Number(range.value) + step;
    move();
  });
  box.append(...layers, regions, ...names, make("i", { className: "line" }), range);

  function show() {
    range.value = image.split;
    move();
    const sides = sidesOf(image);
    const sharp = large && image.count === 1 && sides.every((side) => side.full(image));
    sides.forEach((side, i) => {
      names[i].textContent = image.shows.error ? `error of ${side.name}` : side.name;
      const shown = layers[i].firstChild;
      const data = side.data(image);
      const wanted = `${side.name} ${image.shows.error ? `error ${image.frame}` : "picture"}`;
      if (shown?.wanted === wanted && shown.data === data) return;
      let element;
      if (image.shows.error) {
        element = make("canvas");
        paintError(element, data, TRUTH.data(image));
      } else {
        element = make("img", { src: picture(data), alt: `${image.key}, ${side.name}`, draggable: false });
      }
      element.data = data;
      element.wanted = wanted;
      layers[i].replaceChildren(element);
    });
    if (sharp && !image.shows.error) sharpen(sides);
    if (image.shows.regions && regions.hidden) paintRegions(regions, image.thumbnails.labels);
    regions.hidden = !image.shows.regions;
  }

  /** Full pictures in place of thumbnails, but only on both sides: a thumbnail beside one would look worse. */
  async function sharpen(sides) {
    const full = sides.map((side) => make("img", { src: side.full(image), alt: `${image.key}, ${side.name}`, draggable: false }));
    try {
      await Promise.all(full.map((element) => element.decode()));
    } catch {
      return; // moved or of a type that this browser does not show
    }
    if (sidesOf(image).some((side, i) => side !== sides[i]) || image.shows.error) return;
    full.forEach((element, i) => {
      element.data = layers[i].firstChild.data;
      element.wanted = layers[i].firstChild.wanted;
      layers[i].replaceChildren(element);
    });
  }

  function drop() {
    layers.forEach((layer) => layer.replaceChildren());
    regions.hidden = true;
    [regions.width, regions.height] = [0, 0];
  }
  return { box, show, drop };
}

function makeCard(image, large = false) {
  const viewer = makeViewer(image, large);
  const numbersPlace = make("div");
  const buttons = make("span", { className: "buttons" });
  const switches = [];
  const addSwitch = (name, text, title = "") => {
    const button = make("button", { type: "button", textContent: text, title });
    button.addEventListener("click", () => {
      image.shows[name] = !image.shows[name];
      show();
    });
    switches.push([button, name]);
    buttons.append(button);
  };
  const show = () => {
    for (const [button, name] of switches) button.setAttribute("aria-pressed", Boolean(image.shows[name]));
    player?.update();
    viewer.show();
  };
  const player = image.count > 1 ? makePlayer(image, show) : undefined;
  if (image.thumbnails.gt) {
    addSwitch("truth", "Ground truth");
    addSwitch("error", "Error", `Difference to the ground truth, the largest of the channels: black is 0, light ${ERROR_WHITE} of 255 and more`);
  }
  if (image.thumbnails.labels) addSwitch("regions", "Regions");
  if (!large) {
    const label = `Enlarge ${image.key}`;
    viewer.box.append(
      make("button", { type: "button", className: "enlarge", textContent: "⤢", title: "Enlarge", "aria-label": label, onclick: () => enlarge(image) }),
    );
  }

  const caption = make("div", { className: "caption" });
  const title = make("div", { className: "title" }, make("span", { className: "key", textContent: image.key, title: image.key }));
  if (report.sets.length > 1) title.append(make("span", { className: "quiet", textContent: image.set.name }));
  if (player) caption.append(player.bar);
  caption.append(title, numbersPlace, noteList(image), buttons);
  const links = fullLinks(image);
  if (links.length) caption.append(make("p", { className: "links" }, "Full pictures: ", ...links));
  const card = make(large ? "div" : "li", { className: "card" }, viewer.box, caption);
  const update = () => numbersPlace.replaceChildren(comparing ? runTable(image) : valueList(image));
  update();
  const drop = () => {
    player?.stop();
    viewer.drop();
  };
  return { card, update, show, drop };
}

/** Which frame of a clip is seen: a slider, whose arrow keys step, and a button that plays the clip there and back. */
function makePlayer(image, show) {
  const last = image.count - 1;
  const range = make("input", { type: "range", className: "frames", min: 0, max: last, step: 1, value: image.frame });
  range.setAttribute("aria-label", `Frame of ${image.key}`);
  const told = make("output");
  const button = make("button", { type: "button", "aria-label": `Play ${image.key}` });
  let timer;
  let by = 1;
  const go = (frame) => {
    image.frame = frame;
    show();
  };
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
    button.textContent = "▶";
    button.setAttribute("aria-pressed", false);
  };
  const play = () => {
    timer = setInterval(() => {
      if (!range.isConnected) return stop();
      if (image.frame + by > last || image.frame + by < 0) by = -by;
      go(image.frame + by);
    }, FRAME_TIME);
    button.textContent = "❚❚";
    button.setAttribute("aria-pressed", true);
  };
  button.addEventListener("click", () => (timer ? stop() : play()));
  range.addEventListener("input", () => {
    stop();
    go(Number(range.value));
  });
  const update = () => {
    range.value = image.frame;
    told.textContent = `${image.frame + 1} of ${image.count}`;
    range.setAttribute("aria-valuetext", `frame ${told.textContent}`);
  };
  stop();
  update();
  return { bar: make("div", { className: "player" }, button, range, told), update, stop };
}

function valueList(image) {
  const list = make("dl", { className: "values" });
  const add = (name, text, className = "") =>
    list.append(make("div", { className }, make("dt", { textContent: name }), make("dd", { textContent: text })));
  for (const metric of singleMetrics) {
    const value = image.results[0].values[metric];
    if (value !== undefined) add(titleOf(metric), format(value, metric));
  }
  const gain = gainOf(image, INPUT, runs[0]);
  if (gain !== undefined) add("gain", format(gain, report.gain, true), improvementOf(image) < 0 ? "loss" : "gain");
  return list;
}

function runTable(image) {
  const table = make("table", { className: "runs" });
  table.append(make("tr", {}, head("", "col"), ...singleMetrics.map((metric) => head(titleOf(metric), "col", "number"))));
  for (const source of sources) {
    const values = source.values(image);
    if (!Object.keys(values).length) continue;
    table.append(make("tr", {}, head(source.name, "row"), ...singleMetrics.map((metric) => cell(format(values[metric], metric), "number"))));
  }
  const differences = singleMetrics.map((metric) => gainOf(image, pair.left, pair.right, metric));
  if (differences.some((value) => value !== undefined)) {
    const row = make("tr", { className: "difference" }, head("right \u2212 left", "row"));
    singleMetrics.forEach((metric, i) => row.append(cell(format(differences[i], metric, true), "number")));
    table.append(row);
  }
  return make("div", { className: "scroll" }, table);
}

function noteList(image) {
  const list = make("ul", { className: "notes" });
  image.results.forEach((result, i) => {
    const of = comparing ? `${runs[i].name}: ` : "";
    if (isCollapsed(image, runs[i])) {
      list.append(make("li", { className: "loss", textContent: `${of}collapsed, more than 3 dB below the input` }));
    }
    for (const note of result.notes) list.append(make("li", { textContent: of + note }));
  });
  return list;
}

function fullLinks(image) {
  const links = [INPUT, ...runs, TRUTH].filter((source) => source.full(image)).map((source) => make("a", { href: source.full(image), textContent: source.name, target: "_blank", rel: "noopener" }));
  return links.flatMap((item, i) => (i ? [", ", item] : [item]));
}

// ---------------------------------------------------------------- the list

const cards = new Map();
const near = new Set();
const watch = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const image = entry.target.image;
      if (entry.isIntersecting) {
        near.add(image);
        cards.get(image).show();
      } else {
        near.delete(image);
        cards.get(image).drop();
      }
    }
  },
  { rootMargin: NEAR },
);

function cardOf(image) {
  if (!cards.has(image)) {
    const made = makeCard(image);
    made.card.image = image;
    cards.set(image, made);
    watch.observe(made.card);
  }
  return cards.get(image);
}

const orders = new Map();
function fillSort() {
  orders.clear();
  orders.set("In order", () => 0);
  orders.set("Name", (a, b) => a.key.localeCompare(b.key, "en", { numeric: true }));
  const add = (name, value) => {
    const ranked = (sign) => (a, b) => {
      const [x, y] = [value(a), value(b)];
      return known(x) && known(y) ? sign * difference(x, y) : known(y) - known(x);
    };
    orders.set(`${name}, highest first`, ranked(1));
    orders.set(`${name}, lowest first`, ranked(-1));
  };
  if (images.some((image) => gainOf(image) !== undefined)) add(gainName(), (image) => gainOf(image));
  for (const metric of imageMetrics) {
    if (comparing && metric !== report.gain) add(`${titleOf(metric)} difference`, (image) => gainOf(image, pair.left, pair.right, metric));
    add(titleOf(metric), (image) => pair.right.values(image)[metric]);
  }
  const chosen = byId("sort").selectedIndex;
  byId("sort").replaceChildren(...[...orders.keys()].map((name) => make("option", { textContent: name })));
  byId("sort").selectedIndex = Math.max(chosen, 0);
}

let listed = [];
function showImages() {
  const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const set = byId("set").value;
  const textOf = (image) => [image.key, image.set.name, ...image.results.flatMap((result) => result.notes)].join(" ").toLowerCase();
  listed = images.filter((image) => (!set || image.set === report.sets[set]) && words.every((word) => textOf(image).includes(word)));
  listed.sort(orders.get(byId("sort").value));
  byId("count").textContent = listed.length === images.length ? plural(images.length, "image") : `${listed.length} of ${images.length}`;
  byId("cards").replaceChildren(...listed.map((image) => cardOf(image).card));
  if (!listed.length) byId("cards").append(make("li", { className: "empty", textContent: "No image fits." }));
}

/** Scroll to an image; filters that hide it are cleared. */
function goTo(image) {
  if (!listed.includes(image)) {
    byId("find").value = byId("set").value = "";
    showImages();
  }
  const { card } = cardOf(image);
  card.scrollIntoView({ block: "center" });
  card.querySelector(".divider").focus({ preventScroll: true });
}

function showPair() {
  fillSort();
  showGains();
  showExtremes();
  for (const [image, made] of cards) {
    made.update();
    if (near.has(image)) made.show();
  }
  showImages();
}

// ---------------------------------------------------------------- large view

let enlarged;
function enlarge(image) {
  enlarged = image;
  const made = makeCard(image, true);
  byId("large-name").textContent = `${image.key} · ${sizeOf(image)}`;
  byId("large-card").replaceChildren(made.card);
  made.show();
  if (!byId("large").open) byId("large").showModal();
  made.card.querySelector(".divider").focus();
}

function step(by) {
  const place = listed.indexOf(enlarged) + by;
  enlarge(listed[(place + listed.length) % listed.length]);
}

function leaveLarge() {
  byId("large-card").replaceChildren(); // which ends what plays there
  if (near.has(enlarged)) cards.get(enlarged).show();
}

// ---------------------------------------------------------------- start

function fill(select, items, chosen) {
  select.replaceChildren(...items.map(([value, text]) => make("option", { value, textContent: text, selected: value === chosen })));
}

function start() {
  showHead();
  showTables();
  fill(byId("set"), [["", "all"], ...report.sets.map((set, i) => [String(i), set.name])], "");
  byId("set-choice").hidden = report.sets.length < 2;
  for (const label of document.querySelectorAll(".pair")) label.hidden = !comparing;
  for (const side of ["left", "right"]) {
    fill(byId(side), sources.map((source, i) => [String(i), source.name]), String(sources.indexOf(pair[side])));
    byId(side).addEventListener("change", () => {
      pair[side] = sources[Number(byId(side).value)];
      showPair();
    });
  }
  byId("find").addEventListener("input", showImages);
  byId("set").addEventListener("change", showImages);
  byId("sort").addEventListener("change", showImages);
  byId("toolbar").addEventListener("submit", (event) => event.preventDefault());
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => byId("large").close());
  byId("large").addEventListener("close", leaveLarge);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth !== width) showGains();
    width = window.innerWidth;
  });
  showPair();
}

start();
