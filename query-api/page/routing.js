/* The state of InstantSearch as the address of the page, in the words of GET /v1/search. */
import { INDEX } from './client.js';
import { namesOfPath, pathOf } from './catalogue.js';
import { link } from './links.js';

export const sorts = { relevance: INDEX, 'price:asc': `${INDEX}_price_asc`, 'price:desc': `${INDEX}_price_desc`, newest: `${INDEX}_newest`, best_selling: `${INDEX}_best_selling` };
export const CATEGORY = 'cat.lvl0';

const isAttribute = (name) => name === 'brand' || name.startsWith('attr.');

/* The price of InstantSearch is "1000:5000", the address says 1000..5000. */
const swap = (range, from, to) => range.split(from).slice(0, 2).join(to);

function toAddress(state) {
  const query = new URLSearchParams();
  if (state.query) query.set('q', state.query);
  const category = pathOf(state.hierarchicalMenu?.[CATEGORY] ?? []);
  if (category) query.set('category', category);
  for (const [name, values] of Object.entries(state.refinementList ?? {})) for (const value of values) query.append(name, value);
  if (state.range?.price) query.set('price', swap(state.range.price, ':', '..'));
  if (state.toggle?.in_stock) query.set('in_stock', 'true');
  const sort = Object.keys(sorts).find((key) => sorts[key] === state.sortBy);
  if (sort && sort !== 'relevance') query.set('sort', sort);
  if (state.page > 1) query.set('page', state.page);
  return query;
}

function fromAddress(query) {
  const state = { refinementList: {} };
  if (query.get('q')) state.query = query.get('q');
  const names = namesOfPath(query.get('category') ?? '');
  if (names) state.hierarchicalMenu = { [CATEGORY]: names };
  for (const name of new Set(query.keys())) if (isAttribute(name)) state.refinementList[name] = query.getAll(name);
  if (/^\d*\.\.\d*$/.test(query.get('price') ?? '')) state.range = { price: swap(query.get('price'), '..', ':') };
  if (query.get('in_stock') === 'true') state.toggle = { in_stock: true };
  if (Object.hasOwn(sorts, query.get('sort') ?? '')) state.sortBy = sorts[query.get('sort')];
  if (/^[1-9]\d{0,4}$/.test(query.get('page') ?? '')) state.page = Number(query.get('page'));
  return state;
}

/* Is nothing asked for? */
export const isHome = (state) => toAddress(state).toString() === '';

export const addressOf = (state) => link('/', toAddress(state));

export const routing = (history) => ({
  router: history({
    createURL: ({ routeState }) => location.origin + addressOf(routeState),
    parseURL: ({ location: at }) => fromAddress(new URLSearchParams(at.search)),
    cleanUrlOnDispose: false,
  }),
  stateMapping: { stateToRoute: (state) => state[INDEX] ?? {}, routeToState: (route) => ({ [INDEX]: route }) },
});
