/* A product on a shelf, as a template of InstantSearch. */
import { departmentOf } from './catalogue.js';
import { priceRange } from './format.js';
import { productLink } from './links.js';
import { t } from './text.js';
import { tileOf } from './tile.js';

const badges = { out: 'sold_out', low: 'low' };

export function card(hit, { html, components }) {
  const tile = tileOf(hit, departmentOf);
  const out = hit.in_stock === false; // null: nobody knows while the search engine is away
  const badge = out ? 'sold_out' : badges[hit.stock];
  const name = hit._highlightResult?.name && components ? components.Highlight({ hit, attribute: 'name' }) : hit.name;
  const sku = hit.matched_variants?.length ? hit.matched_variants[0] : null;
  return html`<article class="card ${out ? 'card-out' : ''}">
    <div class="card-picture">
      <product-tile seed=${tile.seed} letter=${tile.letter} department=${tile.department}></product-tile>
      ${badge ? html`<span class="badge badge-${badge}">${t(badge)}</span>` : ''}
    </div>
    <p class="card-brand">${hit.brand ?? ''}</p>
    <h3 class="card-name"><a href=${productLink(hit.objectID, sku)}>${name}</a></h3>
    ${Number.isFinite(hit.price) ? html`<p class="card-price">${priceRange({ min: hit.price, max: hit.price_max }, hit.currency)}</p>` : ''}
  </article>`;
}
