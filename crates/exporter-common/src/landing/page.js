// Filters the table by what is typed; without this script it is a plain table.
const table = document.querySelector("table");
if (table) {
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Search names, labels and help texts";
  search.setAttribute("aria-label", search.placeholder);
  table.before(search);
  const families = [...table.tBodies].map((body) => {
    const rows = [...body.rows].slice(1).map((row) => ({ row, text: row.textContent.toLowerCase() }));
    return { body, head: body.rows[0].textContent.toLowerCase(), rows };
  });
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { body, head, rows } of families) {
      let shown = 0;
      for (const { row, text } of rows) {
        row.hidden = !words.every((word) => head.includes(word) || text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      body.hidden = shown === 0;
    }
    history.replaceState(null, "", words.length ? "#" + encodeURIComponent(search.value) : location.pathname);
  };
  search.addEventListener("input", filter);
  try { search.value = decodeURIComponent(location.hash.slice(1)); } catch { search.value = ""; }
  if (search.value) filter();
}
