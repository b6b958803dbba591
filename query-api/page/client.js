/* The client of InstantSearch, asking the host that served this page. */
import { liteClient } from './algoliasearch-lite.min.js';
import { lang } from './text.js';

/* The language of the names is part of the index's name. */
export const INDEX = `products_${lang}`;

export const searchClient = liteClient('readside', 'storefront', {
  hosts: [{ url: location.host, accept: 'readWrite', protocol: location.protocol.slice(0, -1) }],
  timeouts: { connect: 3000, read: 8000, write: 8000 },
});
