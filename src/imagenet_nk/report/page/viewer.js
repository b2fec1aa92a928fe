// One image, large, with its properties.
let current = null;
const imagePanel = element("div"), detailsPanel = element("div");

// The buttons are not rebuilt for each image, so that the focused one keeps the focus.
byId("viewer").append(element("div", { class: "shown" }, imagePanel, element("div", {}, detailsPanel,
  element("div", { class: "turn" },
    element("button", { type: "button", onclick: () => step(-1) }, "← Previous"),
    element("button", { type: "button", onclick: () => step(1) }, "Next →"),
    element("button", { type: "button", onclick: () => byId("viewer").close() }, "Close")))));

function view(row, position) {
  current = [row, position];
  const image = imageAt(row, position);
  const dialog = byId("viewer");
  const large = element("img", { src: image.address, alt: `${image.id}, ${classTitle(row)}`,
    onerror: () => large.replaceWith(element("p", { class: "dim" }, `${image.id} is not in the data set folder.`)) });
  const facts = descriptionList([
    ["class", classTitle(row)], ["label", String(CLASSES.label[row])], ["image", image.id],
    ["size", `${image.width} × ${image.height}`], ["source", image.source], ["address", link(image.url)],
    ["distance to its own center", image.own === null ? null : number(image.own)],
    ["nearest other center", image.near === null ? null : `${number(image.other)}, ${classTitle(image.near)}`],
  ]);
  imagePanel.replaceChildren(large);
  detailsPanel.replaceChildren(element("h4", {}, CLASSES.name[row]), facts);
  if (!dialog.open) dialog.showModal();
}

function step(by) {
  const [row, position] = current;
  const count = imagesOf(row);
  view(row, (position + by + count) % count);
}

byId("viewer").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
byId("viewer").addEventListener("click", (event) => event.target === byId("viewer") && byId("viewer").close());
