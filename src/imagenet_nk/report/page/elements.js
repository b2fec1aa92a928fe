// Elements are built here and nowhere else, from text nodes alone: no string is ever parsed as HTML.
function element(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "circle", "path", "rect", "text"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(made.style, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const byId = (id) => document.getElementById(id);

// Terms and their values; null values are left out.
function terms(pairs) {
  const list = element("dl");
  for (const [term, value] of pairs) {
    if (value !== null) list.append(element("dt", {}, term), element("dd", {}, value));
  }
  return list;
}

const link = (url) => (isWeb(url) ? element("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, url) : url);

// A details element that fills itself when it is opened for the first time.
function filledWhenOpened(id, fill) {
  const details = byId(id);
  if (details) details.addEventListener("toggle", () => details.append(fill()), { once: true });
}

// Two or more buttons of which one is pressed.
function choice(ids, chosen) {
  for (const id of ids) {
    byId(id)?.addEventListener("click", () => {
      for (const other of ids) byId(other).setAttribute("aria-pressed", String(other === id));
      chosen(id);
    });
  }
}
