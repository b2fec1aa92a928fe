// One image, large: the file itself where it still lies beside the page, and all that is known about it.
let viewed = null;
const shownPicture = element("div"), shownFacts = element("div");

// The buttons stay where they are from one picture to the next, so that the one that has the focus keeps it.
byId("viewer").append(element("div", { class: "shown" }, shownPicture, element("div", {}, shownFacts,
  element("div", { class: "turn" },
    element("button", { type: "button", onclick: () => step(-1) }, "← Previous"),
    element("button", { type: "button", onclick: () => step(1) }, "Next →"),
    element("button", { type: "button", onclick: () => byId("viewer").close() }, "Close")))));

function view(row, position) {
  viewed = [row, position];
  const image = imageAt(row, position);
  const dialog = byId("viewer");
  const large = element("img", { src: image.address, alt: `${image.id}, ${classTitle(row)}`,
    onerror: () => large.replaceWith(element("p", { class: "dim" }, `${image.id} is not beside this page.`)) });
  const facts = terms([
    ["class", classTitle(row)], ["label", String(CLASSES.label[row])], ["image", image.id],
    ["size", `${image.width} × ${image.height}`], ["source", image.source], ["address", link(image.url)],
    ["to its own class", image.own === null ? null : number(image.own)],
    ["nearest other", image.near === null ? null : `${number(image.other)}, ${classTitle(image.near)}`],
  ]);
  shownPicture.replaceChildren(large);
  shownFacts.replaceChildren(element("h4", {}, CLASSES.name[row]), facts);
  if (!dialog.open) dialog.showModal();
}

function step(by) {
  const [row, position] = viewed;
  const count = imagesOf(row);
  view(row, (position + by + count) % count);
}

byId("viewer").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
byId("viewer").addEventListener("click", (event) => event.target === byId("viewer") && byId("viewer").close());
