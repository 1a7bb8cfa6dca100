"use strict";
(() => {
  const table = document.getElementById("rows");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const headings = Array.from(table.tHead.rows[0].cells);
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const keys = new Map();
  let order = rows.map((_, at) => at);

  // Whole numbers of any size compare exactly, with fractions too.
  const number = (text) => (/^-?\d+$/.test(text) ? BigInt(text) : Number(text));

  const keyOf = (cell, kind) => {
    if (cell.classList.contains("null")) return null;
    const text = cell.textContent;
    if (kind === "number") return text === "nan" ? Infinity : number(text.replace("inf", "Infinity"));
    const time = cell.querySelector("time");
    return time ? time.dateTime : text;
  };

  const keysOf = (column) => {
    if (!keys.has(column)) {
      const kind = headings[column].className;
      keys.set(column, rows.map((row) => keyOf(row.cells[column], kind)));
    }
    return keys.get(column);
  };

  const isText = (column) => !/^(number|time|date)$/.test(headings[column].className);

  const sort = (column, way) => {
    const values = keysOf(column);
    const compare = isText(column)
      ? collator.compare
      : (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    order = way === 0 ? rows.map((_, at) => at) : order.slice().sort((one, other) => {
      const a = values[one];
      const b = values[other];
      // NULL is last, whichever way.
      if (a === null || b === null) return (a === null) - (b === null);
      return way * compare(a, b);
    });
    const sorted = document.createDocumentFragment();
    for (const at of order) sorted.append(rows[at]);
    body.append(sorted);
  };

  // Up, down, and as the report had it.
  const next = { none: ["ascending", 1], ascending: ["descending", -1], descending: ["none", 0] };

  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const [state, way] = next[heading.getAttribute("aria-sort")];
      headings.forEach((each) => each.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", state);
      sort(column, way);
    });
  });

  body.addEventListener("click", (event) => {
    const cell = event.target.closest("td.long");
    // A text that is being selected stays as it is.
    if (cell && getSelection().isCollapsed) cell.classList.toggle("open");
  });
})();
