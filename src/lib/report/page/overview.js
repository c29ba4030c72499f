// What is shown of all records together: the map of embeddings, distributions, runs and models.

const GROUPS = ["#225ea8", "#d95f0e", "#1b9e77", "#762a83", "#e7298a", "#66a61e", "#a6761d", "#666666"];

/** Records of one text together: at most as many groups as there are colours, the rarest together. */
function groupsOf(column, records) {
  const counts = new Map();
  records.forEach((record) => counts.set(column.values[record], (counts.get(column.values[record]) || 0) + 1));
  const names = [...counts].sort((a, b) => b[1] - a[1]).map(([name]) => name).slice(0, GROUPS.length - 1);
  return { names, of: (record) => { const place = names.indexOf(column.values[record]); return place < 0 ? GROUPS.length - 1 : place; } };
}

class EmbeddingMap {
  constructor(report, choose) {
    this.report = report;
    this.size = Math.min(760, innerWidth - 80);
    const { explained } = report.map;
    this.canvas = element("canvas", { id: "map-canvas", role: "img", "aria-label": "Map of embeddings" });
    const ratio = devicePixelRatio || 1;
    this.canvas.width = this.canvas.height = this.size * ratio;
    this.canvas.style.width = this.canvas.style.height = `${this.size}px`;
    this.context = this.canvas.getContext("2d");
    this.context.scale(ratio, ratio);
    const names = report.columns.filter((column) => column.name !== "id" && column.name !== "description").map((column) => column.name);
    const first = ["sample", "prediction", "coding", "length"].find((name) => names.includes(name)) || names[0];
    this.select = element("select", { "aria-label": "Colour", change: () => this.draw() }, names.map((name) => element("option", { selected: name === first }, name)));
    this.key = element("div");
    document.getElementById("map").replaceChildren(
      element("div", { class: "bar" }, "Colour by ", this.select, this.key),
      this.canvas,
      element("p", { class: "note" }, `Mean embeddings of rnaret-embed on their first two principal components, which hold ${shown(100 * explained[0])} % and ${shown(100 * explained[1])} % of the variance. Near points are RNAs that the model finds alike; a click shows the record.`),
    );
    this.canvas.addEventListener("mousemove", (event) => {
      const point = this.nearest(event);
      if (point === null) return tip.hide();
      const record = report.map.records[point];
      const value = report.value(record, this.select.value);
      tip.show(event, `${report.value(record, "id")}: ${this.select.value} ${shown(value)}`);
    });
    this.canvas.addEventListener("mouseleave", () => tip.hide());
    this.canvas.addEventListener("click", (event) => {
      const point = this.nearest(event);
      if (point !== null) choose(report.map.records[point]);
    });
    this.draw();
  }

  at(point) {
    const { x, y } = this.report.map;
    const half = this.size / 2;
    return [half + x[point] * (half - 14), half - y[point] * (half - 14)];
  }

  nearest(event) {
    const box = this.canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let best = null, least = 100;
    for (let point = 0; point < this.report.map.records.length; point++) {
      const [x, y] = this.at(point);
      const distance = (x - px) ** 2 + (y - py) ** 2;
      if (distance < least) [best, least] = [point, distance];
    }
    return best;
  }

  draw() {
    const { report, context, size } = this;
    const { records } = report.map;
    const column = report.byName.get(this.select.value);
    let colour;
    if (column.is_number) {
      const values = records.map((record) => column.values[record]).filter((value) => value !== null);
      const [least, most] = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
      colour = (record) => (column.values[record] === null ? "#cccccc" : colourAt(report.scales[0], most > least ? (column.values[record] - least) / (most - least) : 0.5));
      this.key.replaceChildren(element("span", { class: "note" }, `${shown(least)} `), element("span", { style: `display:inline-block;width:120px;height:10px;background:linear-gradient(to right,${report.scales[0].join(",")})` }), element("span", { class: "note" }, ` ${shown(most)}`));
    } else {
      const groups = groupsOf(column, records);
      colour = (record) => GROUPS[groups.of(record)];
      const entries = groups.names.map((name, place) => [name === null ? "none" : name, GROUPS[place]]);
      if (records.some((record) => groups.of(record) === GROUPS.length - 1)) entries.push(["other", GROUPS[GROUPS.length - 1]]);
      this.key.replaceChildren(...entries.map(([name, fillColour]) => element("span", { class: "key" }, element("i", { style: `background:${fillColour}` }), String(name))));
    }
    context.clearRect(0, 0, size, size);
    context.strokeStyle = "#e4e4e4";
    context.beginPath();
    context.moveTo(size / 2, 0);
    context.lineTo(size / 2, size);
    context.moveTo(0, size / 2);
    context.lineTo(size, size / 2);
    context.stroke();
    const radius = records.length > 2000 ? 2.2 : records.length > 300 ? 3 : 5;
    context.globalAlpha = records.length > 300 ? 0.75 : 1;
    records.forEach((record, point) => {
      const [x, y] = this.at(point);
      context.fillStyle = colour(record);
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    });
    context.globalAlpha = 1;
  }
}

