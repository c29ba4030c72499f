// The table of records: sorted by a click on a heading, filtered by what is typed, in pages.

const SIZES = [15, 50, 200];

/** Whether a value passes a filter: a part of a text, or for numbers `5`, `>5`, `<=5`, `5..9`; `NA` is what is missing. */
function passes(value, filter, isNumber) {
  if (filter.toUpperCase() === "NA") return value === null;
  if (!isNumber) return value !== null && String(value).toLowerCase().includes(filter.toLowerCase());
  const range = filter.match(/^\s*(\S+?)\s*\.\.\s*(\S+)\s*$/);
  const bound = filter.match(/^\s*(<=|>=|<|>|=)?\s*(\S+)\s*$/);
  if (value === null) return false;
  if (range) return value >= Number(range[1]) && value <= Number(range[2]);
  if (!bound || Number.isNaN(Number(bound[2]))) return true;
  const limit = Number(bound[2]);
  return { "<": value < limit, "<=": value <= limit, ">": value > limit, ">=": value >= limit }[bound[1]] ?? value === limit;
}

class Table {
  constructor(report, choose) {
    this.report = report;
    this.choose = choose;
    this.sort = null;
    this.filters = new Map();
    this.words = "";
    this.page = 0;
    this.size = SIZES[0];
    this.chosen = null;
    this.rows = [];
    this.build(document.getElementById("records"));
    this.update();
  }

  build(section) {
    const { report } = this;
    this.headings = report.columns.map((column) => {
      const filter = element("input", {
        "aria-label": `Filter ${column.name}`, placeholder: column.is_number ? ">, <, a..b" : "contains", "data-filter": column.name,
        input: (event) => { this.filters.set(column, event.target.value.trim()); this.page = 0; this.update(); },
      });
      const button = element("button", { type: "button", "data-sort": column.name, click: () => this.sortBy(column) }, column.name);
      return element("th", { scope: "col", title: column.about, class: column.is_number ? "number" : null }, button, filter);
    });
    this.body = element("tbody", { click: (event) => this.clicked(event), keydown: (event) => event.key === "Enter" && this.clicked(event) });
    this.state = element("span", { id: "table-state", class: "note" });
    this.back = element("button", { type: "button", "aria-label": "Page before", click: () => this.turn(-1) }, "‹");
    this.on = element("button", { type: "button", "aria-label": "Next page", click: () => this.turn(1) }, "›");
    section.replaceChildren(
      element("div", { class: "bar" },
        element("input", { type: "search", id: "search", placeholder: "Search ids and descriptions", "aria-label": "Search ids and descriptions", input: (event) => { this.words = event.target.value.trim().toLowerCase(); this.page = 0; this.update(); } }),
        element("span", { class: "grow" }), this.state, this.back, this.on,
        element("select", { "aria-label": "Rows on a page", change: (event) => { this.size = Number(event.target.value); this.page = 0; this.update(); } }, SIZES.map((size) => element("option", {}, String(size)))),
        element("button", { type: "button", id: "save-table", title: "The rows that the filters leave, in this order", click: () => this.save() }, "TSV")),
      element("div", { class: "scroll" }, element("table", { id: "table" }, element("thead", {}, element("tr", {}, this.headings)), this.body)),
    );
  }

  sortBy(column) {
    const down = this.sort && this.sort.column === column ? !this.sort.down : column.is_number;
    this.sort = { column, down };
    this.page = 0;
    this.update();
  }

  turn(pages) {
    this.page += pages;
    this.update();
  }

  update() {
    const { report, sort } = this;
    const filters = [...this.filters].filter(([, text]) => text !== "");
    const searched = ["id", "description", "sample"].map((name) => report.byName.get(name)).filter(Boolean);
    const wanted = (record) =>
      (this.words === "" || searched.some((column) => column.values[record] !== null && String(column.values[record]).toLowerCase().includes(this.words))) &&
      filters.every(([column, text]) => passes(column.values[record], text, column.is_number));
    this.rows = Array.from({ length: report.count }, (_, record) => record).filter(wanted);
    if (sort) {
      const { values, is_number } = sort.column;
      const order = is_number ? (a, b) => a - b : new Intl.Collator("en", { numeric: true }).compare;
      // What is missing comes last either way.
      this.rows.sort((a, b) => {
        const [x, y] = [values[a], values[b]];
        if (x === null || y === null) return (x === null) - (y === null);
        return sort.down ? order(y, x) : order(x, y);
      });
    }
    const pages = Math.max(1, Math.ceil(this.rows.length / this.size));
    this.page = Math.min(Math.max(0, this.page), pages - 1);
    this.headings.forEach((heading, place) => {
      const own = sort && sort.column === report.columns[place];
      heading.setAttribute("aria-sort", own ? (sort.down ? "descending" : "ascending") : "none");
      heading.querySelector("button").textContent = report.columns[place].name + (own ? (sort.down ? " ▾" : " ▴") : "");
    });
    const shownRows = this.rows.slice(this.page * this.size, (this.page + 1) * this.size);
    this.body.replaceChildren(...shownRows.map((record) =>
      element("tr", { "data-record": record, tabindex: 0, "aria-selected": record === this.chosen },
        report.columns.map((column) => element("td", { class: column.is_number ? "number" : null, title: column.is_number ? null : column.values[record] }, shown(column.values[record]))))));
    this.state.textContent = `${this.rows.length.toLocaleString("en")} of ${report.count.toLocaleString("en")} records, page ${this.page + 1} of ${pages}`;
    this.back.disabled = this.page === 0;
    this.on.disabled = this.page + 1 >= pages;
  }

  clicked(event) {
    const row = event.target.closest("tr");
    if (row) this.choose(Number(row.dataset.record));
  }

  /** Marks a record as chosen. */
  mark(record) {
    this.chosen = record;
    this.body.querySelectorAll("tr").forEach((row) => row.setAttribute("aria-selected", Number(row.dataset.record) === record));
  }

  save() {
    const { columns } = this.report;
    const lines = [columns.map((column) => column.name.replace(/ /g, "_")).join("\t")];
    for (const record of this.rows) lines.push(columns.map((column) => (column.values[record] === null ? "NA" : String(column.values[record]).replace(/[\t\r\n]/g, " "))).join("\t"));
    download("records.tsv", "text/tab-separated-values", lines.join("\n") + "\n");
  }
}
