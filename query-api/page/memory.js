/* What the browser keeps for this page. Storage may be forbidden or full; then nothing is kept. */

export function kept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // then the next page asks again
  }
}
