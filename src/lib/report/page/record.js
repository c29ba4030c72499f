// What is shown of the record that was chosen.

const VIEWS = { drawing: ["Drawing", planarView], arcs: ["Arcs", arcView], dots: ["Dot plot", dotView] };

class RecordPanel {
  constructor(report) {
    this.report = report;
    this.article = document.getElementById("record");
    this.view = "drawing";
    this.record = null;
  }

  async show(record) {
    this.record = record;
    const details = await this.report.details(record);
    // Another may have been chosen meanwhile.
    if (this.record !== record) return;
    const { report } = this;
    const id = report.value(record, "id");
    const length = report.value(record, "length") || details.sequence.length;
    const facts = report.columns.filter((column) => column.name !== "id" && column.name !== "description" && column.values[record] !== null);
    const parts = [
      element("h2", {}, id),
      report.value(record, "description") ? element("p", { class: "note" }, report.value(record, "description")) : null,
      element("ul", { class: "facts" }, facts.map((column) => element("li", { title: column.about }, `${column.name} `, element("b", {}, shown(column.values[record]))))),
    ];
    if (details.structure) parts.push(...this.structureParts(id, details));
    if (length && (details.structure || details.track || details.regions.length || details.sites.length || details.reading_frame)) {
      parts.push(...this.trackParts(id, details, length));
    }
    if (details.sites.length) parts.push(...this.siteParts(record, id, details));
    this.article.replaceChildren(...parts.filter(Boolean));
    this.article.hidden = false;
    this.article.scrollIntoView({ block: "start" });
  }

  structureParts(id, details) {
    const structure = structureOf(this.report, details);
    const holder = element("div", { id: "structure-view" });
    const hasLayout = details.layout.length > 0;
    if (!hasLayout && this.view === "drawing") this.view = "arcs";
    let current = null;
    const buttons = Object.entries(VIEWS).map(([name, [label]]) =>
      element("button", { type: "button", "data-view": name, disabled: name === "drawing" && !hasLayout, click: () => choose(name) }, label),
    );
    const choose = (name) => {
      this.view = name;
      buttons.forEach((button) => button.setAttribute("aria-pressed", button.dataset.view === name));
      current = VIEWS[name][1](structure);
      holder.replaceChildren(current.svg);
    };
    choose(this.view);
    const svgText = () => {
      const copy = current.svg.cloneNode(true);
      copy.setAttribute("xmlns", SVG_NAMESPACE);
      const box = copy.getAttribute("viewBox").split(" ").map(Number);
      copy.setAttribute("width", Math.ceil(box[2]));
      copy.setAttribute("height", Math.ceil(box[3]));
      if (!copy.classList.contains("near")) copy.querySelectorAll(".letters").forEach((letters) => letters.remove());
      return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy)}\n`;
    };
    const save = (label, end, type, text) =>
      element("button", { type: "button", "data-save": end, click: () => download(`${fileName(id)}.${end}`, type, text()) }, label);
    const dotBracket = `>${id}\n${details.sequence}\n${details.structure}\n`;
    const scale = this.report.scales[0];
    const note = details.pairs.length
      ? "Colours: probability of the pair, pale to dark; orange: pseudoknot."
      : "Orange: pseudoknot. With the table of rnaret-fold --pairs, colours and the dot plot show probabilities.";
    return [
      element("h3", {}, "Structure"),
      element("div", { class: "bar" }, buttons,
        element("button", { type: "button", "aria-label": "Zoom in", click: () => current.zoom(1.5) }, "+"),
        element("button", { type: "button", "aria-label": "Zoom out", click: () => current.zoom(1 / 1.5) }, "−"),
        element("button", { type: "button", click: () => current.reset() }, "Whole"),
        element("span", { class: "grow" }),
        "Save: ",
        save("dot-bracket", "dbn", "text/plain", () => dotBracket),
        save("CT", "ct", "text/plain", () => connectivityTable(id, details.sequence, structure.partners)),
        save("SVG", "svg", "image/svg+xml", svgText)),
      holder,
      element("p", { class: "note" }, `${note} The wheel zooms, dragging moves; letters appear where there is room.`,
        element("span", { style: `display:inline-block;width:120px;height:10px;margin-left:10px;background:linear-gradient(to right,${scale.join(",")})` })),
      element("pre", { id: "dot-bracket" }, dotBracket),
    ];
  }

  trackParts(id, details, length) {
    const tracks = new Tracks(this.report, details, length);
    return [
      element("div", { class: "bar" }, element("h3", {}, "Along the sequence"), element("span", { class: "grow" }),
        element("button", { type: "button", click: () => tracks.reset() }, "Whole")),
      tracks.svg,
    ];
  }

  siteParts(record, id, details) {
    const count = this.report.value(record, "sites");
    const rows = details.sites.map((site) => [site.mirna, site.start, site.end, site.seed_type, site.probability]);
    const header = ["mirna", "start", "end", "seed_type", "probability"];
    const text = () => [["target", ...header], ...rows.map((row) => [id, ...row.map((value) => (value === null ? "NA" : value))])].map((row) => row.join("\t")).join("\n") + "\n";
    const more = count > rows.length ? `The ${rows.length} most probable of ${shown(count)} candidate sites. ` : "";
    return [
      element("div", { class: "bar" }, element("h3", {}, "Target sites"), element("span", { class: "grow" }),
        element("button", { type: "button", "data-save": "sites.tsv", click: () => download(`${fileName(id)}.sites.tsv`, "text/tab-separated-values", text()) }, "TSV")),
      element("p", { class: "note" }, `${more}Start and end count from 0, and the end is left out.`),
      element("div", { class: "scroll", style: "max-height:300px" },
        element("table", { id: "sites" },
          element("thead", {}, element("tr", {}, header.map((name) => element("th", {}, name)))),
          element("tbody", {}, rows.map((row) => element("tr", {}, row.map((value) => element("td", { class: typeof value === "number" ? "number" : null }, shown(value)))))))),
    ];
  }
}