/** How the numbers of a column are distributed. */
function histogram(column) {
  const values = column.values.filter((value) => value !== null);
  const [least, most] = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
  const width = 380, high = 170, left = 44, base = high - 30;
  const step = roundStep(most - least || 1, 24);
  const first = Math.floor(least / step) * step;
  const bins = new Array(Math.max(1, Math.floor((most - first) / step + 1e-9) + 1)).fill(0);
  values.forEach((value) => bins[Math.min(bins.length - 1, Math.floor((value - first) / step + 1e-9))]++);
  const highest = bins.reduce((a, b) => Math.max(a, b), 1);
  const wide = (width - left - 10) / bins.length;
  const round = (value) => shown(Number(value.toPrecision(6)));
  const svg = drawn("svg", { width, height: high, role: "img", "aria-label": `Distribution of ${column.name}`, "font-size": 10, fill: "#6b6b6b" });
  bins.forEach((count, bin) => {
    const height = (count / highest) * (base - 10);
    const [from, to] = [first + bin * step, first + (bin + 1) * step];
    svg.append(titled(drawn("rect", { x: left + bin * wide + 0.5, y: base - height, width: Math.max(1, wide - 1), height, fill: "#41b6c4" }), `${round(from)} to ${round(to)}: ${shown(count)}`));
    if (bin % Math.ceil(bins.length / 6) === 0) svg.append(drawn("text", { x: left + bin * wide, y: base + 14, "text-anchor": "middle" }, round(from)));
  });
  svg.append(drawn("line", { x1: left, x2: width - 10, y1: base, y2: base, stroke: "#777" }), drawn("text", { x: left - 6, y: 16, "text-anchor": "end" }, shown(highest)), drawn("text", { x: left - 6, y: base, "text-anchor": "end" }, "0"));
  const sorted = [...values].sort((a, b) => a - b);
  const caption = `${shown(values.length)} records, median ${shown(sorted[Math.floor((sorted.length - 1) / 2)])}`;
  return element("figure", {}, element("figcaption", {}, column.name), svg, element("div", { class: "note" }, `${caption}${column.about ? `; ${column.about}` : ""}`));
}

/** How often the texts of a column come. */
function bars(column) {
  const { names } = groupsOf(column, column.values.map((_, record) => record).filter((record) => column.values[record] !== null));
  const counts = names.map((name) => column.values.filter((value) => value === name).length);
  const most = counts.reduce((a, b) => Math.max(a, b), 1);
  const svg = drawn("svg", { width: 380, height: 24 * names.length + 8, role: "img", "aria-label": `Distribution of ${column.name}`, "font-size": 11 });
  names.forEach((name, place) => {
    const wide = (220 * counts[place]) / most;
    const text = String(name);
    svg.append(drawn("text", { x: 104, y: 24 * place + 18, "text-anchor": "end" }, text.length > 16 ? `${text.slice(0, 15)}…` : text), drawn("rect", { x: 110, y: 24 * place + 6, width: wide, height: 16, fill: "#41b6c4" }), drawn("text", { x: 116 + wide, y: 24 * place + 18 }, shown(counts[place])));
  });
  return element("figure", {}, element("figcaption", {}, column.name), svg, element("div", { class: "note" }, column.about));
}

function showDistributions(report) {
  const texts = report.columns.filter((column) => ["sample", "coding", "prediction", "best miRNA"].includes(column.name));
  const numbers = report.columns.filter((column) => column.is_number && column.values.some((value) => value !== null));
  document.getElementById("distributions").replaceChildren(element("div", { class: "charts" }, numbers.map(histogram), texts.map(bars)));
}

function showRuns(report) {
  const section = document.getElementById("runs");
  if (!report.work.length) {
    section.replaceChildren(element("p", { class: "note" }, "Nothing is known of the runs: give the tools --stats FILE, and the report that file."));
    return;
  }
  const header = ["tool", "version", "tasks", "records", "set aside", "seconds", "device", "model", "command"];
  const rows = report.work.map((work) => [work.tool, work.version, work.tasks, work.records, work.rejected, Number(work.seconds.toPrecision(4)), work.device, work.model === "NA" ? "–" : `${work.model} (sha256 ${work.checksum.slice(0, 12)}…)`, work.command + (work.tasks > 1 ? " (and other parts)" : "")]);
  const models = new Map(report.work.filter((work) => work.card.length).map((work) => [work.model, work.card]));
  section.replaceChildren(
    element("h3", {}, "Runs"),
    element("table", {}, element("thead", {}, element("tr", {}, header.map((name) => element("th", {}, name)))), element("tbody", {}, rows.map((row) => element("tr", {}, row.map((value) => element("td", { class: typeof value === "number" ? "number" : null }, shown(value))))))),
    element("h3", {}, "Models"),
    ...(models.size ? [] : [element("p", { class: "note" }, "No built-in model was used.")]),
    ...[...models].flatMap(([name, card]) => [element("h3", {}, name), element("dl", { class: "card" }, card.flatMap(([heading, sentence]) => [element("dt", {}, heading), element("dd", {}, sentence)]))]),
  );
}
