// The dialog that shows records and its address, and what helps reading.

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
    ? places
        .split(" ")
        .map(Number)
        .sort((one, other) => one - other)
        .map((place) => data.records[place].digest)
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
