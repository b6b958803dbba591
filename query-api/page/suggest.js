/* Suggestions under the search box: a combobox with a list box (WAI-ARIA Authoring Practices), filled by GET /v1/suggest. */
import { ask, departmentOf, namesOfPath } from './catalogue.js';
import { $, el } from './dom.js';
import { priceRange } from './format.js';
import { productLink, searchLink } from './links.js';
import { t } from './text.js';
import { tileOf } from './tile.js';

const WAIT_MS = 80;
const COUNT = 4;

/* on.type(text): while typing; on.search(text): Enter, or a search that is suggested. */
export function attachSuggestions(form, on) {
  const input = $('input', form), list = $('[role=listbox]', form), said = $('[role=status]', form);
  let options = [], active = -1, timer = 0, running = null;

  function close() {
    clearTimeout(timer);
    running?.abort();
    list.hidden = true;
    said.textContent = '';
    options = [];
    activate(-1);
    input.setAttribute('aria-expanded', 'false');
  }

  function activate(index) {
    options[active]?.element.setAttribute('aria-selected', 'false');
    active = index;
    const option = options[active];
    option?.element.setAttribute('aria-selected', 'true');
    option?.element.scrollIntoView({ block: 'nearest' });
    if (option) input.setAttribute('aria-activedescendant', option.element.id);
    else input.removeAttribute('aria-activedescendant');
  }

  function choose(option) {
    close();
    if (option.href) location.assign(option.href);
    else submit(option.text);
  }

  function submit(text) {
    input.value = text;
    close();
    if (matchMedia('(pointer: coarse)').matches) input.blur(); // takes the keyboard off the screen
    on.search(text);
  }

  function group(title, items) {
    if (!items.length) return [];
    const elements = items.map((item) => {
      const element = el('div', { role: 'option', id: `suggestion-${options.length}`, 'aria-selected': 'false', class: 'suggestion' }, item.content);
      const option = { ...item, element };
      element.addEventListener('click', () => choose(option));
      options.push(option);
      return element;
    });
    return [el('div', { role: 'group', 'aria-label': t(title) }, el('div', { class: 'suggestions-title', 'aria-hidden': 'true' }, t(title)), elements)];
  }

  function show(answer) {
    options = [];
    active = -1;
    const found = [
      ...group('suggest_queries', answer.queries.slice(0, COUNT).map(({ q }) => ({ text: q, content: q }))),
      ...group('suggest_categories', answer.categories.slice(0, 2).map(({ path, name }) => ({ href: searchLink({ category: path }), content: (namesOfPath(path) ?? [name]).join(' › ') }))),
      ...group('suggest_products', answer.products.slice(0, COUNT).map((product) => ({ href: productLink(product.id), content: line(product) }))),
    ];
    if (!found.length) return close();
    list.replaceChildren(...found);
    list.setAttribute('aria-label', t('suggestions'));
    list.hidden = false;
    said.textContent = t('suggest_count', { n: options.length });
    input.setAttribute('aria-expanded', 'true');
    input.removeAttribute('aria-activedescendant');
  }

  async function update() {
    const q = input.value.trim();
    running?.abort();
    if (!q) return close();
    const mine = (running = new AbortController());
    try {
      const answer = await ask('/v1/suggest', { q, size: COUNT }, mine.signal);
      if (mine === running && document.activeElement === input) show(answer);
    } catch {
      if (mine === running) close(); // suggestions are a help, not a need
    }
  }

  input.addEventListener('input', () => {
    on.type(input.value);
    clearTimeout(timer);
    timer = setTimeout(update, WAIT_MS);
  });
  input.addEventListener('keydown', (event) => {
    if (event.isComposing) return; // Enter ends a Korean syllable
    const open = !list.hidden;
    if (open && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
      const count = options.length + 1; // and nothing, which is what was typed
      activate(((active + 1 + (event.key === 'ArrowDown' ? 1 : -1) + count) % count) - 1);
    } else if (open && event.key === 'Escape') {
      close();
    } else if (open && event.key === 'Enter' && options[active]) {
      choose(options[active]);
    } else {
      return;
    }
    event.preventDefault();
  });
  input.addEventListener('blur', close);
  list.addEventListener('mousedown', (event) => event.preventDefault()); // the box keeps the focus
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit(input.value);
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, select, textarea')) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
}

function line(product) {
  return [
    el('product-tile', tileOf(product, departmentOf)),
    el('span', { class: 'suggestion-name' }, product.name),
    el('span', { class: 'suggestion-price' }, product.in_stock === false ? t('sold_out') : priceRange(product.price, product.currency)),
  ];
}
