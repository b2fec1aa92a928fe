// A scatter plot with a logarithmic x axis. Its unit is a pixel of the page, so that text keeps its size.
const LEFT = 52, RIGHT = 18, TOP = 30, BOTTOM = 46, DOT = 6;

// points: {name, x, y, label, describe}; x > 0, y from 0 to 1. xTitle, yTitle: of the axes; tick: x as text.
function scatter(container, points, { xTitle, yTitle, tick, label }) {
  const wide = Math.max(280, Math.round(container.getBoundingClientRect().width)), high = Math.round(Math.min(420, wide * 0.85));
  const xs = points.map((point) => Math.log10(point.x)), ys = points.map((point) => point.y);
  const room = Math.max(0.08, 0.25 - (Math.max(...xs) - Math.min(...xs)) / 2);
  const [x0, x1] = [Math.min(...xs) - room, Math.max(...xs) + room];
  const low = Math.max(0, Math.floor(Math.min(...ys) * 20 - 0.5) / 20), top = Math.min(1, Math.ceil(Math.max(...ys) * 20 + 0.5) / 20);
  const x = (value) => LEFT + ((value - x0) / (x1 - x0)) * (wide - LEFT - RIGHT);
  const y = (value) => high - BOTTOM - ((value - low) / Math.max(top - low, 0.05)) * (high - TOP - BOTTOM);
  const svg = element("svg", { viewBox: `0 0 ${wide} ${high}`, role: "group", "aria-label": label });
  for (let at = low; at <= top + 1e-9; at += top - low > 0.3 ? 0.1 : 0.05) {
    svg.append(element("path", { class: "grid", d: `M${LEFT} ${y(at)}H${wide - RIGHT}` }),
      element("text", { x: LEFT - 8, y: y(at) + 4, "text-anchor": "end" }, `${Math.round(100 * at)} %`));
  }
  let free = -Infinity; // where the last tick's text ends
  for (const at of ticks(x0, x1)) {
    const centre = x(Math.log10(at)), half = 4 * tick(at).length;
    if (centre - half < free) continue;
    free = centre + half + 6;
    svg.append(element("text", { x: centre, y: high - BOTTOM + 20, "text-anchor": "middle" }, tick(at)));
  }
  svg.append(element("text", { x: LEFT, y: 16 }, yTitle),
    element("text", { x: (LEFT + wide - RIGHT) / 2, y: high - 8, "text-anchor": "middle" }, xTitle));
  const dots = points.map((point, index) => ({ ...point, cx: x(xs[index]), cy: y(ys[index]) }));
  svg.append(...dots.map(({ cx, cy, label: name, describe }) => element("circle",
    { cx, cy, r: DOT, tabindex: "0", role: "img", "aria-label": name, onpointerenter: describe, onfocus: describe })), ...dotNames(dots, wide, high));
  container.replaceChildren(svg);
}

// The name of each point beside, above or below it, where there is room for it.
function dotNames(dots, wide, high) {
  const taken = dots.map(({ cx, cy }) => ({ left: cx - DOT, right: cx + DOT, top: cy - DOT, bottom: cy + DOT }));
  const isFree = (box) => box.left > 2 && box.right < wide - 2 && box.top > 0 && box.bottom < high - BOTTOM + 4 && taken.every(
    (other) => box.right < other.left || box.left > other.right || box.bottom < other.top || box.top > other.bottom);
  const texts = [];
  for (const { name, cx, cy } of dots) {
    const long = 7.4 * name.length, gap = DOT + 4;
    const places = [[cx + gap, cy - 8], [cx - gap - long, cy - 8], [cx - long / 2, cy - gap - 15], [cx - long / 2, cy + gap]];
    const box = places.map(([left, above]) => ({ left, right: left + long, top: above, bottom: above + 16 })).find(isFree);
    if (!box) continue;
    taken.push(box);
    texts.push(element("text", { class: "name", x: (box.left + box.right) / 2, y: box.top + 12, "text-anchor": "middle" }, name));
  }
  return texts;
}

// 1, 2 and 5 times each power of ten that lie within the range of logarithms; fewer where those would crowd.
function ticks(from, to) {
  const values = [];
  for (let power = Math.floor(from); power <= to; power += 1) {
    for (const digit of to - from > 2 ? [1] : [1, 2, 3, 5, 7]) {
      const value = Number((digit * 10 ** power).toPrecision(1));
      if (Math.log10(value) >= from && Math.log10(value) <= to) values.push(value);
    }
  }
  return values;
}
