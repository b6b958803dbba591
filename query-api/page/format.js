/* Numbers and prices as the reader's language writes them. */
import { lang, t } from './text.js';

const locale = lang === 'ko' ? 'ko-KR' : 'en-US';
const formats = new Map();

export const number = (value) => value.toLocaleString(locale);

/* amount: in the currency's smallest unit. */
export function money(amount, currency = 'KRW') {
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
