"use strict";
// Sorting and filtering; everything else works without a script.
const value = (cell) => {
  const text = cell.textContent.trim();
  const number = parseFloat(text);
  return Number.isNaN(number) ? text.toLowerCase() : number;
};
const compare = (a, b) =>
  typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const body = table.tBodies[0];
      const name = (row) => row.cells[column].querySelector("bdi") ?? row.cells[column];
      const keys = new Map([...body.rows].map((row) => [row, value(name(row))]));
      const rows = [...body.rows].sort((a, b) => (up ? 1 : -1) * compare(keys.get(a), keys.get(b)));
      body.append(...rows);
    });
  });
}

const form = document.getElementById("filter");
const rows = [...document.querySelectorAll("#queries > tbody > tr")];
const texts = new Map(rows.map((row) => [row, row.cells[0].textContent.toLowerCase()]));
const kind = (row) =>
  row.lastElementChild.classList.contains("up") ? "better" : row.lastElementChild.classList.contains("down") ? "worse" : "same";
const filter = () => {
  const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = form.elements.change?.value ?? "all";
  let count = 0;
  for (const row of rows) {
    row.hidden = !((wanted === "all" || kind(row) === wanted) && words.every((word) => texts.get(row).includes(word)));
    count += !row.hidden;
  }
  form.querySelector("output").textContent = `${count} of ${rows.length} queries`;
};
form.hidden = false;
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
filter();
