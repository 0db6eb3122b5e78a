// What a record says, as elements; whatever comes from a record becomes text, never markup.

const data = JSON.parse(document.getElementById("records-data").textContent);
const byDigest = new Map(data.records.map((record) => [record.digest, record]));

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** A number, or one of each modality, in few digits. */
function short(value) {
  if (value === null) return "—";
  if (typeof value === "object") return Object.entries(value).map(([name, one]) => `${name} ${short(one)}`).join(", ");
  return Number.isInteger(value) ? String(value) : value.toFixed(4);
}
const mebibytes = (size) => (size === null ? "—" : `${Math.round(size / 1048576).toLocaleString("en")} MiB`);

function list(pairs) {
  const made = make("dl");
  for (const [name, value] of pairs) {
    if (value === undefined || value === "") continue;
    made.append(make("dt", {}, name), make("dd", {}, value instanceof Node ? value : shown(value)));
  }
  return made;
}

function grid(name, headings, lines) {
  const numeric = (value) => typeof value === "number" || (typeof value === "string" && /^[\d.—]+$/.test(value));
  const kinds = headings.map((_, place) => (lines.every((line) => numeric(line[place])) ? {} : { class: "words" }));
  const head = make("tr", {}, ...headings.map((text, place) => make("th", { scope: "col", ...kinds[place] }, text)));
  const body = lines.map(([first, ...others]) => {
    const cells = others.map((value, place) =>
      make("td", kinds[place + 1], value instanceof Node ? value : shown(value)),
    );
    return make("tr", {}, make("th", { scope: "row" }, first), ...cells);
  });
  const table = make("table", {}, make("caption", { class: "unseen" }, name), make("thead", {}, head));
  table.append(make("tbody", {}, ...body));
  return make("div", { class: "scroll", role: "group", tabindex: "0", "aria-label": name }, table);
}

function block(title, ...children) {
  return make("section", {}, make("h3", {}, title), ...children);
}

function command(record) {
  const code = make("code", {}, record.run.command);
  const button = make("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copied(code)) ? "Copied" : "Select and copy by hand";
    live.textContent = button.textContent;
  });
  return make("div", { class: "command" }, make("pre", { tabindex: "0" }, code), button);
}

async function copied(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    const selection = getSelection();
    selection.selectAllChildren(element);
    return document.execCommand("copy");
  }
}

const metrics = (record) =>
  record.result.metrics.map(([query, gallery, protocol, selection, value, queries, count]) => ({
    query: data.words[query],
    gallery: data.words[gallery],
    protocol: data.words[protocol],
    selection: data.words[selection],
    value,
    queries,
    count,
  }));

function metricTables(record) {
  const found = metrics(record);
  const protocols = [...new Set(found.map((one) => one.protocol))];
  return [...new Set(found.map((one) => one.selection))].map((selection) => {
    const lines = new Map();
    for (const one of found.filter((one) => one.selection === selection)) {
      const name = `${one.query}→${one.gallery}`;
      if (!lines.has(name)) lines.set(name, { sizes: [one.queries, one.count], values: {} });
      lines.get(name).values[one.protocol] = one.value.toFixed(4);
    }
    const body = [...lines].map(([name, line]) => [
      name,
      ...protocols.map((protocol) => line.values[protocol] ?? "—"),
      ...line.sizes,
    ]);
    const title = selection === "none" ? "closed form: nothing to select" : `selection ${selection}`;
    const headings = ["Direction", ...protocols, "Queries", "Gallery"];
    return make("div", {}, make("p", { class: "minor" }, title), grid(title, headings, body));
  });
}

/** Sentences on what a reader must know of the numbers: refused states, rows without a direction, no drawing. */
function remarks(result) {
  const refused = Object.entries(result.refused).map(([rule, reason]) => `Selection ${rule} was refused: ${reason}`);
  const zeros = Object.entries(result.zeroRows).flatMap(([rule, counts]) =>
    Object.entries(counts).map(
      ([name, count]) => `Selection ${rule}: ${count} ${name} test rows have no direction and count as ties`,
    ),
  );
  const undrawn = result.undrawn ? [`Nothing can be drawn of this cell: ${result.undrawn}`] : [];
  return [...refused, ...zeros, ...undrawn].map((sentence) => make("p", {}, sentence));
}

function chosen(result) {
  const lines = result.selected.map((one) => [
    one.rule,
    one.criterion,
    short(one.epoch),
    short(one.value),
  ]);
  return grid("What each rule chose", ["Rule", "Criterion", "Epoch", "Value"], lines);
}

