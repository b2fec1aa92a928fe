// Tables that sort when the head of a column is clicked. columns: [title, row => value, shown as text or element, numeric].
function sortableTable(caption, columns, rows) {
  const body = element("tbody");
  const heads = columns.map(([title, , , numeric], index) =>
    element("th", { scope: "col", class: numeric ? "n" : null },
      element("button", { type: "button", onclick: () => sort(index) }, title)));
  const table = element("table", { class: "plain" }, element("caption", { class: "unseen" }, caption),
    element("thead", {}, element("tr", {}, ...heads)), body);
  const fill = (sorted) => body.replaceChildren(...sorted.map((row) =>
    element("tr", {}, ...columns.map(([, value, shown, numeric]) =>
      element("td", { class: numeric ? "n" : null }, shown ? shown(row) : textOf(value(row)))))));
  function sort(index) {
    const up = heads[index].getAttribute("aria-sort") !== "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[index].setAttribute("aria-sort", up ? "ascending" : "descending");
    fill([...rows].sort((a, b) => compareValues(columns[index][1](a), columns[index][1](b), up)));
  }
  fill(rows);
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table);
}

const textOf = (value) => (value === null || value === undefined ? "–" : String(value));

// Missing values come last in both directions.
function compareValues(a, b, up) {
  const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
  if (noA || noB) return noA - noB;
  const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  return up ? order : -order;
}

// Makes a table of the page's HTML sortable.
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    const button = element("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => {
        const cell = row.cells[index];
        const text = cell.dataset.value ?? cell.textContent.trim();
        return text === "" || text === "–" ? null : Number.isNaN(Number(text)) ? text : Number(text);
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => compareValues(value(a), value(b), up)));
    });
  });
}
