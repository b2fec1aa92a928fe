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
  images_per_s: ["images/s", (value) => figure(value, 1)],
  gmacs: ["GMACs an image", (value) => figure(value, 2)],
  parameters: ["parameters", million],
};

let axisNow = null;

function drawPlot(axis) {
  axisNow = axis;
  const [title, shown] = AXES[axis];
  const jobs = JOBS.filter((job) => known(best(job)) && job[axis] > 0);
  byId("plot-said").textContent = "";
  byId("plot-without").textContent = without(axis, title);
  if (!jobs.length) { byId("plot").replaceChildren(); return; }
  const points = jobs.map((job) => {
    const label = `${job.backbone}: ${percent(best(job))}, ${shown(job[axis])} ${axis === "parameters" ? "parameters" : title}`;
    return { name: String(job.backbone), x: job[axis], y: best(job), label, say: () => { byId("plot-said").textContent = label; } };
  });
  plot(byId("plot"), points, { xTitle: title, yTitle: "top-1", tick: (value) => (axis === "parameters" ? `${value / 1e6} M` : String(value)),
    label: `Top-1 accuracy against ${title}; the table below has the numbers` });
}

// Which backbones have no point, and why.
function without(axis, title) {
  const judged = JOBS.filter((job) => known(best(job)));
  const lacking = judged.filter((job) => !(job[axis] > 0));
  const unjudged = JOBS.length - judged.length;
  const said = [];
  const why = axis === "images_per_s" ? ": their embeddings were there from an earlier run" : "";
  if (lacking.length) said.push(`Without ${title}${why}: ${lacking.map((job) => job.backbone).join(", ")}.`);
  if (unjudged) said.push(`${unjudged} of ${JOBS.length} jobs ${unjudged === 1 ? "has" : "have"} no accuracy.`);
  return said.join(" ");
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
  ["ended", (job) => job.exit_code, (job) => ({ 0: "complete", 3: "short" }[job.exit_code] ?? "failed")],
  ["overrides", (job) => job.overrides],
], JOBS));
choice(Object.keys(AXES).map((name) => `by-${name}`), (id) => drawPlot(id.slice(3)));
const first = Object.keys(AXES).find((axis) => JOBS.some((job) => known(job[axis]) && known(best(job))));
if (first) byId(`by-${first}`).click();
else drawPlot("images_per_s");
addEventListener("resize", () => drawPlot(axisNow));
document.documentElement.dataset.ready = "yes";
