// The data of the page: columns of classes, and of the images of each class. See data.py.
const DATA = JSON.parse(document.getElementById("data").textContent);
const CLASSES = DATA.classes;
const COUNT = CLASSES.wnid.length;

const number = (value, digits = 3) => (value === null || value === undefined ? "–" : small(value, digits));
// A number that would be rounded to zero keeps two significant digits.
const small = (value, digits) => (value !== 0 && Math.abs(value) < 10 ** -digits ? value.toPrecision(2) : value.toFixed(digits));
const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`);
const classTitle = (row) => `${CLASSES.name[row]} (${CLASSES.wnid[row]})`;

function imagesOf(row) {
  return DATA.images[row].id.length;
}

// One image with all its properties. `position`: in the contact strip of its class.
function imageAt(row, position) {
  const images = DATA.images[row];
  const wnid = CLASSES.wnid[row];
  const id = images.id[position].startsWith("=") ? images.id[position].slice(1) : wnid + images.id[position];
  const file = images.file[position];
  let address = `${DATA.root}/images/${wnid}/${encodeURIComponent(id)}.${encodeURIComponent(file)}`;
  if (file.startsWith("=")) address = file.startsWith("=file:") ? file.slice(1) : `${DATA.root}/${file.slice(1)}`;
  return {
    row, position, id, address, url: images.url[position], source: DATA.sources[images.source[position]],
    width: images.width[position], height: images.height[position],
    own: images.own.length ? images.own[position] : null,
    other: images.other.length ? images.other[position] : null,
    near: images.near.length && images.near[position] >= 0 ? images.near[position] : null,
    missing: images.missing.includes(position),
  };
}

// URLs are not trusted: only http and https become links.
const isWeb = (url) => /^https?:\/\//i.test(url);
