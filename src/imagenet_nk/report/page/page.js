// Draws all parts, in the order of the page.
const ROWS = Array.from({ length: COUNT }, (_, row) => row);

function drawCoverage() {
  const container = byId("tried");
  const most = Math.max(1, ...CLASSES.tried);
  const high = 100;
  const area = (values) => `M0 ${high}${values.map((value, row) => `L${row} ${high - (value / most) * high}L${row + 1} ${high - (value / most) * high}`).join("")}L${COUNT} ${high}Z`;
  const marker = element("rect", { class: "here", y: 0, width: 1, height: high, x: -9 });
  const svg = element("svg", { viewBox: `0 0 ${Math.max(COUNT, 1)} ${high}`, preserveAspectRatio: "none", role: "img",
    "aria-label": "Candidates tried in each class; the table below has the numbers" },
    element("path", { class: "rejected", d: area(CLASSES.tried) }), element("path", { class: "kept", d: area(CLASSES.kept) }), marker);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const row = Math.min(COUNT - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * COUNT)));
    marker.setAttribute("x", row);
    byId("tried-text").textContent = `${CLASSES.label[row]} · ${classTitle(row)}: ${CLASSES.kept[row]} kept of ${CLASSES.tried[row]} tried`;
  });
  container.append(svg);
}

function classesTable() {
  return sortableTable("Classes", [
    ["label", (row) => CLASSES.label[row], null, true], ["class", (row) => CLASSES.name[row]],
    ["WNID", (row) => CLASSES.wnid[row], (row) => element("a", { href: `#${CLASSES.wnid[row]}` }, CLASSES.wnid[row])],
    ...["wanted", "kept", "tried"].map((name) => [name, (row) => CLASSES[name][row], null, true]),
    ...Object.entries(DATA.reasons).map(([name, counts]) => [name, (row) => counts[row], null, true]),
  ], ROWS);
}

function centersTable() {
  return sortableTable("Centers", [
    ["label", (row) => CLASSES.label[row], null, true], ["class", (row) => CLASSES.name[row]],
    ["spread", (row) => CLASSES.spread[row], (row) => number(CLASSES.spread[row]), true],
    ["accuracy", (row) => CLASSES.top1[row], (row) => percent(CLASSES.top1[row]), true],
    ["nearest class", (row) => (CLASSES.nearest[row] === null ? null : classTitle(CLASSES.nearest[row]))],
    ["cosine", (row) => CLASSES.cosine[row], (row) => number(CLASSES.cosine[row]), true],
    ...[["PCA 1", "x"], ["PCA 2", "y"], ...(byId("map-tsne") ? [["t-SNE 1", "tx"], ["t-SNE 2", "ty"]] : [])].map(([title, name]) =>
      [title, (row) => CLASSES[name][row], (row) => number(CLASSES[name][row], 2), true]),
  ], ROWS.filter((row) => CLASSES.x[row] !== null));
}

function drawConfused() {
  const container = byId("confused");
  if (!container) return;
  const side = (row) => element("div", {}, element("h4", {}, classTitle(row)), element("div", { class: "strip" }, ...strip(row, 5)));
  container.append(...DATA.confused.slice(0, 10).map(([row, other, count]) => element("div", { class: "two" },
    side(row), element("div", { class: "count" }, `${count} taken for →`), side(other))));
  fillOnOpen("confused-table", () => sortableTable("Most confused pairs", [
    ["class", ([row]) => classTitle(row)], ["taken for", ([, other]) => classTitle(other)], ["images", ([, , count]) => count, null, true],
  ], DATA.confused));
}

drawCoverage();
drawContactSheets();
initSearch();
drawMap();
drawMatrix();
drawConfused();
gallery("wrong", "Images closer to another class", (image) => `closer to ${CLASSES.name[image.near]}`);
gallery("far", "Outliers", (image) => `distance ${number(image.own)}`);
fillOnOpen("classes-table", classesTable);
fillOnOpen("centers-table", centersTable);
fillOnOpen("pairs-table", pairsTable);
document.querySelectorAll("table.sortable").forEach(makeSortable);
document.documentElement.dataset.ready = "yes";
