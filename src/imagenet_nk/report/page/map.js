// The map of the classes: points that are pointed at, or walked with the arrow keys.
const EDGE = 30;
let WIDTH = 800, HEIGHT = 600; // pixels of the map as it stands on the page, so that its letters keep their size

function drawMap() {
  const place = byId("map");
  if (!place) return;
  const rows = CLASSES.x.map((x, row) => (x === null ? -1 : row)).filter((row) => row >= 0);
  const svg = element("svg", { tabindex: "0", role: "application",
    "aria-label": `Map of ${rows.length} classes. Arrow keys move to the next class, Enter goes to its pictures.` });
  place.append(svg);
  let points = [], on = null, drawn = null;

  function draw(xs, ys) {
    drawn = [xs, ys];
    WIDTH = Math.max(280, Math.round(svg.getBoundingClientRect().width));
    HEIGHT = Math.round(WIDTH * 0.75);
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    points = placed(rows, xs, ys);
    const radius = points.length > 300 || WIDTH < 500 ? 4 : 6;
    for (const point of points) {
      const low = CLASSES.top1[point.row] !== null && CLASSES.top1[point.row] < 0.5;
      point.circle = element("circle", { cx: point.x, cy: point.y, r: radius, class: low ? "low" : null });
    }
    svg.replaceChildren(...points.map((point) => point.circle), ...names(points, radius));
    if (on) activate(points.find((point) => point.row === on.row));
  }

  function activate(point) {
    on?.circle.classList.remove("on");
    on = point;
    point.circle.classList.add("on");
    svg.append(point.circle);
    describe(point.row);
  }

  svg.addEventListener("pointermove", (event) => {
    const at = inside(svg, event);
    const near = nearest(points, at, 40);
    if (near && near !== on) activate(near);
  });
  svg.addEventListener("click", (event) => {
    const near = nearest(points, inside(svg, event), 14);
    if (near) activate(near);
  });
  svg.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter" && on) goTo(CLASSES.wnid[on.row]);
    if (!way) return;
    event.preventDefault();
    const next = on ? inDirection(points, on, way) : points[0];
    if (next) activate(next);
  });
  choice(["map-tsne", "map-pca"], (id) => (id === "map-pca" ? draw(CLASSES.x, CLASSES.y) : draw(CLASSES.tx, CLASSES.ty)));
  addEventListener("resize", () => draw(...drawn));
  if (byId("map-tsne")) draw(CLASSES.tx, CLASSES.ty);
  else draw(CLASSES.x, CLASSES.y);
  byId("map-said").append(element("p", { class: "dim" }, hint()));
}

const hint = () => (CLASSES.x.filter((x) => x !== null).length > 1 && DATA.explained.length && !byId("map-tsne")
  ? `The axes carry ${percent(DATA.explained[0])} and ${percent(DATA.explained[1])} of the variance of the centers.`
  : "No class is chosen yet. Red: less than half of the images are recognised.");

// The focus goes along with the window.
function goTo(wnid) {
  location.hash = wnid;
  byId(wnid).querySelector("a").focus({ preventScroll: true });
}

function describe(row) {
  const other = CLASSES.nearest[row];
  byId("map-said").replaceChildren(
    element("h4", {}, CLASSES.name[row]),
    terms([
      ["WNID", element("a", { href: `#${CLASSES.wnid[row]}` }, CLASSES.wnid[row])], ["label", String(CLASSES.label[row])],
      ["spread", number(CLASSES.spread[row], 2)], ["accuracy", percent(CLASSES.top1[row])],
      ["nearest", other === null ? null : `${CLASSES.name[other]}, cosine ${number(CLASSES.cosine[row])}`],
    ]),
    element("div", { class: "strip" }, ...strip(row, 12)));
}

function placed(rows, xs, ys) {
  const range = (values) => { const all = rows.map((row) => values[row]); return [Math.min(...all), Math.max(...all)]; };
  const [[left, right], [low, high]] = [range(xs), range(ys)];
  const scale = (value, from, to, size) => (to > from ? EDGE + ((value - from) / (to - from)) * (size - 2 * EDGE) : size / 2);
  return rows.map((row) => ({
    row, x: scale(xs[row], left, right, WIDTH), y: HEIGHT - scale(ys[row], low, high, HEIGHT),
  }));
}

// As many names as have room; the rest is said when a point is pointed at.
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

function inside(svg, event) {
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

// The nearest point on that side, straight ones first.
function inDirection(points, from, [dx, dy]) {
  let best = null, least = Infinity;
  for (const point of points) {
    const along = (point.x - from.x) * dx + (point.y - from.y) * dy;
    const across = Math.abs((point.x - from.x) * dy) + Math.abs((point.y - from.y) * dx);
    if (along > 0 && along + 2 * across < least) [best, least] = [point, along + 2 * across];
  }
  return best;
}
