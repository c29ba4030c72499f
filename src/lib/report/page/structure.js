// A structure: a drawing in the plane, arcs, or a dot plot, which can be zoomed and moved.

/** Units of a drawing from base to base. */
const UNIT = 20;
/** From this many pixels from base to base on, letters can be read. */
const LETTERS_FROM = 9;
/** Longest RNA whose bases are circles. */
const CIRCLES_TO = 6000;

/** What is needed to draw a record's structure. */
function structureOf(report, details) {
  const partners = partnersOf(details.structure);
  const knots = new Set(details.knots);
  const probabilities = new Map();
  for (let at = 0; at < details.pairs.length; at += 3) {
    probabilities.set(details.pairs[at] * partners.length + details.pairs[at + 1], details.pairs[at + 2] / 100);
  }
  const pairs = [];
  partners.forEach((j, i) => {
    if (j > i) pairs.push({ i, j, knot: knots.has(i), probability: probabilities.get(i * partners.length + j) });
  });
  const colour = (pair) => {
    const scale = report.scales[pair.knot ? 1 : 0];
    // Without a table of pairs nobody knows how probable they are.
    return colourAt(scale, pair.probability === undefined ? 0.6 : pair.probability);
  };
  const letter = (base) => `${details.sequence[base]}${base + 1}`;
  const words = (pair) => {
    const known = pair.probability === undefined ? "" : `, probability ${pair.probability}`;
    return `${letter(pair.i)}–${letter(pair.j)}${known}${pair.knot ? ", pseudoknot" : ""}`;
  };
  return { sequence: details.sequence, layout: details.layout, partners, pairs, all: details.pairs, colour, letter, words, steps: report.steps_per_unit };
}

/** A colour mixed with white, on which dark letters can be read, also in print. */
function paler(colour) {
  return `#${[1, 3, 5].map((at) => Math.round(255 - 0.35 * (255 - parseInt(colour.slice(at, at + 2), 16))).toString(16).padStart(2, "0")).join("")}`;
}

/**
 * An SVG that the wheel zooms and the pointer moves. `unit` is the distance between bases; `numbers` is the group of the
 * positions, which keep their size on the screen where the picture is small.
 */
function zoomable(width, height, unit, label, children, numbers) {
  const svg = drawn("svg", { class: "view", role: "img", "aria-label": label, "font-family": "Menlo, 'DejaVu Sans Mono', monospace" }, children);
  const margin = unit * 2;
  const whole = [-margin, -margin, width + 2 * margin, height + 2 * margin];
  let box = whole;
  const show = () => {
    svg.setAttribute("viewBox", box.map((value) => value.toFixed(2)).join(" "));
    const size = svg.getBoundingClientRect();
    const scale = size.width ? Math.min(size.width / box[2], size.height / box[3]) : 1;
    svg.classList.toggle("near", unit * scale >= LETTERS_FROM);
    const text = Math.max(unit * 0.55, 11 / scale);
    numbers.setAttribute("font-size", text.toFixed(1));
    numbers.setAttribute("stroke-width", (text / 4).toFixed(1));
  };
  const zoom = (factor, x = box[0] + box[2] / 2, y = box[1] + box[3] / 2) => {
    const size = Math.min(Math.max(box[2] / factor, unit * 4), whole[2] * 2) / box[2];
    box = [x - (x - box[0]) * size, y - (y - box[1]) * size, box[2] * size, box[3] * size];
    show();
  };
  const place = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  svg.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = place(event);
    zoom(event.deltaY < 0 ? 1.25 : 0.8, at.x, at.y);
  }, { passive: false });
  let held = null;
  svg.addEventListener("pointerdown", (event) => {
    held = place(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!held) return;
    const at = place(event);
    box = [box[0] + held.x - at.x, box[1] + held.y - at.y, box[2], box[3]];
    show();
  });
  svg.addEventListener("pointerup", () => (held = null));
  requestAnimationFrame(show);
  return { svg, zoom, reset() { box = whole; show(); } };
}

function titled(node, words) {
  node.append(drawn("title", {}, words));
  return node;
}

