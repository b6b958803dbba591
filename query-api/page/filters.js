/* The filters: category, brand, price, stock, and the attributes that the products found have. */
import { SEPARATOR } from './catalogue.js';
import { money, number } from './format.js';
import { attributeLabel, colourOf, valueLabel } from './labels.js';
import { CATEGORY } from './routing.js';
import { t } from './text.js';

const { panel, hierarchicalMenu, refinementList, rangeSlider, toggleRefinement, dynamicWidgets, clearRefinements } = window.instantsearch.widgets;

const FIRST = 6, MOST = 50;
const ATTRIBUTES = 12, OPEN_ATTRIBUTES = 4;
const levels = Array.from({ length: 6 }, (_, level) => `cat.lvl${level}`);

const nameOf = (attribute) => attributeLabel(attribute.replace(/^attr\./, ''));

/* A panel that can be folded and is not there when it would be empty. */
function folding(widget, title, hidden, folded = false) {
  return panel({
    hidden,
    collapsed: () => folded,
    templates: {
      header: (_, { html }) => html`<h3>${title}</h3>`,
      collapseButtonText: ({ collapsed }, { html }) => html`<span class="hidden">${t(collapsed ? 'expand' : 'collapse', { name: title })}</span>`,
    },
  })(widget);
}

function counted(value, count, { html }) {
  return html`<span class="value">${value}</span><span class="number">${number(count)}</span>`;
}

function listTemplates(attribute) {
  return {
    item: (item, { html }) => {
      const colour = colourOf(attribute, item.value);
      return html`<label class="choice">
        <input type="checkbox" checked=${item.isRefined} value=${item.value} />
        ${colour ? html`<svg class="dot" viewBox="0 0 12 12" aria-hidden="true"><circle cx="6" cy="6" r="5.5" fill=${colour} /></svg>` : ''}
        ${counted(valueLabel(item.label), item.count, { html })}
      </label>`;
    },
    showMoreText: ({ isShowingMore }) => t(isShowingMore ? 'less' : 'more'),
    searchableNoResults: () => t('no_values'),
  };
}

const nothing = ({ items }) => items.length === 0;

function valueList(attribute, container, title, options = {}) {
  const { folded, ...rest } = options;
  return folding(refinementList, title, ({ items, isFromSearch }) => nothing({ items }) && !isFromSearch, folded)({
    container, attribute, operator: 'or', limit: FIRST, showMore: true, showMoreLimit: MOST,
    sortBy: ['isRefined', 'count:desc', 'name:asc'], templates: listTemplates(attribute), ...rest,
  });
}

const attributeOrder = new Map();

function attributeList({ attribute, container }) {
  const place = attributeOrder.get(attribute) ?? 0;
  return valueList(attribute, container, nameOf(attribute), { folded: place >= OPEN_ATTRIBUTES });
}

/* The attributes that most hits have. One with a choice stays, and stays where it was. */
function chooseAttributes(items, { results }) {
  const names = items.filter((name) => name.startsWith('attr.'));
  const chosen = names.filter((name) => results.getRefinements().some((one) => one.attributeName === name));
  const place = (name) => attributeOrder.get(name) ?? ATTRIBUTES;
  const shown = names.filter((name) => !chosen.includes(name)).slice(0, Math.max(0, ATTRIBUTES - chosen.length));
  for (const name of chosen.sort((a, b) => place(a) - place(b))) shown.splice(place(name), 0, name);
  attributeOrder.clear();
  shown.forEach((name, at) => attributeOrder.set(name, at));
  return shown;
}

export function filterWidgets() {
  return [
    clearRefinements({ container: '#clear', templates: { resetLabel: () => t('clear') } }),
    toggleRefinement({ container: '#in-stock', attribute: 'in_stock', on: true, templates: { labelText: () => t('in_stock') } }),
    folding(hierarchicalMenu, t('category'), nothing)({
      container: '#category', attributes: levels, separator: SEPARATOR, limit: 10, showMore: true, showMoreLimit: MOST, sortBy: ['isRefined', 'count:desc', 'name:asc'],
      templates: {
        item: (item, { html }) => html`<a class="choice" href=${item.url} aria-current=${item.isRefined ? 'true' : undefined}>${counted(item.label, item.count, { html })}</a>`,
        showMoreText: ({ isShowingMore }) => t(isShowingMore ? 'less' : 'more'),
      },
    }),
    valueList('brand', '#brand', t('brand'), { searchable: true, searchablePlaceholder: t('find_brand') }),
    folding(rangeSlider, t('price'), ({ range }) => range.min === range.max)({
      container: '#price', attribute: 'price', pips: false, tooltips: { format: (value) => money(value) },
    }),
    dynamicWidgets({ container: '#attributes', widgets: [], fallbackWidget: attributeList, transformItems: chooseAttributes, maxValuesPerFacet: MOST }),
  ];
}

/* What is chosen, in words: {category: "Laptops"}, {brand: "LG"}… of connectCurrentRefinements. */
export function chosenText({ attribute, type, value, operator }) {
  if (attribute === CATEGORY) return String(value).split(SEPARATOR).at(-1);
  if (attribute === 'price') return `${operator === '>=' ? '≥' : '≤'} ${money(value)}`;
  if (attribute === 'in_stock') return t('in_stock');
  return attribute === 'brand' || type === 'hierarchical' ? String(value) : `${nameOf(attribute)}: ${valueLabel(String(value))}`;
}
