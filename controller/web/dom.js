// Small helpers to build nodes once and change them in place: no innerHTML, no flicker.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setData(node, name, value) {
  const text = String(value);
  if (node.dataset[name] !== text) node.dataset[name] = text;
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

// Width or left of a bar part as a share 0..1 of its track.
export function setShare(node, property, share) {
  const text = `${(100 * Math.min(1, Math.max(0, share || 0))).toFixed(2)}%`;
  if (node.style[property] !== text) node.style[property] = text;
}

// One child per item, kept by key: existing nodes are updated and only moved when the order changed.
export function keyed(container, items, keyOf, create, update) {
  const known = container.parts ?? (container.parts = new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, part] of known) {
    if (wanted.has(key)) continue;
    part.node.remove();
    known.delete(key);
  }
  items.forEach((item, index) => {
    const key = keyOf(item);
    let part = known.get(key);
    if (!part) known.set(key, (part = create(item)));
    update(part, item);
    if (container.children[index] !== part.node) container.insertBefore(part.node, container.children[index] ?? null);
  });
}
