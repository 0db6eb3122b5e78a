"use strict";
// Sorting, filtering and the records behind the numbers. Whatever comes from a record becomes text, never markup.
(() => {
  document.documentElement.classList.add("scripted");

  const data = JSON.parse(document.getElementById("records-data").textContent);
  const byDigest = new Map(data.records.map((record) => [record.digest, record]));
  const live = document.getElementById("live");
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  /** Make an element; children are elements or texts. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null && child !== ""));
    return element;
  }

  // --- Sorting -------------------------------------------------------------------------------------------

  /** Order rows by a column; words after numbers, nothing last; equal ones stay in their order. */
  function sorted(rows, column, descending) {
    const key = (row) => {
      const cell = row.children[column];
      return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
    };
    const compare = (one, other) => {
      if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
      const order = typeof one === "number" ? one - other : one.localeCompare(other, "en", { numeric: true });
      return descending ? -order : order;
    };
    return rows.map((row) => [key(row), row]).sort((one, other) => compare(one[0], other[0])).map((pair) => pair[1]);
  }

  function makeSortable(table) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    if (original.length < 2) return;
    const heads = all("thead th[data-column]", table);
    for (const head of heads) {
      const name = head.textContent.trim();
      const column = Number(head.dataset.column);
      const numeric = original.some((row) => row.children[column].dataset.value !== undefined);
      const button = make("button", { type: "button", class: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const steps = numeric ? ["descending", "ascending", null] : ["ascending", "descending", null];
        const step = steps[(steps.indexOf(head.getAttribute("aria-sort")) + 1) % steps.length];
        for (const other of heads) other.removeAttribute("aria-sort");
        if (step) head.setAttribute("aria-sort", step);
        body.append(...(step ? sorted(original, column, step === "descending") : original));
        live.textContent = step ? `Sorted by ${name}, ${step}` : "In the original order";
      });
    }
  }

  // --- Filtering -----------------------------------------------------------------------------------------

  const form = document.querySelector(".filters");
  const items = all(".item");
  const rows = all("tbody tr[data-method], tbody tr[data-dataset]").filter((row) => !row.closest("dialog"));

  function filter() {
    const wanted = Object.fromEntries(new FormData(form));
    const words = wanted.method.toLowerCase().split(/\s+/).filter(Boolean);
    const choices = Object.entries(wanted).filter(([name, value]) => name !== "method" && value);
    const fits = (element) =>
      choices.every(([name, value]) => [undefined, value].includes(element.dataset[name]));
    const named = (row) => {
      const method = row.dataset.method;
      return method === undefined || words.every((word) => method.toLowerCase().includes(word));
    };
    for (const row of rows) row.classList.toggle("off", !(fits(row) && named(row)));
    for (const item of items) {
      const own = all("tbody tr", item);
      const empty = own.length > 0 && own.every((row) => row.classList.contains("off"));
      item.classList.toggle("off", !fits(item) || empty);
    }
    for (const part of all(".part")) part.classList.toggle("off", hidden(part));
    for (const chapter of all(".chapter")) {
      const nothing = chapter.querySelector(".nothing");
      if (nothing) nothing.hidden = !hidden(chapter);
    }
    const tables = all("#tables .item");
    const shown = tables.filter((table) => !table.classList.contains("off")).length;
    const active = words.length > 0 || choices.length > 0;
    form.querySelector("output").textContent = active ? `${shown} of ${tables.length} mAP tables` : "";
    form.classList.toggle("active", active);
    if (!wanted.protocol) return;
    for (const table of tables.filter((one) => one.dataset.protocol === wanted.protocol)) {
      for (const folded of all("details", table)) folded.open = true;
    }
  }

  /** Whether something had items and the filter left none of them. */
  function hidden(element) {
    const own = all(".item", element);
    return own.length > 0 && own.every((item) => item.classList.contains("off"));
  }

  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());

  // --- Records -------------------------------------------------------------------------------------------

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
      record.result && block("Results", ...metricTables(record)),
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

  // --- The dialog and the address --------------------------------------------------------------------------

  const dialog = document.getElementById("record");
  const MARK = "#record-";

  /** Show what the address asks for, or close. */
  function follow() {
    const address = location.hash;
    if (!address.startsWith(MARK)) {
      if (dialog.open) dialog.close();
      return;
    }
    const digests = address.slice(MARK.length).split(",");
    show(digests.map((digest) => byDigest.get(digest)).filter(Boolean));
  }

  function show(records) {
    const head = document.getElementById("record-head");
    const body = document.getElementById("record-body");
    const title = make("h2", { id: "record-title", tabindex: "-1" });
    const behind = context ? `${context.text} — ${context.row}, ${context.column}` : "";
    if (records.length === 1) {
      title.textContent = titleOf(records[0]);
      head.replaceChildren(title, badges(records[0]));
      body.replaceChildren(...about(records[0]));
    } else {
      title.textContent = records.length ? `${records.length} records behind ${behind || "this number"}` : "No such record";
      head.replaceChildren(title);
      body.replaceChildren(records.length ? several(records) : make("p", {}, "The address names no record of this report."));
    }
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    title.focus();
  }

  /** Go to records: one step back, or Escape, leads to where one was. */
  function visit(digests) {
    const depth = (history.state?.depth ?? 0) + 1;
    history.pushState({ depth }, "", MARK + digests.join(","));
    follow();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.(`a[href^="${MARK}"]`);
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    if (!dialog.contains(link)) context = contextOf(link);
    const places = link.dataset.records;
    const digests = places
      ? places.split(" ").map((place) => data.records[Number(place)].digest)
      : [link.getAttribute("href").slice(MARK.length)];
    visit(digests);
  });

  dialog.addEventListener("close", () => {
    context = null;
    if (!location.hash.startsWith(MARK)) return;
    const depth = history.state?.depth ?? 0;
    if (depth > 0) history.go(-depth);
    else history.replaceState(null, "", location.pathname + location.search);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // outside of it
  });
  addEventListener("popstate", follow);

  // --- Reading -------------------------------------------------------------------------------------------

  /** What an address points to may stand in something folded. */
  function unfold() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let one = target && target.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
  }
  addEventListener("hashchange", unfold);

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });

  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-20% 0px -75% 0px" },
  );

  for (const table of all("main table")) makeSortable(table);
  for (const chapter of all(".chapter")) watcher.observe(chapter);
  follow();
})();
