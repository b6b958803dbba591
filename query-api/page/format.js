/* Numbers and prices as the reader's language writes them. */
import { lang, t } from './text.js';

const locale = lang === 'ko' ? 'ko-KR' : 'en-US';
const formats = new Map();

export const number = (value) => value.toLocaleString(locale);

let usual = 'KRW';
/* What a price without a product is in, as one to filter by. */
export const setCurrency = (currency) => { usual = currency; };

/* amount: in the currency's smallest unit. A product may have no price. */
export function money(amount, currency = usual) {
  if (!Number.isFinite(amount)) return '';
  if (!formats.has(currency)) {
    try {
      formats.set(currency, new Intl.NumberFormat(locale, { style: 'currency', currency }));
    } catch {
      return `${number(amount)} ${currency}`; // no ISO 4217 code
    }
  }
  const format = formats.get(currency);
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

export function priceRange({ min, max }, currency) {
  return min === max ? money(min, currency) : t('from', { price: money(min, currency) });
}
