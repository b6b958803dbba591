/* <product-tile seed letter department>: a picture for a product that has none. Shapes come from the seed, the colour from the
 * department, so that a product always looks the same and a shelf belongs together. */

const NS = 'http://www.w3.org/2000/svg';
const GOLDEN_ANGLE = 137.508;

function hash(text) {
  let h = 2166136261; // FNV-1a
  for (const c of text) h = Math.imul(h ^ c.codePointAt(0), 16777619);
  return h >>> 0;
}

const compositions = [
  (r) => [['circle', 'b', { cx: 60 + r(80), cy: 100, r: 62 }], ['rect', 'c', { x: 0, y: 128 + r(20), width: 200, height: 90 }]],
  (r) => [['path', 'b', { d: `M${20 + r(20)} 200V110a${58} ${58} 0 0 1 116 0v90z` }], ['circle', 'c', { cx: 150, cy: 52 + r(18), r: 26 }]],
  (r) => [['path', 'b', { d: `M0 ${120 + r(20)}C50 ${80 + r(30)} 120 ${160 - r(20)} 200 ${90 + r(20)}V200H0z` }], ['path', 'c', { d: `M0 ${165 + r(10)}C70 ${120 + r(20)} 130 190 200 ${145 + r(10)}V200H0z` }]],
  (r) => [['rect', 'b', { x: 40, y: 40 + r(12), width: 120, height: 120, rx: 18, transform: `rotate(${r(40) - 20} 100 100)` }], ['circle', 'c', { cx: 60 + r(80), cy: 140, r: 38 }]],
  (r) => [['circle', 'b', { cx: 200, cy: 200, r: 130 + r(30) }], ['circle', 'c', { cx: 200, cy: 200, r: 70 + r(20) }]],
  (r) => [['path', 'b', { d: `M0 200L${90 + r(30)} ${50 + r(20)}L200 200z` }], ['path', 'c', { d: `M60 200L${140 + r(20)} 105L220 200z` }]],
];

function shape(name, attributes) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

class ProductTile extends HTMLElement {
  static observedAttributes = ['seed', 'letter', 'department'];

  connectedCallback() {
    this.setAttribute('aria-hidden', 'true');
    this.draw();
  }

  attributeChangedCallback() {
    if (this.isConnected) this.draw();
  }

  draw() {
    const seed = this.getAttribute('seed') ?? '';
    const department = Number(this.getAttribute('department') ?? -1);
    let state = hash(seed);
    const random = (below) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const hue = department >= 0 ? (department * GOLDEN_ANGLE + 250) % 360 : hash(seed) % 360;
    this.style.setProperty('--hue', hue.toFixed(1));
    const svg = shape('svg', { viewBox: '0 0 200 200', preserveAspectRatio: 'xMidYMid slice' });
    svg.append(shape('rect', { class: 'a', width: 200, height: 200 }));
    for (const [name, colour, attributes] of compositions[random(compositions.length)](random)) svg.append(shape(name, { class: colour, ...attributes }));
    const letter = shape('text', { x: 18, y: 46 });
    letter.textContent = this.getAttribute('letter') ?? '';
    svg.append(letter);
    this.replaceChildren(svg);
  }
}
customElements.define('product-tile', ProductTile);

/* What the tile of a product shows. */
export function tileOf(product, departmentOf) {
  const name = product.brand || product.name || '?';
  const category = product.primary_category;
  return { seed: product.id ?? product.objectID ?? name, letter: [...name.trim()][0]?.toUpperCase() ?? '', department: departmentOf(category) };
}
