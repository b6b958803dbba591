/* The categories with their names, and questions to the API beside InstantSearch's. */
import { keep, kept } from './memory.js';
import { lang } from './text.js';

const byPath = new Map(), topOfId = new Map(), pathOfNames = new Map();
export let departments = [];

/* What InstantSearch puts between the levels of a category. */
export const SEPARATOR = ' > ';

function remember(node, names, top) {
  const all = [...names, node.name];
  byPath.set(node.path, all);
  pathOfNames.set(all.join(SEPARATOR), node.path);
  topOfId.set(node.id, top);
  for (const child of node.children ?? []) remember(child, all, top);
}

export async function ask(path, parameters = {}, signal = undefined) {
  const reply = await fetch(`${path}?${new URLSearchParams({ ...parameters, lang })}`, { signal });
  if (!reply.ok) throw Object.assign(new Error(`${path}: ${reply.status}`), { status: reply.status });
  return reply.json();
}

function take(nodes) {
  nodes.forEach((node, index) => remember(node, [], index));
  departments = nodes;
}

/* The names as they were last seen are better than none: an address has the number of a category, a search its name. */
export async function loadCategories() {
  const key = `categories-${lang}`;
  try {
    const { nodes } = await ask('/v1/categories/tree');
    take(nodes);
    keep(key, JSON.stringify(nodes));
  } catch (error) {
    console.info('no fresh categories:', error.message);
    try {
      take(JSON.parse(kept(key) ?? '[]'));
    } catch {
      // what was kept is damaged: none, then
    }
  }
}

/* ["Computers", "Laptops"] of "1/4" and back; null if there is none. */
export const namesOfPath = (path) => byPath.get(path) ?? null;
export const pathOf = (names) => pathOfNames.get(names.join(SEPARATOR)) ?? null;
/* The department (0, 1, …) that a category is in, -1 if unknown. */
export const departmentOf = (id) => topOfId.get(id) ?? -1;
