/* The page of a product: its variants, what is said of it, and products like it. */
import { card } from './card.js';
import { ask, departmentOf } from './catalogue.js';
import { INDEX, searchClient } from './client.js';
import { $, el, showNotice } from './dom.js';
import { money, priceRange } from './format.js';
import { attributeLabel, valueLabel } from './labels.js';
import { searchLink } from './links.js';
import { attachSuggestions } from './suggest.js';
import { t } from './text.js';
import { tileOf } from './tile.js';

const SIMILAR = 8;

const textOf = (values) => (values ?? []).map((value) => valueLabel(String(value))).join(', ');
const valueOf = (variant, name) => (variant.attributes[name] ?? []).join(', ');

/* The fewest attributes that tell all variants apart, those with few values first: colour and size, not the bar code. */
export function optionNames(variants) {
  const names = new Set(variants.flatMap((variant) => Object.keys(variant.attributes)));
  const distinct = (chosen) => new Set(variants.map((variant) => JSON.stringify(chosen.map((name) => valueOf(variant, name))))).size;
  const candidates = [...names].map((name) => [distinct([name]), name]).filter(([count]) => count > 1).sort((a, b) => a[0] - b[0]);
  const chosen = [];
  for (const [, name] of candidates) {
    if (chosen.length && distinct(chosen) === variants.length) break;
    if (distinct([...chosen, name]) > distinct(chosen)) chosen.push(name);
  }
  return chosen;
}

/* Nothing where it is not known: the stock is not in what a product is shown from while the search engine is away. */
function stockLine(stock) {
  const words = { out: 'sold_out', low: 'low', in: 'in' };
  return words[stock] ? el('p', { class: `stock stock-${stock}` }, t(words[stock])) : '';
}

function breadcrumb(product) {
  const { path, names } = product.category_paths?.find(({ path: p }) => p.endsWith(`/${product.primary_category}`)) ?? product.category_paths?.[0] ?? { path: '', names: [] };
  const ids = path.split('/');
  return el('nav', { 'aria-label': t('breadcrumb'), class: 'breadcrumb' }, el('ol', {},
    el('li', {}, el('a', { href: searchLink({}) }, t('home'))),
    names.map((name, i) => el('li', {}, el('a', { href: searchLink({ category: ids.slice(0, i + 1).join('/') }) }, name)))));
}

function specification(variant, options) {
  const rows = Object.entries(variant.attributes).filter(([name]) => !options.includes(name));
  if (!rows.length) return null;
  return el('section', { class: 'specification' }, el('h2', {}, t('specification')),
    el('dl', {}, el('div', {}, el('dt', {}, t('sku')), el('dd', {}, variant.sku)),
      rows.map(([name, values]) => el('div', {}, el('dt', {}, attributeLabel(name)), el('dd', {}, textOf(values))))));
}

/* Of the variants with this value, the one most like the current one, one in stock if there is any. */
function nearest(variants, current, options, name, value) {
  const likeness = (variant) => options.filter((other) => valueOf(variant, other) === valueOf(current, other)).length * 2 + (variant.stock === 'out' ? 0 : 1);
  return variants.filter((variant) => valueOf(variant, name) === value).sort((a, b) => likeness(b) - likeness(a))[0];
}

function optionChooser(product, options, current, choose) {
  return options.map((name) => {
    const values = [...new Set(product.variants.map((variant) => valueOf(variant, name)))];
    return el('fieldset', { class: 'option' }, el('legend', {}, attributeLabel(name)), el('div', { class: 'option-values' }, values.map((value, i) => {
      const target = nearest(product.variants, current, options, name, value);
      const here = valueOf(current, name) === value;
      const same = here ? current : product.variants.find((v) => options.every((o) => valueOf(v, o) === (o === name ? value : valueOf(current, o))));
      const out = !same || same.stock === 'out';
      return el('label', { class: out ? 'option-value option-out' : 'option-value' },
        el('input', { type: 'radio', name: `option-${name}`, id: `option-${name}-${i}`, checked: here, onchange: () => choose(target, `option-${name}-${i}`) }),
        el('span', {}, valueLabel(value) || '–'), out ? el('span', { class: 'hidden' }, ` (${t('sold_out')})`) : null);
    })));
  });
}

function show(product) {
  const variants = product.variants ?? [];
  const options = variants.length > 1 ? optionNames(variants) : [];
  const wanted = new URLSearchParams(location.search).get('sku');
  const first = variants.find(({ sku }) => sku === wanted) ?? variants.find(({ stock }) => stock !== 'out') ?? variants[0];
  const buy = el('div', { class: 'product-buy' });
  const details = el('div', { class: 'product-details' });

  function choose(variant, focus) {
    const stock = variant ? variant.stock : product.in_stock === false ? 'out' : product.stock;
    $('#product').classList.toggle('product-out', stock === 'out');
    buy.replaceChildren(
      el('p', { class: 'product-price', 'aria-live': 'polite' }, variant ? money(variant.price ?? product.price.min, product.currency) : priceRange(product.price, product.currency)),
      stockLine(stock), ...optionChooser(product, options, variant, choose));
    const table = variant && specification(variant, options);
    details.replaceChildren(...[product.description && el('section', {}, el('h2', {}, t('description')), el('p', { class: 'description' }, product.description)), table].filter(Boolean));
    if (focus) document.getElementById(focus)?.focus();
  }

  document.title = `${product.name} – Readside`;
  $('#product').append(breadcrumb(product),
    el('div', { class: 'product-picture' }, el('product-tile', tileOf(product, departmentOf)), el('span', { class: 'badge badge-sold_out' }, t('sold_out'))),
    el('div', { class: 'product-head' }, product.brand && el('p', { class: 'product-brand' }, el('a', { href: searchLink({ brand: product.brand }) }, product.brand)), el('h1', {}, product.name), buy),
    details);
  choose(first);
}

function showSimilar(id) {
  const { relatedProducts } = window.instantsearch.widgets;
  const search = window.instantsearch({ indexName: INDEX, searchClient, insights: false });
  search.addWidgets([
    relatedProducts({
      container: '#similar-list', objectIDs: [id], limit: SIMILAR,
      templates: { header: () => '', empty: () => '', item: card },
      transformItems(items) {
        $('#similar').hidden = items.length === 0;
        return items;
      },
    }),
  ]);
  search.on('error', () => { $('#similar').hidden = true; }); // a product can be shown without them
  search.start();
}

function showMissing(error) {
  const gone = error.status === 404 || error.status === 400;
  document.title = `${t(gone ? 'not_found' : 'failed')} – Readside`;
  $('#product').replaceChildren(el('div', { class: 'empty' }, el('h1', { class: 'empty-title' }, t(gone ? 'not_found' : 'failed')),
    gone && el('p', {}, t('not_found_hint')), el('p', { class: 'empty-links' },
      gone ? el('a', { class: 'button', href: searchLink({}) }, t('to_home')) : el('button', { type: 'button', class: 'button', onclick: () => location.reload() }, t('retry')))));
}

export async function startProductPage(form, id) {
  attachSuggestions(form, { type() {}, search: (q) => location.assign(searchLink(q ? { q } : {})) });
  try {
    const product = await ask(`/v1/products/${encodeURIComponent(id)}`);
    show(product);
    if (product.degraded) showNotice(t('unknown_stock'));
    showSimilar(id);
  } catch (error) {
    showMissing(error);
  }
}
