// Thumbnails: each shows a part of the contact strip of its class.
function thumbnail(row, position) {
  const image = imageAt(row, position);
  const strip = `url("thumbnails/${CLASSES.wnid[row]}.jpg")`;
  const near = image.near !== null && image.own > image.other ? `, closer to ${classTitle(image.near)}` : "";
  const label = image.missing ? `${image.id}, missing` : `${image.id}, ${classTitle(row)}${near}`;
  const button = element("button", {
    type: "button", class: image.missing ? "thumb missing" : "thumb", "aria-label": label,
    style: image.missing ? {} : {
      backgroundImage: `${strip}, var(--hatch)`, // the hatch shows if the strip is missing
      backgroundSize: `calc(var(--cell) * ${imagesOf(row)}) var(--cell), auto`,
      backgroundPosition: `calc(var(--cell) * ${-position}) 0, 0 0`,
    },
    onpointerenter: () => showTip(button, image), onpointerleave: hideTip,
    onfocus: () => button.matches(":focus-visible") && showTip(button, image), onblur: hideTip,
    onclick: () => { hideTip(); view(row, position); },
  });
  return button;
}

function strip(row, limit = Infinity) {
  const count = Math.min(imagesOf(row), limit);
  return Array.from({ length: count }, (_, position) => thumbnail(row, position));
}

function hostOf(image) {
  if (!isWeb(image.url)) return image.source;
  try { return `${image.source}, ${new URL(image.url).hostname}`; } catch { return image.source; }
}

function showTip(target, image) {
  const tip = byId("tip");
  const lines = [image.id, `${CLASSES.label[image.row]} · ${classTitle(image.row)}`, hostOf(image)];
  tip.replaceChildren(...lines.map((line) => element("div", {}, line)));
  tip.hidden = false;
  const box = target.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left), innerWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 8;
  Object.assign(tip.style, { left: `${left}px`, top: `${above > 60 ? above : box.bottom + 8}px` });
}

function hideTip() {
  byId("tip").hidden = true;
}

// A gallery of images, more of them on request, and the same as a table.
function gallery(id, caption, explain) {
  const images = DATA.galleries[id];
  const container = byId(id);
  if (!container) return;
  const figures = images.map(([row, position]) => () => element("figure", {}, thumbnail(row, position),
    element("figcaption", {}, CLASSES.name[row], element("span", {}, explain(imageAt(row, position))))));
  const more = element("button", { type: "button", class: "more", onclick: () => show(24) });
  const show = (count) => {
    container.append(...figures.splice(0, count).map((make) => make()));
    more.textContent = `${figures.length} more`;
    more.hidden = !figures.length;
  };
  show(12);
  container.after(more);
  fillOnOpen(`${id}-table`, () => imageTable(caption, images));
}

function imageTable(caption, images) {
  return sortableTable(caption, [
    ["image", (image) => image.id],
    ["class", (image) => CLASSES.name[image.row]],
    ["label", (image) => CLASSES.label[image.row], null, true],
    ["distance to its own center", (image) => image.own, (image) => number(image.own), true],
    ["to the nearest other center", (image) => image.other, (image) => number(image.other), true],
    ["nearest other class", (image) => (image.near === null ? null : classTitle(image.near))],
    ["address", (image) => image.url, (image) => link(image.url)],
  ], images.map(([row, position]) => imageAt(row, position)));
}
