"use strict";
const content = JSON.parse(document.getElementById("content").textContent);
const table = content.table, figures = content.figures, columns = table.columns;
const count = columns.length ? columns[0].cells.length : 0;
const PAGE = 20;
const state = { words: "", brushed: null, sorted: null, up: true, from: 0, marked: new Set() };
const drawn = {};

const make = (tag, attributes = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
};
const number = (text) => parseFloat(text.replace(/[,<[]/g, ""));

// --- The table: filtered by what is typed and by what is brushed, sorted, a page at a time. ---

const comparisons = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b };

/** A function that tells of a row whether it meets a word: `adam`, `dropout<0.3`, `optimizer=adam`. */
function condition(word) {
  const [, name, sign, value] = /^(.+?)(<=|>=|<|>|=)(.+)$/.exec(word) || [];
  const column = columns.find((each) => each.heading === name || each.title === name);
  if (!column) return (row) => columns.some((each) => each.cells[row].toLowerCase().includes(word.toLowerCase()));
  if (sign === "=") return (row) => column.cells[row] === value || number(column.cells[row]) === parseFloat(value);
  return (row) => comparisons[sign](number(column.cells[row]), parseFloat(value));
}

function chosenRows() {
  const conditions = state.words.split(/\s+/).filter(Boolean).map(condition);
  const rows = [];
  for (let row = 0; row < count; row++) {
    if ((!state.brushed || state.brushed.has(row)) && conditions.every((meets) => meets(row))) rows.push(row);
  }
  if (state.sorted !== null) {
    const cells = columns[state.sorted].cells, way = state.up ? 1 : -1;
    rows.sort((a, b) => {
      const x = number(cells[a]), y = number(cells[b]);
      if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1; // what is no number stands last either way
      return way * (isNaN(x) ? cells[a].localeCompare(cells[b]) : x - y) || a - b;
    });
  }
  return rows;
}

function whisker(ends) {
  const box = make("div", { className: "whisker" });
  if (ends) {
    const [low, mean, high] = ends;
    const line = make("i"), dot = make("b");
    line.style.cssText = `left:${low}%;width:${high - low}%`;
    dot.style.left = `${mean}%`;
    box.append(line, dot);
  }
  return box;
}

function cell(column, row) {
  const text = column.cells[row];
  const element = make("td", { title: column.param ? text : "" });
  if (column.right) element.classList.add("r");
  if (column.param) element.classList.add("param");
  if (column.heading === "verdict") element.classList.add("v-" + text.split(" ")[0]);
  if (column.heading === "rank") {
    element.title = "run " + table.runs[row];
    if (row < content.colours.length && text !== "-") {
      const swatch = make("span", { className: "swatch" });
      swatch.style.background = content.colours[row];
      element.append(swatch, " ");
    }
  }
  element.append(text);
  return element;
}

const body = make("tbody"), told = make("span"), back = make("button", { textContent: "‹ before" });
const on = make("button", { textContent: "next ›" }), clear = make("button", { textContent: "show all" });

function showTable() {
  const rows = chosenRows();
  state.from = Math.max(0, Math.min(state.from, Math.floor((rows.length - 1) / PAGE) * PAGE));
  const lost = new Set(table.lost);
  body.replaceChildren(...rows.slice(state.from, state.from + PAGE).map((row) => {
    const line = make("tr", { onclick: () => mark(row) });
    line.dataset.row = row;
    if (lost.has(row)) line.classList.add("lost");
    if (state.marked.has(row)) line.classList.add("marked");
    columns.forEach((column, place) => {
      line.append(cell(column, row));
      if (place === table.behind && table.whiskers.length) line.append(make("td", {}, whisker(table.whiskers[row])));
    });
    return line;
  }));
  const last = Math.min(state.from + PAGE, rows.length);
  const all = rows.length === count ? "" : ` chosen of ${count.toLocaleString("en")}`;
  told.textContent = rows.length
    ? `${(state.from + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${rows.length.toLocaleString("en")}${all}`
    : `none${all}`;
  back.disabled = state.from === 0;
  on.disabled = last >= rows.length;
  clear.hidden = !state.brushed && !state.words;
}

