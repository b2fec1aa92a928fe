// A sweep's backbones: a plot of accuracy against cost, and a table that sorts.
const JOBS = JSON.parse(byId("data").textContent).jobs;
const DISTANCES = ["euclidean", "cosine", "cl2n"];
const known = (value) => value !== null && value !== undefined;
const percent = (value) => (known(value) ? `${(100 * value).toFixed(1)} %` : "–");
const figure = (value, digits) => (known(value) ? value.toFixed(digits) : "–");
const million = (value) => (known(value) ? `${(value / 1e6).toFixed(1)} M` : "–");

function best(job) {
  const found = DISTANCES.map((name) => job[`${name}_top1`]).filter(known);
  return found.length ? Math.max(...found) : null;
}

const AXES = {
  images_per_s: ["images a second", (value) => figure(value, 1)],
  gmacs: ["GMACs an image", (value) => figure(value, 2)],
  parameters: ["parameters", million],
};
const WIDE = 900, HIGH = 420, LEFT = 64, RIGHT = 24, TOP = 18, BOTTOM = 48;

function drawPlot(axis) {
  const [title, shown] = AXES[axis];
  const jobs = JOBS.filter((job) => known(best(job)) && known(job[axis]) && job[axis] > 0);
  const place = byId("plot");
  byId("plot-said").textContent = jobs.length ? "" : `No job has ${title}: its embeddings were there from an earlier run.`;
  if (!jobs.length) { place.replaceChildren(); return; }
  const xs = jobs.map((job) => Math.log10(job[axis])), ys = jobs.map(best);
  const [x0, x1] = [Math.min(...xs) - 0.08, Math.max(...xs) + 0.08];
  const low = Math.max(0, Math.floor(Math.min(...ys) * 20 - 0.5) / 20), high = Math.min(1, Math.ceil(Math.max(...ys) * 20 + 0.5) / 20);
  const x = (value) => LEFT + ((value - x0) / (x1 - x0)) * (WIDE - LEFT - RIGHT);
  const y = (value) => HIGH - BOTTOM - ((value - low) / Math.max(high - low, 0.05)) * (HIGH - TOP - BOTTOM);
  const svg = element("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `Top-1 accuracy against ${title}; the table below has the numbers` });
  for (let at = low; at <= high + 1e-9; at += high - low > 0.3 ? 0.1 : 0.05) {
    svg.append(element("path", { class: "grid", d: `M${LEFT} ${y(at)}H${WIDE - RIGHT}` }),
      element("text", { x: LEFT - 8, y: y(at) + 4, "text-anchor": "end" }, `${Math.round(100 * at)} %`));
  }
  for (const at of ticks(x0, x1)) {
    svg.append(element("text", { x: x(Math.log10(at)), y: HIGH - BOTTOM + 20, "text-anchor": "middle" }, axis === "parameters" ? million(at) : String(at)));
  }
  svg.append(element("text", { x: (LEFT + WIDE - RIGHT) / 2, y: HIGH - 8, "text-anchor": "middle" }, title));
  jobs.forEach((job, index) => {
    const [cx, cy] = [x(xs[index]), y(ys[index])];
    const say = () => { byId("plot-said").textContent = `${job.backbone}: ${percent(ys[index])}, ${shown(job[axis])} ${axis === "parameters" ? "parameters" : title}`; };
    const end = cx > WIDE * 0.75;
    svg.append(element("circle", { cx, cy, r: 6, tabindex: "0", role: "img", "aria-label": `${job.backbone}, ${percent(ys[index])}`, onpointerenter: say, onfocus: say }),
      element("text", { class: "name", x: end ? cx - 11 : cx + 11, y: cy + 4, "text-anchor": end ? "end" : "start" }, job.backbone));
  });
  place.replaceChildren(svg);
}

// 1, 2 and 5 times each power of ten that lie within the range of logarithms; fewer where those would crowd.
function ticks(from, to) {
  const found = [];
  for (let power = Math.floor(from); power <= to; power += 1) {
    for (const digit of to - from > 2 ? [1] : [1, 2, 3, 5, 7]) {
      const value = Number((digit * 10 ** power).toPrecision(1));
      if (Math.log10(value) >= from && Math.log10(value) <= to) found.push(value);
    }
  }
  return found;
}

function jobName(job) {
  const text = job.backbone ?? job.job;
  return job.report ? element("a", { href: `${job.job.split("/").map(encodeURIComponent).join("/")}/report/index.html` }, text) : text;
}

byId("table").append(sortableTable("Backbones", [
  ["job", (job) => job.job], ["backbone", (job) => job.backbone, jobName],
  ["parameters", (job) => job.parameters, (job) => million(job.parameters), true],
  ["GMACs", (job) => job.gmacs, (job) => figure(job.gmacs, 2), true],
  ["size", (job) => job.dim, null, true],
  ["images/s", (job) => job.images_per_s, (job) => figure(job.images_per_s, 1), true],
  ...DISTANCES.flatMap((name) => [1, 5].map((n) => [`${name} top-${n}`, (job) => job[`${name}_top${n}`], (job) => percent(job[`${name}_top${n}`]), true])),
  ["own classifier", (job) => job.head_top1, (job) => percent(job.head_top1), true],
  ["ratio", (job) => job.ncm_over_head, (job) => figure(job.ncm_over_head, 3), true],
  ["ended", (job) => job.exit_code, (job) => ({ 0: "complete", 3: "short" }[job.exit_code] ?? "failed")],
  ["overrides", (job) => job.overrides],
], JOBS));
choice(Object.keys(AXES).map((name) => `by-${name}`), (id) => drawPlot(id.slice(3)));
const first = Object.keys(AXES).find((axis) => JOBS.some((job) => known(job[axis]) && known(best(job))));
if (first) byId(`by-${first}`).click();
else drawPlot("images_per_s");
document.documentElement.dataset.ready = "yes";
