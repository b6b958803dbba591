/* The page of a search: InstantSearch and what is around it. */
import { card } from './card.js';
import { INDEX, searchClient } from './client.js';
import { $, el, showNotice } from './dom.js';
import { chosenText, filterWidgets } from './filters.js';
import { number, setCurrency } from './format.js';
import { searchLink } from './links.js';
import { isHome, routing, sorts } from './routing.js';
import { attachSuggestions } from './suggest.js';
import { lang, t } from './text.js';

const TYPING_MS = 120;
const examples = { ko: ['무선 이어폰', 'ㄴㅌㅂ', 'shxmqnr', '노트ㅂ', '아이퐁'], en: ['wireless earbuds', 'laptop 16"', 'coffe machine', 'ㄴㅌㅂ', 'running shoes'] };

/* InstantSearch names a few things in English only. */
const spoken = {
  'Minimum Filter Handle': 'minimum', 'Maximum Filter Handle': 'maximum', 'Sort results by': 'sort', 'First Page': 'first', 'Previous Page': 'previous',
  'Next Page': 'next', 'Search for filters': 'find_brand',
};

function sayInLanguage(root) {
  for (const element of root.querySelectorAll('[aria-label]')) {
    const said = element.getAttribute('aria-label');
    const page = /^Page (\d+)$/.exec(said);
    if (Object.hasOwn(spoken, said)) element.setAttribute('aria-label', t(spoken[said]));
    else if (page) element.setAttribute('aria-label', t('page', { n: page[1] }));
    else if (said.startsWith('Last Page')) element.setAttribute('aria-label', t('last'));
  }
}

function searchBox(form) {
  const input = $('input', form);
  let refine = () => {}, timer = 0, asked = '';
  const search = (text) => {
    clearTimeout(timer);
    asked = text;
    refine(text);
  };
  attachSuggestions(form, {
    type(text) {
      clearTimeout(timer);
      timer = setTimeout(() => search(text), TYPING_MS);
    },
    search,
  });
  return window.instantsearch.connectors.connectSearchBox((state, isFirst) => {
    const failed = state.instantSearchInstance.status === 'error'; // then the last answer's query is back
    const moved = !isFirst && !failed && state.query !== asked; // back or forward
    refine = state.refine;
    asked = state.query;
    if (moved) clearTimeout(timer);
    if (moved || document.activeElement !== input) input.value = state.query;
  })({});
}

function chosenList(list) {
  return window.instantsearch.connectors.connectCurrentRefinements(({ items }) => {
    const chips = items.flatMap((item) => item.refinements.map((refinement) => {
      const what = chosenText(refinement);
      return el('li', {}, el('button', { type: 'button', class: 'chip', 'aria-label': t('remove', { what }), onclick: () => item.refine(refinement) }, what));
    }));
    list.replaceChildren(...chips);
    list.hidden = chips.length === 0;
  })({});
}

/* An element, as in every template with words of others: InstantSearch takes a plain string for markup. */
function countText({ nbHits, query }, { html }) {
  const key = nbHits === 0 ? 'count_none' : query ? 'count_for' : 'count';
  return html`<span>${t(key, { n: number(nbHits), q: query })}</span>`;
}

function emptyShelf({ query }, { html }) {
  return html`<div class="empty">
    <p class="empty-title">${query ? t('empty_for', { q: query }) : t('empty')}</p>
    <p>${t('empty_hint')}</p>
    <p class="empty-links">
      ${query ? html`<a class="button quiet" href=${searchLink({ q: query })}>${t('clear')}</a>` : ''}
      <a class="button" href=${searchLink({})}>${t('to_home')}</a>
    </p>
  </div>`;
}

/* Before the others are drawn: prices to filter by are in the currency of what was found. */
const currencyOfHits = {
  $$type: 'readside.currency',
  render({ results }) {
    if (results?.hits[0]?.currency) setCurrency(results.hits[0].currency);
  },
};

