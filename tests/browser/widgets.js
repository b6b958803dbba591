/* Every widget with its own templates. ?api=HOST:PORT&client=4|5&infinite=1&product=ID */
const asked = new URLSearchParams(location.search);
const host = asked.get('api');
/* By themselves they wait two seconds and then take the only host for gone. Seconds for one, milliseconds for the other. */
const patience = (unit) => ({ connect: 60 * unit, read: 60 * unit, write: 60 * unit });
const clients = {
  4: () => algoliasearch('readside', 'key', { hosts: [{ url: host, accept: 3, protocol: 'http' }], timeouts: patience(1) }),
  5: () => globalThis['algoliasearch/lite'].liteClient('readside', 'key', { hosts: [{ url: host, accept: 'readWrite', protocol: 'http' }], timeouts: patience(1000) }),
};
const client = clients[asked.get('client')]();
const index = 'products_en';
const w = instantsearch.widgets;
const item = (hit, { html }) => html`<b class="name" data-id=${hit.objectID}>${hit.name}</b>`;

window.answers = [];
window.sent = 0;
const searchClient = {
  ...client,
  async search(requests) {
    sent += 1;
    const answer = await client.search(requests);
    answers.push(answer.results);
    return answer;
  },
  searchForFacetValues: client.searchForFacetValues && ((...all) => client.searchForFacetValues(...all)),
  getRecommendations: (...all) => client.getRecommendations(...all),
};
/* Not infiniteHits and relatedProducts: the former fails if recommendations are there before the first hits. */
const list = asked.get('infinite')
  ? [w.infiniteHits({ container: '#hits', templates: { item } })]
  : [
    w.hits({ container: '#hits', templates: { item } }), w.pagination({ container: '#pagination' }),
    w.relatedProducts({ container: '#related', objectIDs: [asked.get('product')], limit: 4, templates: { item } }),
  ];
const search = instantsearch({ indexName: index, searchClient, insights: false });
search.on('error', ({ error }) => console.error(error.message));
search.addWidgets([
  w.configure({ hitsPerPage: 10 }),
  w.searchBox({ container: '#searchbox' }),
  w.stats({ container: '#stats', templates: { text: ({ nbHits }, { html }) => html`<i>${nbHits}</i>` } }),
  w.sortBy({ container: '#sort', items: ['', '_price_asc', '_price_desc', '_newest'].map((sort) => ({ value: index + sort, label: sort || 'relevance' })) }),
  w.clearRefinements({ container: '#clear' }),
  w.refinementList({ container: '#brand', attribute: 'brand', searchable: true, showMore: true }),
  w.hierarchicalMenu({ container: '#category', attributes: ['cat.lvl0', 'cat.lvl1', 'cat.lvl2', 'cat.lvl3'], limit: 30 }),
  w.rangeSlider({ container: '#price', attribute: 'price' }),
  w.toggleRefinement({ container: '#stock', attribute: 'in_stock' }),
  w.dynamicWidgets({
    container: '#dynamic', widgets: [], fallbackWidget: ({ attribute, container }) => w.panel({ templates: { header: (_, { html }) => html`<b>${attribute}</b>` } })(w.refinementList)({ container, attribute }),
    transformItems: (names) => names.filter((name) => name.startsWith('attr.')), maxValuesPerFacet: 20,
  }),
  w.autocomplete({ container: '#autocomplete', indices: [{ indexName: index, templates: { item: ({ item: hit, onSelect }, { html }) => html`<span class="found" onclick=${onSelect}>${hit.name}</span>` }, getQuery: (hit) => hit.name }] }),
  ...list,
]);
search.start();
