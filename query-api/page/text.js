/* What the page says, in its languages, and which of them it speaks: ?lang= before what was chosen last before the browser's. */
import { keep, kept } from './memory.js';

const texts = {
  ko: {
    skip: '본문으로 건너뛰기', search: '상품 검색', hint: '상품, 브랜드, 모델명을 검색하세요', language: '언어', departments: '전체 카테고리',
    about: '이 페이지는 Readside query-api가 제공합니다.',
    hero_title: '무엇을 찾고 계세요?', hero_text: '초성만 쳐도, 한/영 키를 잘못 눌러도, 오타가 나도 찾아 드립니다.', examples: '검색 예시',
    results: '상품 검색 결과', filters: '필터', filters_n: '필터 {n}', close: '닫기', clear: '모두 지우기', show_results: '상품 {n}개 보기',
    category: '카테고리', brand: '브랜드', price: '가격', in_stock: '품절 상품 제외', find_brand: '브랜드 찾기', more: '더 보기', less: '접기',
    no_values: '찾는 값이 없습니다', collapse: '{name} 접기', expand: '{name} 펼치기', minimum: '최저 가격', maximum: '최고 가격',
    count: '상품 {n}개', count_for: '“{q}” 검색 결과 {n}개', count_none: '검색 결과 없음',
    sort: '정렬', relevance: '관련도순', price_asc: '낮은 가격순', price_desc: '높은 가격순', newest: '신상품순', best_selling: '인기순',
    from: '{price}부터', sold_out: '품절', low: '품절 임박', in: '구매 가능',
    corrected: '“{c}”에 대한 결과입니다.', did_you_mean: '“{c}”을(를) 찾으셨나요?', remove: '{what} 조건 지우기',
    empty_for: '“{q}”에 맞는 상품이 없습니다', empty: '조건에 맞는 상품이 없습니다', empty_hint: '다른 낱말로 찾거나 필터를 줄여 보세요.', to_home: '처음으로',
    stale: '지금 검색 서버가 응답하지 않아 조금 전 결과를 보여 드립니다. 가격과 재고가 다를 수 있습니다.',
    fallback: '지금 검색 서버가 응답하지 않아 간단한 검색 결과를 보여 드립니다.', partial: '지금 일부 결과만 보여 드립니다.',
    unknown_stock: '지금 검색 서버가 응답하지 않아 재고를 확인할 수 없습니다.',
    failed: '지금은 검색할 수 없습니다. 잠시 후 다시 시도해 주세요.', retry: '다시 시도',
    pages: '페이지', first: '첫 페이지', previous: '이전 페이지', next: '다음 페이지', last: '마지막 페이지', page: '{n} 페이지',
    suggestions: '추천 검색어', suggest_queries: '검색어', suggest_categories: '카테고리', suggest_products: '상품', suggest_count: '추천 {n}개',
    breadcrumb: '카테고리 경로', home: '홈', description: '상품 설명', specification: '상품 정보', sku: '상품 코드',
    similar: '비슷한 상품', not_found: '상품을 찾을 수 없습니다', not_found_hint: '판매가 끝났거나 주소가 잘못되었습니다.', yes: '예', no: '아니요',
  },
  en: {
    skip: 'Skip to content', search: 'Search products', hint: 'Search products, brands and models', language: 'Language', departments: 'All departments',
    about: 'This page is served by Readside’s query-api.',
    hero_title: 'What are you looking for?', hero_text: 'Typing mistakes, Korean initials and the wrong keyboard layout are all understood.', examples: 'Examples',
    results: 'Products', filters: 'Filters', filters_n: 'Filters {n}', close: 'Close', clear: 'Clear all', show_results: 'Show {n} products',
    category: 'Category', brand: 'Brand', price: 'Price', in_stock: 'In stock only', find_brand: 'Find a brand', more: 'Show more', less: 'Show less',
    no_values: 'Nothing by that name', collapse: 'Collapse {name}', expand: 'Expand {name}', minimum: 'Lowest price', maximum: 'Highest price',
    count: '{n} products', count_for: '{n} results for “{q}”', count_none: 'No results',
    sort: 'Sort by', relevance: 'Best match', price_asc: 'Price: low to high', price_desc: 'Price: high to low', newest: 'Newest', best_selling: 'Best selling',
    from: 'from {price}', sold_out: 'Sold out', low: 'Few left', in: 'In stock',
    corrected: 'Showing results for “{c}”.', did_you_mean: 'Did you mean “{c}”?', remove: 'Remove {what}',
    empty_for: 'Nothing matches “{q}”', empty: 'Nothing matches these filters', empty_hint: 'Try other words or fewer filters.', to_home: 'Start over',
    stale: 'Search is not answering right now: these are results from a moment ago. Prices and stock may differ.',
    fallback: 'Search is not answering right now: these are results of a simpler search.', partial: 'Only part of the results can be shown right now.',
    unknown_stock: 'Search is not answering right now: stock is not known.',
    failed: 'Search is not available right now. Please try again in a moment.', retry: 'Try again',
    pages: 'Pages', first: 'First page', previous: 'Previous page', next: 'Next page', last: 'Last page', page: 'Page {n}',
    suggestions: 'Suggestions', suggest_queries: 'Searches', suggest_categories: 'Categories', suggest_products: 'Products', suggest_count: '{n} suggestions',
    breadcrumb: 'Breadcrumb', home: 'Home', description: 'Description', specification: 'Details', sku: 'Item code',
    similar: 'Similar products', not_found: 'This product does not exist', not_found_hint: 'It may no longer be sold, or the address is wrong.', yes: 'Yes', no: 'No',
  },
};

export const languages = Object.keys(texts);

export const remember = (chosen) => keep('lang', chosen);

export const lang = [new URLSearchParams(location.search).get('lang'), kept('lang'), navigator.language.slice(0, 2), 'ko']
  .find((wanted) => languages.includes(wanted));

/* t('count', {n: 5}) */
export function t(key, values = {}) {
  return (texts[lang][key] ?? texts.ko[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/* Fills in elements marked with data-text (their text) and data-label (their accessible name). */
export function translate(root) {
  for (const element of root.querySelectorAll('[data-text]')) element.textContent = t(element.dataset.text);
  for (const element of root.querySelectorAll('[data-label]')) element.setAttribute('aria-label', t(element.dataset.label));
}
