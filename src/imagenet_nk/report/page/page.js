// All parts, in the order of the page.
const ROWS = Array.from({ length: COUNT }, (_, row) => row);

function drawTried() {
  const place = byId("tried");
  const most = Math.max(1, ...CLASSES.tried);
  const high = 100;
  const area = (values) => `M0 ${high}${values.map((value, row) => `L${row} ${high - (value / most) * high}L${row + 1} ${high - (value / most) * high}`).join("")}L${COUNT} ${high}Z`;
  const here = element("rect", { class: "here", y: 0, width: 1, height: high, x: -9 });
  const svg = element("svg", { viewBox: `0 0 ${Math.max(COUNT, 1)} ${high}`, preserveAspectRatio: "none", role: "img",
    "aria-label": "Candidates tried in each class; the table below has the numbers" },
    element("path", { class: "rejected", d: area(CLASSES.tried) }), element("path", { class: "kept", d: area(CLASSES.kept) }), here);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const row = Math.min(COUNT - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * COUNT)));
    here.setAttribute("x", row);
    byId("tried-said").textContent = `${CLASSES.label[row]} · ${classTitle(row)}: ${CLASSES.kept[row]} kept of ${CLASSES.tried[row]} tried`;
  });
  place.append(svg);
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
    ["nearest other", (row) => (CLASSES.nearest[row] === null ? null : classTitle(CLASSES.nearest[row]))],
    ["cosine", (row) => CLASSES.cosine[row], (row) => number(CLASSES.cosine[row]), true],
    ...[["PCA 1", "x"], ["PCA 2", "y"], ...(byId("map-tsne") ? [["t-SNE 1", "tx"], ["t-SNE 2", "ty"]] : [])].map(([title, name]) =>
      [title, (row) => CLASSES[name][row], (row) => number(CLASSES[name][row], 2), true]),
  ], ROWS.filter((row) => CLASSES.x[row] !== null));
}

function drawConfused() {
  const place = byId("confused");
  if (!place) return;
  const side = (row) => element("div", {}, element("h4", {}, classTitle(row)), element("div", { class: "strip" }, ...strip(row, 5)));
  place.append(...DATA.confused.slice(0, 10).map(([row, other, count]) => element("div", { class: "two" },
    side(row), element("div", { class: "count" }, `${count} taken for →`), side(other))));
  filledWhenOpened("confused-table", () => sortableTable("Most confused pairs", [
    ["class", ([row]) => classTitle(row)], ["taken for", ([, other]) => classTitle(other)], ["images", ([, , count]) => count, null, true],
  ], DATA.confused));
}

drawTried();
drawSheets();
listenToSearch();
drawMap();
drawMatrix();
drawConfused();
gallery("wrong", "Images nearer to another class", (image) => `looks like ${CLASSES.name[image.near]}`);
gallery("far", "Images farthest from their own class", (image) => `distance ${number(image.own)}`);
filledWhenOpened("classes-table", classesTable);
filledWhenOpened("centers-table", centersTable);
filledWhenOpened("pairs-table", pairsTable);
document.querySelectorAll("table.sortable").forEach(makeSortable);
document.documentElement.dataset.ready = "yes";