function buildTable() {
  const input = make("input", { type: "search", placeholder: `filter: a word, or ${columns[table.behind].heading}<0.5`, ariaLabel: "filter the table" });
  input.oninput = () => { state.words = input.value; state.from = 0; showTable(); };
  back.onclick = () => { state.from -= PAGE; showTable(); };
  on.onclick = () => { state.from += PAGE; showTable(); };
  clear.onclick = () => {
    input.value = state.words = "";
    if (state.brushed) {
      const free = {};
      figures.parallel.data[0].dimensions.forEach((_, place) => { free[`dimensions[${place}].constraintrange`] = null; });
      Plotly.restyle("parallel", free, [0]);
    }
    state.brushed = null;
    showTable();
  };
  const heads = columns.map((column, place) => {
    const button = make("button", { textContent: column.heading, title: column.title || "sort" });
    button.onclick = () => {
      state.up = state.sorted === place ? !state.up : true;
      state.sorted = place;
      showTable();
    };
    return make("th", { className: column.right ? "r" : "" }, button);
  });
  if (table.whiskers.length) heads.splice(table.behind + 1, 0, make("th"));
  const head = make("thead", {}, make("tr", {}, ...heads));
  document.getElementById("table").replaceChildren(
    make("div", { className: "bar" }, input, told, back, on, clear),
    make("div", { className: "table" }, make("table", {}, head, body)),
  );
  showTable();
}

/** Marks a row, or no longer: in the table, and in each figure that is drawn. */
function mark(row) {
  if (!state.marked.delete(row)) state.marked.add(row);
  showTable();
  Object.keys(markers).filter((name) => drawn[name]).forEach((name) => markers[name]());
}

const markers = { parallel: markParallel, curves: markCurves, history: markPoints, front: () => markPoints("front") };

/** The lines of the parallel coordinates: the rows that are drawn, and on top of them, in the colour of text, the marked. */
function parallelLines() {
  const { data: [trace], rows } = figures.parallel, all = trace.dimensions[0].values.length;
  const marked = [...state.marked].filter((row) => row < all);
  const shown = figures.parallel.shown = [...rows.filter((row) => !state.marked.has(row)), ...marked];
  const top = trace.line.cmax, above = 1.12 * top, any = marked.length > 0;
  const scale = trace.line.colorscale.map(([at, colour]) => [any ? at * top / above * 0.999 : at, colour]);
  return {
    color: shown.map((row) => (state.marked.has(row) ? above : top - row)),
    cmax: any ? above : top,
    colorscale: any ? [...scale, [top / above, css("--ink")], [1, css("--ink")]] : scale,
    tickvals: [0, top, ...(any ? [above] : [])],
    ticktext: [...trace.line.colorbar.ticktext, ...(any ? ["marked"] : [])],
    values: trace.dimensions.map((each) => shown.map((row) => each.values[row])),
  };
}

function parallelTrace() {
  const trace = structuredClone(figures.parallel.data[0]), { values, color } = parallelLines();
  trace.line.color = color;
  trace.dimensions.forEach((each, at) => { each.values = values[at]; });
  return trace;
}

function markParallel() {
  const { values, color, cmax, colorscale, tickvals, ticktext } = parallelLines();
  const change = {
    "line.color": [color], "line.cmax": cmax, "line.colorscale": [colorscale],
    "line.colorbar.tickvals": [tickvals], "line.colorbar.ticktext": [ticktext],
  };
  values.forEach((each, at) => { change[`dimensions[${at}].values`] = [each]; });
  Plotly.restyle("parallel", change, [0]);
}

/** The marked points are large, and the others fade. */
function markPoints(name = "history") {
  const change = { selectedpoints: [], "selected.marker.size": 13, "selected.marker.opacity": 1, "unselected.marker.opacity": 0.25 };
  const traces = figures[name].data.map((trace, place) => [trace, place]).filter(([trace]) => trace.customdata);
  for (const [trace] of traces) {
    const chosen = trace.customdata.flatMap((row, place) => (state.marked.has(row) ? [place] : []));
    change.selectedpoints.push(state.marked.size ? chosen : null);
  }
  Plotly.restyle(name, change, traces.map(([, place]) => place));
}

function markCurves() {
  const lines = figures.curves.data.map((trace, place) => [trace, place]).filter(([trace]) => trace.meta !== undefined);
  const is = ([trace]) => state.marked.has(trace.meta);
  const grey = (trace) => trace.meta >= content.colours.length;
  Plotly.restyle("curves", {
    "line.width": lines.map((each) => (is(each) ? 4 : grey(each[0]) ? 1 : 2)),
    "line.color": lines.map((each) => (is(each) && grey(each[0]) ? css("--ink") : each[0].line.color)),
  }, lines.map(([, place]) => place));
}