/** The drawing in the plane. */
function planarView(structure) {
  const { layout, sequence, pairs, steps } = structure;
  const points = [];
  let [x, y] = [0, 0];
  for (let base = 0; base < sequence.length; base++) {
    x += layout[2 * base] * (UNIT / steps);
    y -= layout[2 * base + 1] * (UNIT / steps);
    points.push([x, y]);
  }
  const least = [0, 1].map((axis) => points.reduce((value, point) => Math.min(value, point[axis]), Infinity));
  const most = [0, 1].map((axis) => points.reduce((value, point) => Math.max(value, point[axis]), -Infinity));
  points.forEach((point) => {
    point[0] -= least[0];
    point[1] -= least[1];
  });
  const pairOf = new Map();
  pairs.forEach((pair) => [pair.i, pair.j].forEach((base) => pairOf.set(base, pair)));
  const line = points.map((point) => point.map((value) => value.toFixed(1)).join(" ")).join("L");
  const lines = drawn("g", { "stroke-width": 3, "stroke-linecap": "round", fill: "none" });
  for (const pair of [...pairs].sort((a, b) => b.knot - a.knot)) {
    const [a, b] = [points[pair.i], points[pair.j]];
    const d = `M${a.map((v) => v.toFixed(1)).join(" ")}L${b.map((v) => v.toFixed(1)).join(" ")}`;
    lines.append(titled(drawn("path", { d, stroke: structure.colour(pair), "stroke-width": pair.knot ? 1.6 : 3 }), structure.words(pair)));
  }
  const bases = drawn("g");
  const letters = drawn("g", { class: "letters", "text-anchor": "middle", "font-size": 12, fill: "#222", "pointer-events": "none" });
  const numbers = drawn("g", { fill: "#6b6b6b", "text-anchor": "middle", "font-family": "Helvetica, Arial, sans-serif", stroke: "#fff", "paint-order": "stroke" });
  const step = Math.max(10, roundStep(sequence.length, 30));
  points.forEach(([px, py], base) => {
    const pair = pairOf.get(base);
    if (sequence.length <= CIRCLES_TO) {
      const colour = pair ? structure.colour(pair) : "#777777";
      const circle = drawn("circle", { cx: px.toFixed(1), cy: py.toFixed(1), r: 8, fill: pair ? paler(colour) : "#ffffff", stroke: colour, "stroke-width": pair ? 2 : 0.8, class: pair ? null : "unpaired" });
      bases.append(titled(circle, pair ? structure.words(pair) : structure.letter(base)));
      letters.append(drawn("text", { x: px.toFixed(1), y: (py + 4.2).toFixed(1) }, sequence[base]));
    }
    if ((base + 1) % step === 0 || base === 0 || base + 1 === sequence.length) {
      const before = points[Math.max(0, base - 1)], after = points[Math.min(points.length - 1, base + 1)];
      let [ox, oy] = [before[1] - after[1], after[0] - before[0]];
      const size = Math.hypot(ox, oy) || 1;
      [ox, oy] = [ox / size, oy / size];
      // The side that the partner is not on.
      if (pair) {
        const other = points[pair.i === base ? pair.j : pair.i];
        if (ox * (other[0] - px) + oy * (other[1] - py) > 0) [ox, oy] = [-ox, -oy];
      }
      const text = base === 0 ? "5′" : base + 1 === sequence.length ? "3′" : String(base + 1);
      numbers.append(drawn("text", { x: (px + ox * 19).toFixed(1), y: (py + oy * 19 + 4).toFixed(1) }, text));
    }
  });
  const backbone = drawn("path", { d: `M${line}`, fill: "none", stroke: "#8a8a8a", "stroke-width": 1.3, "vector-effect": "non-scaling-stroke", "stroke-linejoin": "round" });
  return zoomable(most[0] - least[0], most[1] - least[1], UNIT, "Secondary structure in the plane", [backbone, lines, bases, letters, numbers], numbers);
}

