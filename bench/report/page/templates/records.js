// The dialog that shows records, its address, and what helps reading. Texts become text, never markup.

const data = JSON.parse(document.getElementById("records-data").textContent);
const byDigest = new Map(data.records.map((record) => [record.digest, record]));
const dialog = document.getElementById("record");
const MARK = "#record-";

// --- Records as elements -------------------------------------------------------------------------------

function grid(name, headings, lines) {
  const head = make("tr", {}, ...headings.map((text) => make("th", { scope: "col" }, text)));
  const body = lines.map(([first, ...others]) =>
    make("tr", {}, make("th", { scope: "row" }, first), ...others.map((cell) => make("td", {}, cell))),
  );
  const table = make("table", {}, make("caption", {}, name), make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", { class: "scroll", role: "group", tabindex: "0", "aria-label": name }, table);
}

function block(section) {
  const items = section.items.map((item) => {
    if (typeof item !== "string") return grid(section.title, item.head, item.rows);
    return section.verbatim ? make("pre", { tabindex: "0" }, item) : make("p", {}, item);
  });
  return make("section", {}, make("h3", {}, section.title), ...items);
}

function command(record) {
  const code = make("code", {}, record.command);
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
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}

function badges(record) {
  const names = record.badges.map((name) => {
    const kind = name === record.kind ? ` ${name}` : "";
    return make("span", { class: `badge${kind}` }, name);
  });
  return make("p", { class: "badges" }, ...names);
}

// The number that was followed: its text, row, column, protocol and direction.
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
    protocol: table.dataset.protocol,
  };
}

/** Each record with what it adds to the number that was followed. */
function several(records) {
  const values = records.map((record) => record.values[context?.protocol]?.[context?.direction]);
  const shown = values.some((value) => value !== undefined);
  const lines = records.map((record, index) => [
    make("a", { href: MARK + record.digest }, record.label),
    ...record.row,
    ...(shown ? [values[index] ?? data.lacking] : []),
  ]);
  const headings = ["Record", "Dataset", "Modalities", "Seed", "Status", ...(shown ? [context.protocol] : [])];
  return grid("Records behind this number", headings, lines);
}

// --- The dialog and its address ------------------------------------------------------------------------

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
  if (records.length === 1) {
    const [record] = records;
    title.textContent = record.title;
    head.replaceChildren(title, badges(record));
    body.replaceChildren(command(record), ...record.sections.map((index) => block(data.sections[index])));
  } else {
    const behind = context ? `${context.text} — ${context.row}, ${context.column}` : "this number";
    title.textContent = records.length ? `${records.length} records behind ${behind}` : "No such record";
    const nothing = make("p", {}, "The address names no record of this report.");
    head.replaceChildren(title);
    body.replaceChildren(records.length ? several(records) : nothing);
  }
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  title.focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.(`a[href^="${MARK}"]`);
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  if (!dialog.contains(link)) context = contextOf(link);
  const indices = link.dataset.records?.split(" ").map(Number) ?? [];
  const digests = indices.sort((one, other) => one - other).map((index) => data.records[index].digest);
  const depth = (history.state?.depth ?? 0) + 1; // one step back, or Escape, leads to where one was
  history.pushState({ depth }, "", digests.length ? MARK + digests.join(",") : link.getAttribute("href"));
  follow();
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
addEventListener("hashchange", () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = target && target.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
});

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
