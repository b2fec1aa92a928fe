// The similarity matrix on a canvas, one pixel for each pair.
function drawMatrix() {
  const canvas = byId("matrix");
  if (!canvas || !DATA.matrix) return;
  const { rows, order, low, high } = DATA.matrix;
  const steps = Uint8Array.from(atob(DATA.matrix.steps), (letter) => letter.charCodeAt(0));
  const size = rows.length;
  let shown = order, at = null;
  canvas.width = canvas.height = size;
  const step = (a, b) => (a === b ? 255 : steps[(Math.max(a, b) * (Math.max(a, b) - 1)) / 2 + Math.min(a, b)]);
  const cosine = (a, b) => (a === b ? 1 : low + (step(a, b) / 255) * (high - low));

  function draw() {
    const colours = colormap();
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(size, size);
    for (let y = 0; y < size; y += 1) {
      for (let x = 0; x < size; x += 1) {
        pixels.data.set(colours[step(shown[y], shown[x])], 4 * (y * size + x));
      }
    }
    context.putImageData(pixels, 0, 0);
    byId("scale").style.background = `linear-gradient(90deg, ${[0, 64, 128, 192, 255].map((i) => `rgb(${colours[i].slice(0, 3)})`)})`;
  }

  function select([x, y]) {
    if (at && at[0] === x && at[1] === y) return;
    at = [x, y];
    const [a, b] = [shown[y], shown[x]];
    const cell = (index) => `${(100 * index) / size}%`;
    Object.assign(byId("matrix-at").style, { left: cell(x), top: cell(y), width: cell(1), height: cell(1) });
    byId("matrix-at").hidden = false;
    const both = a === b ? [rows[a]] : [rows[a], rows[b]];
    byId("matrix-text").replaceChildren(
      element("p", {}, `${both.map((row) => CLASSES.name[row]).join(" and ")}: ${number(cosine(a, b))}`),
      ...both.flatMap((row) => [element("h4", {}, element("a", { href: `#${CLASSES.wnid[row]}` }, classTitle(row))),
        element("div", { class: "strip" }, ...strip(row, 3))]));
  }

  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const cell = (offset, length) => Math.min(size - 1, Math.max(0, Math.floor((offset / length) * size)));
    select([cell(event.clientX - box.left, box.width), cell(event.clientY - box.top, box.height)]);
  });
  canvas.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!direction) return;
    event.preventDefault();
    select((at ?? [0, 0]).map((value, axis) => Math.min(size - 1, Math.max(0, value + direction[axis]))));
  });
  choice(["order-like", "order-label"], (id) => {
    shown = id === "order-like" ? order : rows.map((_, index) => index);
    at = null;
    byId("matrix-at").hidden = true;
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  byId("scale-low").textContent = number(low, 2);
  byId("scale-high").textContent = number(high, 2);
  draw();
}

// 256 colours from the background over the accent colour to the text colour.
function colormap() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const stops = dark ? [[27, 30, 34], [38, 98, 92], [236, 222, 170]] : [[250, 249, 246], [95, 164, 155], [18, 52, 56]];
  return Array.from({ length: 256 }, (_, index) => {
    const t = (index / 255) * 2;
    const [from, to] = t < 1 ? [stops[0], stops[1]] : [stops[1], stops[2]];
    const part = t < 1 ? t : t - 1;
    return [...from.map((value, channel) => Math.round(value + part * (to[channel] - value))), 255];
  });
}

function pairsTable() {
  const pairs = new Map();
  CLASSES.nearest.forEach((other, row) => {
    if (other !== null) pairs.set(`${Math.min(row, other)} ${Math.max(row, other)}`, [row, other, CLASSES.cosine[row]]);
  });
  const mostSimilar = [...pairs.values()].sort((a, b) => b[2] - a[2]).slice(0, 100);
  return sortableTable("Most similar pairs of classes", [
    ["class", ([row]) => CLASSES.name[row]], ["WNID", ([row]) => CLASSES.wnid[row]],
    ["nearest class", ([, other]) => CLASSES.name[other]], ["its WNID", ([, other]) => CLASSES.wnid[other]],
    ["cosine", ([, , cosine]) => cosine, ([, , cosine]) => number(cosine, 4), true],
  ], mostSimilar);
}
