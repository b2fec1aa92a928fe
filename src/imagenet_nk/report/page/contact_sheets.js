// Contact sheets, one for each class. Thumbnails are drawn when a sheet comes near the window.
const contactSheets = [];

function contactSheet(row) {
  const short = CLASSES.kept[row] < CLASSES.wanted[row];
  const gone = DATA.images[row].missing.length;
  const kept = `${CLASSES.kept[row]} of ${CLASSES.wanted[row]}${gone ? `, ${gone} missing` : ""}`;
  return element("article", { class: "sheet", id: CLASSES.wnid[row], "data-row": row },
    element("header", {},
      element("h3", { title: CLASSES.words[row] }, element("a", { href: `#${CLASSES.wnid[row]}` }, CLASSES.name[row])),
      element("span", {}, CLASSES.wnid[row]), element("span", {}, `label ${CLASSES.label[row]}`),
      element("span", { class: short || gone ? "short" : null }, short ? `${kept}, short` : kept),
      CLASSES.top1[row] === null ? null : element("span", {}, `accuracy ${percent(CLASSES.top1[row])}`)),
    element("div", { class: "strip" }));
}

function drawContactSheets() {
  const draw = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((each) => each.isIntersecting)) {
      draw.unobserve(entry.target);
      entry.target.querySelector(".strip").append(...strip(Number(entry.target.dataset.row)));
    }
  }, { rootMargin: "600px 0px" });
  for (let row = 0; row < COUNT; row += 1) {
    contactSheets.push(contactSheet(row));
    draw.observe(contactSheets[row]);
  }
  byId("sheets").append(...contactSheets);
  reserveSpace();
  addEventListener("resize", reserveSpace);
  filterClasses("");
}

// Reserve space for thumbnails that are not drawn yet, so that the page does not move when they are.
function reserveSpace() {
  const gap = 6, head = 66;
  const cell = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--cell"));
  const columns = Math.max(1, Math.floor((byId("sheets").clientWidth + gap) / (cell + gap)));
  contactSheets.forEach((each, row) => {
    const height = Math.max(1, Math.ceil(imagesOf(row) / columns)) * (cell + gap) - gap;
    each.style.containIntrinsicBlockSize = `auto ${height + head}px`;
    each.querySelector(".strip").style.minHeight = `${height}px`;
  });
}

// Classes whose name, other names, WNID or label match every word of the query; a short number is a label.
function filterClasses(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  let matches = 0;
  contactSheets.forEach((each, row) => {
    const text = `${CLASSES.name[row]} ${CLASSES.words[row]} ${CLASSES.wnid[row]}`.toLowerCase();
    const label = String(CLASSES.label[row]);
    each.hidden = !words.every((word) => (/^\d{1,5}$/.test(word) ? label === word : text.includes(word)));
    matches += !each.hidden;
  });
  byId("found").textContent = words.length ? `${matches} of ${COUNT} classes match “${query.trim()}”.`
    : `${COUNT} ${COUNT === 1 ? "class" : "classes"} in label order. Point at an image for its name; click it for its URL.`;
  return matches;
}

function initSearch() {
  const field = byId("search");
  const search = () => {
    filterClasses(field.value);
    if (field.value) byId("pictures").scrollIntoView({ behavior: "instant" });
  };
  field.addEventListener("input", search);
  byId("search-form").addEventListener("submit", (event) => { event.preventDefault(); search(); });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) { event.preventDefault(); field.focus(); }
  });
  addEventListener("hashchange", () => { // a link to a class that the search hides
    const target = byId(decodeURIComponent(location.hash.slice(1)));
    if (target?.hidden) { field.value = ""; filterClasses(""); target.scrollIntoView(); }
  });
}