function sizes(record) {
  const rows = Object.entries(data.shared[record.result.rows]);
  const lines = rows.map(([name, one]) => [name, one.train, one.validation, one.test, one.dimension]);
  return grid("Sizes of the data", ["Modality", "Train", "Validation", "Test", "Dimension"], lines);
}

function about(record) {
  const { run } = record;
  return [
    block("Make it again", command(record)),
    record.failure && failure(record.failure),
    record.result && block("Results", ...metricTables(record), ...remarks(record.result)),
    record.result && block("Selection", chosen(record.result), make("p", {}, record.result.audit)),
    block("Settings", list(Object.entries(data.shared[record.settings]))),
    record.result &&
      block("Data", sizes(record), list([["Split", record.result.split], ["Pairing", record.result.pairing]])),
    record.result &&
      Object.keys(record.result.notes).length > 0 &&
      block("Notes of the method", list(Object.entries(record.result.notes))),
    block(
      "Cell",
      list([
        ["Method", record.method],
        ["Variant", record.variant],
        ["Dataset", record.dataset],
        ["Kind of data", record.kind],
        ["Data", record.fingerprint],
        ["Modalities", record.modalities.join(", ")],
        ["Seed", record.seed],
        ["Profile", record.profile],
        ["Threads", record.threads],
        ["Device kind", record.device],
        ["Harness", record.harness],
        ["Code", record.code],
        ["Record", record.digest],
      ]),
    ),
    block(
      "Run",
      list([
        ["Started", run.started],
        ...Object.entries(run.seconds).map(([name, value]) => [`Seconds, ${name}`, value]),
        ["Peak memory", mebibytes(run.memory)],
        ["Peak GPU memory", mebibytes(run.deviceMemory)],
        ["Device", run.device],
        ...Object.entries(data.shared[run.host]).map(([name, value]) => [`Host, ${name}`, value]),
        ...Object.entries(data.shared[run.versions]).map(([name, value]) => [`Version, ${name}`, value]),
        ["Commit", (run.commit || "no checkout") + (run.dirty ? ", with uncommitted changes" : "")],
        ["Method's source", run.source],
      ]),
    ),
  ].filter(Boolean);
}

function failure(it) {
  const trace = it.traceback && make("pre", { tabindex: "0" }, it.traceback);
  return block("Why there is no result", make("p", { class: "reason" }, it.reason), list([["Kind", it.kind]]), trace);
}

function badges(record) {
  const made = make("p", { class: "badges" });
  for (const name of [record.status, record.kind, record.profile]) {
    made.append(make("span", { class: ["real", "look-alike"].includes(name) ? `badge ${name}` : "badge" }, name));
  }
  return made;
}

const titleOf = (record) =>
  `${record.name} on ${record.dataset} (${record.modalities.join(" + ")}), seed ${record.seed}`;

// What the number says that was followed: its text, row, column and the records' own values.
let context = null;

function contextOf(link) {
  const cell = link.closest("td");
  const table = link.closest("table");
  if (!cell || !table) return null;
  const head = all("thead th[data-column]", table).find((one) => Number(one.dataset.column) === cell.cellIndex);
  return {
    text: link.textContent.replace(/\s+/g, " ").trim(),
    row: cell.parentElement.cells[0].textContent.trim(),
    column: head.querySelector("abbr")?.title || head.textContent.trim(),
    direction: head.dataset.direction,
    protocol: table.dataset.map,
    selection: table.dataset.selection,
  };
}

/** The mAP that one record adds to the number that was followed, over all of its directions for an average. */
function share(record) {
  if (!context?.protocol || !record.result) return "—";
  const values = metrics(record)
    .filter((one) => one.protocol === context.protocol && [context.selection, "none"].includes(one.selection))
    .filter((one) => !context.direction || context.direction === `${one.query}→${one.gallery}`)
    .map((one) => one.value);
  return values.length ? (values.reduce((sum, value) => sum + value) / values.length).toFixed(4) : "—";
}

function several(records) {
  const valued = records.map(share);
  const withValues = valued.some((value) => value !== "—");
  const headings = ["Record", "Dataset", "Modalities", "Seed", "Status", ...(withValues ? ["mAP"] : [])];
  const lines = records.map((record, place) => [
    make("a", { href: `#record-${record.digest}` }, `${record.name} ${record.digest.slice(0, 8)}`),
    record.dataset,
    record.modalities.join(" + "),
    record.seed,
    record.status,
    ...(withValues ? [valued[place]] : []),
  ]);
  return grid("Records behind this number", headings, lines);
}