// --- The figures: Plotly's, unpacked once the table is there, each drawn when it comes into view. ---

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A layout's colours, after the page's; Plotly changes what it is given, so each figure gets its own. */
function themed(layout) {
  const ink = css("--ink"), rule = css("--rule"), panel = css("--panel");
  const axis = { gridcolor: rule, linecolor: rule, zerolinecolor: rule, tickcolor: rule, automargin: true };
  const theme = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: 12 },
    xaxis: axis, yaxis: axis, hoverlabel: { bgcolor: panel, bordercolor: rule, font: { color: ink }, align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--soft"), activecolor: ink },
    scene: { xaxis: axis, yaxis: axis, zaxis: axis },
  };
  return { ...layout, autosize: true, template: { layout: theme } };
}

async function unpack(packed) {
  const letters = atob(packed), bytes = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place++) bytes[place] = letters.charCodeAt(place);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  document.head.append(make("script", { textContent: await new Response(stream).text() }));
}

/** The rows that are within all that is brushed on the parallel coordinates, drawn or not; null where nothing is. */
function brushedRows() {
  const all = figures.parallel.data[0].dimensions;
  const limits = document.getElementById("parallel").data[0].dimensions
    .map(({ constraintrange }, at) => [all[at].values, constraintrange])
    .filter(([, ranges]) => ranges && ranges.length)
    .map(([values, ranges]) => [values, Array.isArray(ranges[0]) ? ranges : [ranges]]);
  if (!limits.length) return null;
  const within = (row) => limits.every(([values, ranges]) =>
    ranges.some(([a, b]) => Math.min(a, b) <= values[row] && values[row] <= Math.max(a, b)));
  return new Set([...all[0].values.keys()].filter(within));
}

function tip(text, event) {
  let element = document.getElementById("tip");
  if (!element) document.body.append(element = make("div", { id: "tip" }));
  element.hidden = !text;
  element.textContent = text;
  if (event) element.style.cssText = `left:${event.clientX + 14}px;top:${event.clientY + 14}px`;
}

function listen(name, element) {
  if (name === "parallel") {
    element.on("plotly_restyle", ([change]) => {
      if (!Object.keys(change).some((key) => key.includes("constraintrange"))) return;
      state.brushed = brushedRows();
      state.from = 0;
      showTable();
    });
    let pointer = null;
    element.addEventListener("mousemove", (event) => { pointer = event; });
    element.on("plotly_hover", (event) => {
      const row = figures.parallel.shown[event.curveNumber];
      if (row === undefined) return;
      tip(columns.filter((each) => each.param || each.heading === columns[table.behind].heading || each.heading === "rank")
        .map((each) => `${each.heading} ${each.cells[row]}`).join("  ·  "), pointer);
    });
    element.on("plotly_unhover", () => tip(""));
    element.addEventListener("mouseleave", () => tip(""));
  } else {
    element.on("plotly_click", ({ points: [point] }) => {
      const row = point.customdata ?? point.data.meta;
      if (Number.isInteger(row)) mark(row);
    });
  }
}

async function draw(name) {
  if (drawn[name]) return;
  drawn[name] = true;
  const element = document.getElementById(name), figure = figures[name];
  // Nothing leaves the page; and lines need no more pixels than the screen has.
  const config = { displaylogo: false, responsive: true, showSendToCloud: false, plotGlPixelRatio: devicePixelRatio };
  const data = name === "parallel" ? [parallelTrace()] : structuredClone(figure.data);
  await Plotly.newPlot(element, data, themed(figure.layout), config);
  listen(name, element);
  if (state.marked.size && markers[name]) markers[name]();
}

async function drawFigures() {
  const names = Object.keys(figures);
  if (!names.length) return;
  try {
    await unpack(document.getElementById("library").textContent);
  } catch (error) {
    names.forEach((name) => { document.getElementById(name).textContent = `This browser cannot draw the figure: ${error}`; });
    return;
  }
  const seen = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach((entry) => { seen.unobserve(entry.target); draw(entry.target.id); });
  }, { rootMargin: "40px" });
  names.forEach((name) => seen.observe(document.getElementById(name)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => names.filter((name) => drawn[name])
    .forEach((name) => Plotly.relayout(name, themed(document.getElementById(name).layout))));
}

buildTable();
requestAnimationFrame(() => setTimeout(drawFigures)); // the table is seen first
