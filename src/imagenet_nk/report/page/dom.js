// Builds elements from text nodes only: no string is ever parsed as HTML.
function element(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "circle", "path", "rect", "text"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const byId = (id) => document.getElementById(id);

// A description list of names and values; null values are left out.
function descriptionList(pairs) {
  const list = element("dl");
  for (const [term, value] of pairs) {
    if (value !== null) list.append(element("dt", {}, term), element("dd", {}, value));
  }
  return list;
}

const link = (url) => (isWeb(url) ? element("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, url) : url);

// Fills a details element when it is opened for the first time.
function fillOnOpen(id, fill) {
  const details = byId(id);
  if (details) details.addEventListener("toggle", () => details.append(fill()), { once: true });
}

// Two or more buttons of which one is pressed.
function choice(ids, onChoice) {
  for (const id of ids) {
    byId(id)?.addEventListener("click", () => {
      for (const other of ids) byId(other).setAttribute("aria-pressed", String(other === id));
      onChoice(id);
    });
  }
}
