// Sorting and filtering the tables. The script of the records follows it in one function.

document.documentElement.classList.add("scripted");

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
    const lines = all("tbody tr", item);
    const empty = lines.length > 0 && lines.every((line) => line.classList.contains("off"));
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
  const items = all(".item", element);
  return items.length > 0 && items.every((item) => item.classList.contains("off"));
}

form.addEventListener("input", filter);
form.querySelector("button").addEventListener("click", () => {
  form.reset();
  filter();
});
form.addEventListener("submit", (event) => event.preventDefault());
