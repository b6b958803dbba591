/* Where the page begins: its language, the header, and then the page that the address names. */
import { departments, loadCategories } from './catalogue.js';
import { $, el } from './dom.js';
import { searchLink } from './links.js';
import { startProductPage } from './product.js';
import { startSearchPage } from './search.js';
import { lang, languages, remember, t, translate } from './text.js';

function setLanguage() {
  document.documentElement.lang = lang;
  translate(document);
  $('#query').setAttribute('placeholder', t('hint'));
  $('[data-home]').href = searchLink({});
  for (const code of languages) {
    const button = $(`[data-lang=${code}]`);
    button.setAttribute('aria-pressed', String(code === lang));
    button.addEventListener('click', () => {
      remember(code);
      const address = new URL(location.href);
      address.searchParams.set('lang', code);
      location.assign(address);
    });
  }
}

function showDepartments() {
  const nav = $('.departments');
  nav.hidden = departments.length === 0;
  $('ul', nav).append(...departments.map(({ path, name }) => el('li', {}, el('a', { href: searchLink({ category: path }) }, name))));
}

function open(id) {
  const content = $(`#${id}`).content.cloneNode(true);
  translate(content);
  $('#main').replaceChildren(content);
}

/* The id in /p/{id}; null on every other page. */
function productOfAddress() {
  const found = /^\/p\/([^/]+)$/.exec(location.pathname);
  try {
    return found && decodeURIComponent(found[1]);
  } catch {
    return found[1];
  }
}

setLanguage();
await loadCategories();
showDepartments();
const product = productOfAddress();
open(product === null ? 'search-page' : 'product-page');
if (product === null) startSearchPage($('#search'));
else startProductPage($('#search'), product);
