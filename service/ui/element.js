/**
 * Make an element. Attributes that begin with "on" are listeners; null and false leave an attribute out.
 * @param {string} tag
 * @param {Object<string, unknown>} [attributes]
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/**
 * The same for SVG.
 * @param {string} tag
 * @param {Object<string, unknown>} [attributes]
 * @param {...(Node|string)} children
 * @returns {SVGElement}
 */
export function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/**
 * An element of a panel by its data-role.
 * @param {ParentNode} panel
 * @param {string} role
 * @returns {HTMLElement}
 */
export const part = (panel, role) => panel.querySelector(`[data-role="${role}"]`);

/**
 * The fields of a panel's form, by their names.
 * @param {HTMLElement} panel
 * @returns {(name: string) => HTMLInputElement}
 */
export const fieldsOf = (panel) => (name) => part(panel, "form").elements.namedItem(name);
