// The data of the page: blocks of compressed JSON.

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

/** The table of all records, by columns, and what the details of each are unpacked from. */
class Report {
  constructor(overview, blocks) {
    Object.assign(this, overview);
    this.blocks = blocks;
    this.unpacked = new Map();
    this.byName = new Map(this.columns.map((column) => [column.name, column]));
    this.count = this.byName.get("id").values.length;
  }

  static async open() {
    const overview = await unpack(document.getElementById("overview-data").textContent);
    return new Report(overview, document.getElementById("details-data").textContent.trim().split("\n"));
  }

  /** What the table says of a record; null where it says nothing. */
  value(record, name) {
    const column = this.byName.get(name);
    return column ? column.values[record] : null;
  }

  /** Sequence, structure, tracks and sites of a record. */
  async details(record) {
    const block = Math.floor(record / this.records_per_block);
    if (!this.unpacked.has(block)) {
      // The last few blocks stay.
      if (this.unpacked.size > 16) this.unpacked.delete(this.unpacked.keys().next().value);
      this.unpacked.set(block, await unpack(this.blocks[block]));
    }
    return this.unpacked.get(block)[record % this.records_per_block];
  }
}

const BRACKETS = ["()", "[]", "{}", "<>"].concat(
  Array.from({ length: 26 }, (_, letter) => String.fromCharCode(65 + letter, 97 + letter)),
);

/** The 0-based partner of each base of a dot-bracket line, -1 for none. */
function partnersOf(line) {
  const partners = new Array(line.length).fill(-1);
  const open = BRACKETS.map(() => []);
  for (let base = 0; base < line.length; base++) {
    const kind = BRACKETS.findIndex((pair) => pair.includes(line[base]));
    if (kind < 0) continue;
    if (line[base] === BRACKETS[kind][0]) open[kind].push(base);
    else {
      const other = open[kind].pop();
      partners[base] = other;
      partners[other] = base;
    }
  }
  return partners;
}

/** A record as a connectivity table. */
function connectivityTable(id, sequence, partners) {
  const lines = [`${sequence.length} ${id}`];
  for (let base = 0; base < sequence.length; base++) {
    const next = base + 1 < sequence.length ? base + 2 : 0;
    lines.push(`${base + 1} ${sequence[base]} ${base} ${next} ${partners[base] + 1} ${base + 1}`);
  }
  return lines.join("\n") + "\n";
}
