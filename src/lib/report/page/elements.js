// Making elements. Text goes in as text: nothing that stands in a result is ever read as HTML.

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

/** Gives an element its attributes (a function is a listener) and children (strings become text). */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}

function element(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function drawn(name, attributes, ...children) {
  return fill(document.createElementNS(SVG_NAMESPACE, name), attributes, children);
}

/** A number as a reader wants it: up to four significant digits. */
function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(4)));
}

/** A small note beside the pointer. */
const tip = {
  show(event, text) {
    const note = document.getElementById("tip");
    note.textContent = text;
    note.hidden = false;
    const left = Math.min(event.clientX + 14, innerWidth - note.offsetWidth - 8);
    const top = Math.min(event.clientY + 14, innerHeight - note.offsetHeight - 8);
    note.style.left = `${left}px`;
    note.style.top = `${top}px`;
  },
  hide() {
    document.getElementById("tip").hidden = true;
  },
};

/** Hands a text to the reader as a file. */
function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** A name that every file system takes. */
function fileName(text) {
  return text.replace(/[^A-Za-z0-9._-]/g, "_").replace(/^[.-]/, "_").slice(0, 120) || "record";
}

/** A colour of a scale (a list of #rrggbb) at a place from 0 to 1. */
function colourAt(scale, place) {
  return scale[Math.round(Math.min(1, Math.max(0, place)) * (scale.length - 1))];
}

/** Steps of 1, 2 or 5 times a power of ten, so that about `most` fit into `range`. */
function roundStep(range, most) {
  const rough = Math.max(range, 1e-9) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999999);
}
