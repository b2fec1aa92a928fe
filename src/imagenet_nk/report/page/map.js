// The map of the classes: points that the pointer or the arrow keys select.
const EDGE = 30;
let WIDTH = 800, HEIGHT = 600; // pixels of the map on the page, so that text keeps its size

function drawMap() {
  const container = byId("map");
  if (!container) return;
  const rows = CLASSES.x.map((x, row) => (x === null ? -1 : row)).filter((row) => row >= 0);
  const svg = element("svg", { tabindex: "0", role: "application",
    "aria-label": `Map of ${rows.length} classes. Arrow keys move to the next class, Enter goes to its images.` });
  container.append(svg);
  let points = [], active = null, coordinates = null;

  function draw(xs, ys) {
    coordinates = [xs, ys];
    WIDTH = Math.max(280, Math.round(svg.getBoundingClientRect().width));
    HEIGHT = Math.round(WIDTH * 0.75);
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    points = pointsOf(rows, xs, ys);
    const radius = points.length > 300 || WIDTH < 500 ? 4 : 6;
    for (const point of points) {
      const low = CLASSES.top1[point.row] !== null && CLASSES.top1[point.row] < 0.5;
      point.circle = element("circle", { cx: point.x, cy: point.y, r: radius, class: low ? "low" : null });
    }
    svg.replaceChildren(...points.map((point) => point.circle), ...names(points, radius));
    if (active) activate(points.find((point) => point.row === active.row));
  }

  function activate(point) {
    active?.circle.classList.remove("on");
    active = point;
    point.circle.classList.add("on");
    svg.append(point.circle);
    describe(point.row);
  }

  svg.addEventListener("pointermove", (event) => {
    const at = svgPosition(svg, event);
    const near = nearest(points, at, 40);
    if (near && near !== active) activate(near);
  });
  svg.addEventListener("click", (event) => {
    const near = nearest(points, svgPosition(svg, event), 14);
    if (near) activate(near);
  });
  svg.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter" && active) goTo(CLASSES.wnid[active.row]);
    if (!direction) return;
    event.preventDefault();
    const next = active ? nearestInDirection(points, active, direction) : points[0];
    if (next) activate(next);
  });
  choice(["map-tsne", "map-pca"], (id) => (id === "map-pca" ? draw(CLASSES.x, CLASSES.y) : draw(CLASSES.tx, CLASSES.ty)));
  addEventListener("resize", () => draw(...coordinates));
  if (byId("map-tsne")) draw(CLASSES.tx, CLASSES.ty);
  else draw(CLASSES.x, CLASSES.y);
  byId("map-text").append(element("p", { class: "dim" }, hint()));
}

const hint = () => (CLASSES.x.filter((x) => x !== null).length > 1 && DATA.explained.length && !byId("map-tsne")
  ? `The axes explain ${percent(DATA.explained[0])} and ${percent(DATA.explained[1])} of the variance of the centers.`
  : "No class selected. Red: accuracy below 50 %.");

// Scrolls to a class and moves the focus to it.
function goTo(wnid) {
  location.hash = wnid;
  byId(wnid).querySelector("a").focus({ preventScroll: true });
}

function describe(row) {
  const other = CLASSES.nearest[row];
  byId("map-text").replaceChildren(
    element("h4", {}, CLASSES.name[row]),
    descriptionList([
      ["WNID", element("a", { href: `#${CLASSES.wnid[row]}` }, CLASSES.wnid[row])], ["label", String(CLASSES.label[row])],
      ["spread", number(CLASSES.spread[row], 2)], ["accuracy", percent(CLASSES.top1[row])],
      ["nearest", other === null ? null : `${CLASSES.name[other]}, cosine ${number(CLASSES.cosine[row])}`],
    ]),
    element("div", { class: "strip" }, ...strip(row, 12)));
}

function pointsOf(rows, xs, ys) {
  const range = (values) => { const all = rows.map((row) => values[row]); return [Math.min(...all), Math.max(...all)]; };
  const [[left, right], [low, high]] = [range(xs), range(ys)];
  const scale = (value, from, to, size) => (to > from ? EDGE + ((value - from) / (to - from)) * (size - 2 * EDGE) : size / 2);
  return rows.map((row) => ({
    row, x: scale(xs[row], left, right, WIDTH), y: HEIGHT - scale(ys[row], low, high, HEIGHT),
  }));
}

// The names that have room beside their points.
function names(points, radius) {
  const taken = points.map(({ x, y }) => ({ left: x - radius, right: x + radius, top: y - radius, bottom: y + radius }));
  const free = (box) => box.left > 4 && box.right < WIDTH - 4 && taken.every((other) =>
    box.right < other.left || box.left > other.right || box.bottom < other.top || box.top > other.bottom);
  const texts = [];
  for (const point of points) {
    const name = CLASSES.name[point.row];
    const long = name.length * 6 + 6;
    const sides = [point.x + radius + 3, point.x - radius - 3 - long];
    const boxes = sides.map((left) => ({ left, right: left + long, top: point.y - 8, bottom: point.y + 8 }));
    const side = boxes.findIndex(free);
    if (side < 0) continue;
    taken.push(boxes[side]);
    texts.push(element("text", { x: side ? boxes[1].right : boxes[0].left, y: point.y + 4, "text-anchor": side ? "end" : "start" }, name));
  }
  return texts;
}

function svgPosition(svg, event) {
  const box = svg.getBoundingClientRect();
  return { x: ((event.clientX - box.left) / box.width) * WIDTH, y: ((event.clientY - box.top) / box.height) * HEIGHT };
}

function nearest(points, at, within) {
  let best = null, least = within * within;
  for (const point of points) {
    const squared = (point.x - at.x) ** 2 + (point.y - at.y) ** 2;
    if (squared < least) [best, least] = [point, squared];
  }
  return best;
}

// The nearest point in that direction.
function nearestInDirection(points, from, [dx, dy]) {
  let best = null, least = Infinity;
  for (const point of points) {
    const along = (point.x - from.x) * dx + (point.y - from.y) * dy;
    const across = Math.abs((point.x - from.x) * dy) + Math.abs((point.y - from.y) * dx);
    if (along > 0 && along + 2 * across < least) [best, least] = [point, along + 2 * across];
  }
  return best;
}
