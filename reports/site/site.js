"use strict";
// Without this file everything is there, one table below the other, unsorted.

function sortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.append(button);
    button.addEventListener("click", () => {
      const isNumber = head.classList.contains("number");
      const before = head.getAttribute("aria-sort");
      const direction = before === "ascending" ? "descending" : "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction);
      const sign = direction === "ascending" ? 1 : -1;
      const key = (row) => {
        const cell = row.cells[column];
        const text = cell.dataset.value ?? cell.textContent.trim();
        return isNumber ? Number.parseFloat(text) : text;
      };
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => {
        if (!isNumber) return sign * a.localeCompare(b, "en");
        // what has no number stays last, whichever way
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
        return sign * (a - b);
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}

function tabs(list) {
  const links = [...list.querySelectorAll("a")];
  const panels = links.map((link) => document.getElementById(link.hash.slice(1)));
  const show = (wanted) => {
    links.forEach((link, i) => {
      link.setAttribute("aria-current", String(i === wanted));
      panels[i].hidden = i !== wanted;
    });
  };
  const chosen = () => panels.findIndex((panel) => `#${panel.id}` === location.hash);
  links.forEach((link, i) => {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      history.replaceState(null, "", link.hash);
      show(i);
    });
  });
  window.addEventListener("hashchange", () => {
    if (chosen() >= 0) show(chosen());
  });
  show(Math.max(0, chosen()));
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".tabs").forEach(tabs);
