/* el('a', {href, class: 'x', onclick() {}}, 'text', child…): text is always text, never markup. */
export function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') made.addEventListener(key.replace(/^on/, ''), value);
    else made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const $ = (selector, root = document) => root.querySelector(selector);

/* Above the page's content; nothing: what was there is gone. */
export function showNotice(...content) {
  $('#notice').replaceChildren(...(content.length ? [el('p', { class: 'notice' }, ...content)] : []));
}
