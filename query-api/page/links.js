/* Addresses within the page. They speak the words of GET /v1/search: ?q=…&category=1/4&brand=LG&price=1000..5000&sort=price:asc */
import { lang } from './text.js';

/* The language stays in the address of every page. */
export function link(path, parameters = {}) {
  const query = new URLSearchParams(parameters);
  query.set('lang', lang);
  return `${path}?${readable(query)}`;
}

/* sku: the variant that is shown first. */
export const productLink = (id, sku) => link(`/p/${encodeURIComponent(id)}`, sku ? { sku } : {});
export const searchLink = (parameters) => link('/', parameters);

/* Slashes, colons and Korean need no escapes in a query string; people read it. */
export function readable(query) {
  return query.toString().replace(/%2F/g, '/').replace(/%3A/g, ':');
}
