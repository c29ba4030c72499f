// One axis of coordinates: coding probability, coding regions, base pairs and target sites of a record.

const TRACK_WIDTH = 1200;
const LEFT = 120;
const CURVE = "#225ea8", WINDOW = "#fdae6b", FRAME = "#d95f0e", PAIRED = "#41b6c4";

/** The lanes of a record, drawn from `from` to `to` (0-based, half-open). */
class Tracks {
  constructor(report, details, length) {
    this.report = report;
    this.details = details;
    this.length = length;
    this.range = [0, length];
    this.svg = drawn("svg", { class: "tracks", role: "img", "aria-label": "Tracks along the sequence", "font-size": 11, "font-family": "Helvetica, Arial, sans-serif" });
    this.svg.addEventListener("wheel", (event) => this.zoomAt(event), { passive: false });
    let held = null;
    this.svg.addEventListener("pointerdown", (event) => (held = { x: event.clientX, range: this.range }));
    addEventListener("pointerup", () => (held = null));
    this.svg.addEventListener("pointermove", (event) => {
      if (!held) return;
      const wide = held.range[1] - held.range[0];
      const bases = ((held.x - event.clientX) / this.svg.getBoundingClientRect().width) * (TRACK_WIDTH / (TRACK_WIDTH - LEFT)) * wide;
      const from = Math.min(Math.max(0, held.range[0] + bases), this.length - wide);
      this.range = [from, from + wide];
      this.draw();
    });
    this.draw();
  }

  zoomAt(event) {
    event.preventDefault();
    const [from, to] = this.range;
    const box = this.svg.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, ((event.clientX - box.left) / box.width * TRACK_WIDTH - LEFT) / (TRACK_WIDTH - LEFT - 10)));
    const wide = Math.min(this.length, Math.max(20, (to - from) * (event.deltaY < 0 ? 0.8 : 1.25)));
    const start = Math.min(Math.max(0, from + part * (to - from) - part * wide), this.length - wide);
    this.range = [start, start + wide];
    this.draw();
  }

  reset() {
    this.range = [0, this.length];
    this.draw();
  }

  at(boundary) {
    const [from, to] = this.range;
    return LEFT + ((TRACK_WIDTH - LEFT - 10) * (boundary - from)) / (to - from);
  }

  /** A bar of a lane, cut at the ends of the panel; nothing where it lies outside. */
  bar(start, end, y, height, fill, words) {
    const [left, right] = [Math.max(LEFT, this.at(start)), Math.min(TRACK_WIDTH - 10, this.at(end))];
    if (right < LEFT || left > TRACK_WIDTH - 10) return null;
    return titled(drawn("rect", { x: left.toFixed(1), y, width: Math.max(1, right - left).toFixed(1), height, fill }), words);
  }

  draw() {
    const { details } = this;
    const nodes = [];
    let y = 8;
    const name = (text, middle) => nodes.push(drawn("text", { x: LEFT - 8, y: middle + 4, "text-anchor": "end" }, text.length > 18 ? `${text.slice(0, 17)}…` : text));
    const place = (start, end) => `${start + 1}–${end}`;
    if (details.track) {
      const { bases, percent } = details.track;
      const high = 70;
      let d = `M${LEFT} ${y + high}`;
      const [from, to] = [Math.floor(this.range[0] / bases), Math.min(percent.length, Math.ceil(this.range[1] / bases))];
      for (let point = from; point < to; point++) {
        const level = (y + high * (1 - percent[point] / 100)).toFixed(1);
        const [a, b] = [this.at(point * bases), this.at((point + 1) * bases)].map((x) => Math.min(TRACK_WIDTH - 10, Math.max(LEFT, x)).toFixed(1));
        d += `L${a} ${level}H${b}`;
      }
      d += `L${TRACK_WIDTH - 10} ${y + high}z`;
      nodes.push(drawn("rect", { x: LEFT, y, width: TRACK_WIDTH - LEFT - 10, height: high, fill: "none", stroke: "#d9d9d9" }));
      nodes.push(drawn("path", { d, fill: "#c6d9ee", stroke: CURVE, "stroke-width": 1 }));
      name("coding probability", y + high / 2);
      y += high + 10;
    }
    if (details.regions.length || details.reading_frame) {
      name(details.regions.length ? "coding regions" : "open reading frame", y + 8);
      for (const region of details.regions) {
        const words = `${region.name} ${place(region.start, region.end)} (${region.strand}), mean probability ${shown(region.probability)}`;
        nodes.push(this.bar(region.start, region.end, y, 16, region.name.includes(".cds") ? FRAME : WINDOW, words));
      }
      if (details.reading_frame) {
        const [start, end, strand] = details.reading_frame;
        nodes.push(this.bar(start, end, y + 18, 5, FRAME, `most probable open reading frame ${place(start, end)} (${strand})`));
      }
      y += 30;
    }
    if (details.structure) {
      name("paired bases", y + 6);
      let d = "";
      for (let base = Math.floor(this.range[0]); base < Math.min(this.length, Math.ceil(this.range[1])); base++) {
        if (details.structure[base] !== ".") d += `M${Math.max(LEFT, this.at(base)).toFixed(1)} ${y}H${Math.min(TRACK_WIDTH - 10, this.at(base + 1)).toFixed(1)}v12H${Math.max(LEFT, this.at(base)).toFixed(1)}z`;
      }
      nodes.push(drawn("path", { d, fill: PAIRED }));
      y += 22;
    }
    const lanes = new Map();
    for (const site of details.sites) {
      if (!lanes.has(site.mirna)) lanes.set(site.mirna, []);
      lanes.get(site.mirna).push(site);
    }
    for (const [mirna, sites] of [...lanes].slice(0, 20)) {
      name(mirna, y + 6);
      // The probable ones last, on top.
      for (const site of [...sites].reverse()) {
        const words = `${mirna} ${place(site.start, site.end)}${site.seed_type ? `, ${site.seed_type}` : ""}, probability ${shown(site.probability)}`;
        nodes.push(this.bar(site.start, site.end, y, 12, colourAt(this.report.scales[0], site.probability || 0), words));
      }
      y += 18;
    }
    const step = Math.max(1, roundStep(this.range[1] - this.range[0], 12));
    const first = Math.max(step, Math.ceil(this.range[0] / step) * step);
    const positions = this.range[0] < 1 ? [1] : [];
    for (let position = first; position <= this.range[1]; position += step) positions.push(position);
    for (const position of positions) {
      const x = this.at(position - 0.5);
      if (x < LEFT) continue;
      nodes.push(drawn("line", { x1: x, x2: x, y1: y, y2: y + 4, stroke: "#777" }));
      nodes.push(drawn("text", { x, y: y + 16, "text-anchor": "middle", fill: "#6b6b6b" }, String(position)));
    }
    nodes.push(drawn("line", { x1: LEFT, x2: TRACK_WIDTH - 10, y1: y, y2: y, stroke: "#777" }));
    const letters = (TRACK_WIDTH - LEFT - 10) / (this.range[1] - this.range[0]) >= 8 && details.sequence;
    if (letters) {
      y += 14;
      for (let base = Math.ceil(this.range[0]); base < Math.floor(this.range[1]); base++) {
        nodes.push(drawn("text", { x: this.at(base + 0.5), y: y + 16, "text-anchor": "middle", "font-family": "Menlo, monospace" }, details.sequence[base]));
      }
    }
    this.svg.setAttribute("viewBox", `0 0 ${TRACK_WIDTH} ${y + 26}`);
    this.svg.replaceChildren(...nodes.filter(Boolean));
  }
}
