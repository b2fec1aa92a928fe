// A sweep's backbones: a plot of accuracy against cost, and a table that sorts.
const JOBS = JSON.parse(byId("data").textContent).jobs;
const DISTANCES = ["euclidean", "cosine", "cl2n"];
const isKnown = (value) => value !== null && value !== undefined;
const percent = (value) => (isKnown(value) ? `${(100 * value).toFixed(1)} %` : "–");
const figure = (value, digits) => (isKnown(value) ? value.toFixed(digits) : "–");
const million = (value) => (isKnown(value) ? `${(value / 1e6).toFixed(1)} M` : "–");

// The columns of the jobs whose name matches, each with the parts that the expression captures.
function columns(expression) {
  const names = new Set(JOBS.flatMap((job) => Object.keys(job)));
  return [...names].map((name) => name.match(expression)).filter(Boolean);
}

function withDeviation(job, key) {
  const deviation = job[`${key}_std`];
  return isKnown(deviation) ? `${percent(job[key])} ± ${(100 * deviation).toFixed(1)}` : percent(job[key]);
}

function bestTop1(job) {
  const values = DISTANCES.map((name) => job[`${name}_top1`]).filter(isKnown);
  return values.length ? Math.max(...values) : null;
}

const AXES = {
  images_per_s: ["images/s", (value) => figure(value, 1)],
  gmacs: ["GMACs an image", (value) => figure(value, 2)],
  parameters: ["parameters", million],
};

let currentAxis = null;

function drawPlot(axis) {
  currentAxis = axis;
  const [title, format] = AXES[axis];
  const jobs = JOBS.filter((job) => isKnown(bestTop1(job)) && job[axis] > 0);
  byId("plot-text").textContent = "";
  byId("plot-missing").textContent = describeMissing(axis, title);
  if (!jobs.length) { byId("plot").replaceChildren(); return; }
  const points = jobs.map((job) => {
    const label = `${job.backbone}: ${percent(bestTop1(job))}, ${format(job[axis])} ${axis === "parameters" ? "parameters" : title}`;
    return { name: String(job.backbone), x: job[axis], y: bestTop1(job), label, describe: () => { byId("plot-text").textContent = label; } };
  });
  scatter(byId("plot"), points, { xTitle: title, yTitle: "top-1", tick: (value) => (axis === "parameters" ? `${value / 1e6} M` : String(value)),
    label: `Top-1 accuracy against ${title}; the table below has the numbers` });
}

// Names the backbones without a point in the plot, and says why.
function describeMissing(axis, title) {
  const scored = JOBS.filter((job) => isKnown(bestTop1(job)));
  const lacking = scored.filter((job) => !(job[axis] > 0));
  const unscored = JOBS.length - scored.length;
  const sentences = [];
  const why = axis === "images_per_s" ? ": their embeddings were cached by an earlier run" : "";
  if (lacking.length) sentences.push(`Without ${title}${why}: ${lacking.map((job) => job.backbone).join(", ")}.`);
  if (unscored) sentences.push(`${unscored} of ${JOBS.length} jobs ${unscored === 1 ? "has" : "have"} no accuracy.`);
  return sentences.join(" ");
}

function jobName(job) {
  const text = job.backbone ?? job.job;
  return job.report ? element("a", { href: `${job.job.split("/").map(encodeURIComponent).join("/")}/report/index.html` }, text) : text;
}

byId("table").append(sortableTable("Backbones", [
  ["job", (job) => job.job], ["backbone", (job) => job.backbone, jobName], ["weights", (job) => job.weights],
  ["parameters", (job) => job.parameters, (job) => million(job.parameters), true],
  ["GMACs", (job) => job.gmacs, (job) => figure(job.gmacs, 2), true],
  ["size", (job) => job.dim, null, true],
  ["images/s", (job) => job.images_per_s, (job) => figure(job.images_per_s, 1), true],
  ...DISTANCES.flatMap((name) => [1, 5].map((n) => [`${name} top-${n}`, (job) => job[`${name}_top${n}`], (job) => percent(job[`${name}_top${n}`]), true])),
  ["own classifier", (job) => job.head_top1, (job) => percent(job.head_top1), true],
  ["ratio", (job) => job.ncm_to_head_ratio, (job) => figure(job.ncm_to_head_ratio, 3), true],
  ["within/between", (job) => job.within_between_ratio, (job) => figure(job.within_between_ratio, 3), true],
  ...columns(/^([a-z]+)_(\d+)_shots$/).map(([key, head, shots]) => [`${head}, ${shots} shots`, (job) => job[key], (job) => withDeviation(job, key), true]),
  ...columns(/^cka_(.+)$/).map(([key, other]) => [`CKA to ${other}`, (job) => job[key], (job) => figure(job[key], 3), true]),
  ["ended", (job) => job.exit_code, (job) => ({ 0: "complete", 3: "short" }[job.exit_code] ?? "failed")],
  ["overrides", (job) => job.overrides],
], JOBS));
choice(Object.keys(AXES).map((name) => `by-${name}`), (id) => drawPlot(id.slice(3)));
const first = Object.keys(AXES).find((axis) => JOBS.some((job) => isKnown(job[axis]) && isKnown(bestTop1(job))));
if (first) byId(`by-${first}`).click();
else drawPlot("images_per_s");
addEventListener("resize", () => drawPlot(currentAxis));
document.documentElement.dataset.ready = "yes";