/** Arcs over the sequence; those of pseudoknots hang below it. */
function arcView(structure) {
  const { sequence, pairs } = structure;
  const unit = 12;
  const at = (base) => (base + 0.5) * unit;
  const widest = (knots) => pairs.reduce((most, pair) => (pair.knot === knots ? Math.max(most, pair.j - pair.i) : most), 0);
  const width = sequence.length * unit;
  // Arcs are flat enough for the picture not to be higher than half its width.
  const flat = Math.min(0.5, (width * 0.45) / Math.max(1, widest(false) * unit));
  const above = widest(false) * unit * flat, below = widest(true) * unit * flat;
  const arcs = drawn("g", { fill: "none", "stroke-width": Math.max(1.8, sequence.length / 300) });
  for (const pair of pairs) {
    const [from, to] = [at(pair.i), at(pair.j)];
    const y = pair.knot ? above + 16 : above;
    const d = `M${from} ${y}A${(to - from) / 2} ${((to - from) * flat).toFixed(1)} 0 0 ${pair.knot ? 0 : 1} ${to} ${y}`;
    arcs.append(titled(drawn("path", { d, stroke: structure.colour(pair) }), structure.words(pair)));
  }
  const letters = drawn("g", { class: "letters", "text-anchor": "middle", "font-size": 11 });
  [...sequence].forEach((letter, base) => letters.append(drawn("text", { x: at(base), y: above + 12 }, letter)));
  const numbers = drawn("g", { "text-anchor": "middle", fill: "#6b6b6b", "font-family": "Helvetica, Arial, sans-serif", stroke: "#fff", "paint-order": "stroke" });
  const step = Math.max(10, roundStep(sequence.length, 16));
  for (let base = 0; base < sequence.length; base = base === 0 ? step - 1 : base + step) {
    numbers.append(drawn("text", { x: at(base), y: above + 16 + 12 * Math.max(1, sequence.length / 120) }, String(base + 1)));
  }
  const ground = drawn("line", { x1: 0, x2: width, y1: above + 1, y2: above + 1, stroke: "#555", "stroke-width": 0.6 });
  return zoomable(width, above + Math.max(below, 30) + 20, unit, "Base pairs as arcs", [ground, arcs, letters, numbers], numbers);
}

/** Probabilities of pairs above the diagonal, the structure below it. */
function dotView(structure) {
  const { sequence, pairs, all } = structure;
  const length = sequence.length, unit = 10, side = length * unit;
  const children = [drawn("rect", { width: side, height: side, fill: "none", stroke: "#777", "stroke-width": Math.max(1, length / 300) })];
  const grid = drawn("g", { stroke: "#e4e4e4", "stroke-width": Math.max(0.8, length / 400) });
  const size = Math.max(12, side / 45);
  const numbers = drawn("g", { fill: "#6b6b6b", "font-family": "Helvetica, Arial, sans-serif", stroke: "#fff", "paint-order": "stroke" });
  const step = Math.max(10, roundStep(length, 12));
  for (let base = step - 1; base < length; base += step) {
    const at = (base + 0.5) * unit;
    grid.append(drawn("line", { x1: at, x2: at, y1: 0, y2: side }), drawn("line", { y1: at, y2: at, x1: 0, x2: side }));
    numbers.append(drawn("text", { x: at, y: -size * 0.3, "text-anchor": "middle" }, String(base + 1)), drawn("text", { x: -size * 0.3, y: at + size * 0.35, "text-anchor": "end" }, String(base + 1)));
  }
  children.push(grid, drawn("line", { x1: 0, y1: 0, x2: side, y2: side, stroke: "#bbb" }), numbers);
  const dots = drawn("g");
  const square = (row, column, area, fill, words) => {
    // The area is the probability; in long RNAs strong ones are larger than their cell, so that they are seen.
    const wide = Math.max(unit, side / 260) * Math.sqrt(area);
    const at = (cell) => ((cell + 0.5) * unit - wide / 2).toFixed(1);
    dots.append(titled(drawn("rect", { x: at(column), y: at(row), width: wide.toFixed(1), height: wide.toFixed(1), fill }), words));
  };
  const probable = [];
  for (let at = 0; at < all.length; at += 3) probable.push({ i: all[at], j: all[at + 1], knot: false, probability: all[at + 2] / 100 });
  // The strong ones last, on top.
  probable.sort((a, b) => a.probability - b.probability);
  probable.forEach((pair) => square(pair.i, pair.j, pair.probability, structure.colour(pair), structure.words(pair)));
  pairs.forEach((pair) => square(pair.j, pair.i, 0.8, pair.knot ? "#d94801" : "#333", structure.words(pair)));
  children.push(dots);
  return zoomable(side, side, unit, "Dot plot of base pairs", children, numbers);
}
