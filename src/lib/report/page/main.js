// The page as a whole: its parts, and what is shown of each.

async function start() {
  const report = await Report.open();
  const parts = [["records", "Records"], ["map", "Map"], ["distributions", "Distributions"], ["runs", "Runs and models"]];
  const has = (name) => name !== "map" || report.map !== null;
  const built = new Set();
  const panel = new RecordPanel(report);
  let table = null;
  const choose = (record) => {
    table.mark(record);
    location.replace(`#record=${record}`);
    return panel.show(record);
  };
  const builders = {
    records: () => (table = new Table(report, choose)),
    map: () => new EmbeddingMap(report, choose),
    distributions: () => showDistributions(report),
    runs: () => showRuns(report),
  };
  const open = (name) => {
    for (const [other] of parts) {
      document.getElementById(other).hidden = other !== name;
      document.querySelector(`[data-part="${other}"]`)?.setAttribute("aria-selected", other === name);
    }
    scrollTo(0, 0);
    // The record that was chosen stays below the table and the map.
    panel.article.hidden = panel.record === null || (name !== "records" && name !== "map");
    if (!built.has(name)) {
      built.add(name);
      builders[name]();
    }
  };
  document.querySelector("nav").append(
    ...parts.filter(([name]) => has(name)).map(([name, label]) => element("button", { type: "button", role: "tab", "data-part": name, click: () => open(name) }, label)),
  );
  const samples = report.samples.length > 1 ? ` of ${shown(report.samples.length)} samples` : "";
  document.getElementById("summary").textContent = `${shown(report.count)} ${report.count === 1 ? "record" : "records"}${samples} · rnaret ${report.version}`;
  document.getElementById("warnings").replaceChildren(...report.warnings.slice(0, 12).map((warning) => element("li", {}, warning)), ...(report.warnings.length > 12 ? [element("li", {}, `and ${report.warnings.length - 12} more`)] : []));
  open("records");
  const asked = location.hash.match(/^#record=(\d+)$/);
  if (asked && Number(asked[1]) < report.count) await choose(Number(asked[1]));
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  document.getElementById("summary").textContent = `This report cannot be shown: ${error.message}. It needs a browser of 2023 or later.`;
  throw error;
});