function resultWidgets(form) {
  const { configure, stats, sortBy, hits, pagination } = window.instantsearch.widgets;
  const names = { relevance: 'relevance', 'price:asc': 'price_asc', 'price:desc': 'price_desc', newest: 'newest', best_selling: 'best_selling' };
  return [
    configure({ hitsPerPage: 24 }),
    currencyOfHits,
    searchBox(form),
    stats({ container: '#count', templates: { text: countText } }),
    sortBy({ container: '#sort', items: Object.entries(sorts).map(([name, value]) => ({ value, label: t(names[name]) })) }),
    chosenList($('#chosen')),
    hits({ container: '#hits', templates: { item: card, empty: emptyShelf } }),
    pagination({ container: '#pages', padding: 2, scrollTo: '#main' }),
  ];
}

let told = null; // the answer whose notes are shown

/* Everything that the last answer says besides its hits. */
function afterAnswer(search) {
  const results = search.helper.lastResults;
  const state = search.getUiState()[INDEX] ?? {};
  $('#hero').hidden = !isHome(state);
  sayInLanguage($('#main'));
  if (!results) return;
  document.title = state.query ? `${state.query} – Readside` : 'Readside';
  $('#pages').hidden = results.nbPages < 2;
  const chosen = $('#chosen').children.length;
  $('#filters-open').textContent = chosen ? t('filters_n', { n: chosen }) : t('filters');
  $('#filters-show').textContent = t('show_results', { n: number(results.nbHits) });
  if (results === told) return; // the page is drawn after a failure, too, which is to stay said
  told = results;
  const answer = results._rawResults[0];
  showDegraded(answer.degraded);
  showCorrected(answer);
}

function showDegraded(degraded) {
  if (degraded) showNotice(t(['stale', 'fallback'].includes(degraded) ? degraded : 'partial'));
  else showNotice();
}

function showCorrected({ query, corrected, did_you_mean: meant }) {
  const line = $('#corrected');
  const instead = corrected && corrected !== query;
  const other = instead ? corrected : meant;
  line.hidden = !other;
  if (other) line.replaceChildren(el('a', { href: searchLink({ q: other }) }, t(instead ? 'corrected' : 'did_you_mean', { c: other })));
}

/* On a narrow screen the filters are a sheet over the page. */
function filterSheet() {
  const sheet = $('#filters'), opener = $('#filters-open');
  const others = () => [$('.top'), $('.bottom'), $('#hero'), $('.results')];
  const open = (on) => {
    document.body.classList.toggle('filters-are-open', on);
    opener.setAttribute('aria-expanded', String(on));
    others().forEach((element) => { element.inert = on; });
    if (on) $('#filters-close').focus();
    else opener.focus();
  };
  opener.addEventListener('click', () => open(true));
  matchMedia('(max-width: 899px)').addEventListener('change', (narrow) => { // as in page.css
    if (!narrow.matches && document.body.classList.contains('filters-are-open')) open(false);
  });
  for (const id of ['#filters-close', '#filters-show']) $(id).addEventListener('click', () => open(false));
  sheet.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && document.body.classList.contains('filters-are-open')) open(false);
  });
}

export function startSearchPage(form) {
  const search = window.instantsearch({
    indexName: INDEX, searchClient, insights: false, routing: routing(window.instantsearch.routers.history),
    future: { preserveSharedStateOnUnmount: true },
  });
  $('#examples').append(...examples[lang].map((q) => el('li', {}, el('a', { class: 'chip', href: searchLink({ q }) }, q))));
  search.addWidgets([...resultWidgets(form), ...filterWidgets()]);
  search.on('render', () => afterAnswer(search));
  search.on('error', () => {
    const wanted = search.helper.state; // InstantSearch is about to go back to what was answered
    const again = () => {
      search.helper.setState(wanted);
      search.refresh();
    };
    showNotice(t('failed'), ' ', el('button', { type: 'button', class: 'button quiet', onclick: again }, t('retry')));
  });
  filterSheet();
  search.start();
}
