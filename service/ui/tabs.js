/** The row of tabs: one panel is shown at a time, and the address says which. */

/**
 * @param {HTMLElement} list With role "tablist".
 * @param {(name: string) => void} onShow
 */
export function startTabs(list, onShow) {
  const tabs = [...list.querySelectorAll('[role="tab"]')];
  const named = (name) => tabs.find((tab) => tab.getAttribute("aria-controls") === name) ?? tabs[0];

  const show = (shown) => {
    for (const tab of tabs) {
      const isShown = tab === shown;
      tab.setAttribute("aria-selected", String(isShown));
      tab.tabIndex = isShown ? 0 : -1;
      panelOf(tab).hidden = !isShown;
    }
    list.scrollLeft = shown.offsetLeft - (list.clientWidth - shown.offsetWidth) / 2;
    onShow(shown.getAttribute("aria-controls"));
  };

  for (const tab of tabs) {
    tab.addEventListener("click", () => {
      history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`); // following the link would move the focus
      show(tab);
    });
  }
  list.addEventListener("keydown", (event) => {
    const next = neighbour(tabs, event.key);
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.click();
  });
  window.addEventListener("hashchange", () => show(named(location.hash.slice(1))));
  show(named(location.hash.slice(1)));
}

const panelOf = (tab) => document.getElementById(tab.getAttribute("aria-controls"));

function neighbour(tabs, key) {
  const at = tabs.indexOf(document.activeElement);
  const places = { ArrowRight: at + 1, ArrowLeft: at - 1 + tabs.length, Home: 0, End: tabs.length - 1 };
  return key in places ? tabs[places[key] % tabs.length] : null;
}
