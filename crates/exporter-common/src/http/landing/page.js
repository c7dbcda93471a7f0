// Searches the table and draws it live; without this script it is a plain table.
const INTERVAL = 5000; // milliseconds from one response to the next request
const MAX_POINTS = 60; // points of a graph
const table = document.querySelector("table");

if (table) {
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Search names, labels and help texts";
  search.setAttribute("aria-label", search.placeholder);
  const watch = document.createElement("button");
  watch.type = "button";
  watch.textContent = "Live graphs";
  const tools = document.createElement("div");
  tools.className = "tools";
  tools.append(search, watch);
  table.before(tools);

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
    updateUrl();
  };
  // The URL contains the search and whether the graphs are live, so that both survive a reload.
  const updateUrl = () => {
    const hash = search.value.trim() ? "#" + encodeURIComponent(search.value) : "";
    history.replaceState(null, "", location.pathname + (timer === null ? "" : "?live") + hash);
  };

  // Every series of a page by its family's name and its labels.
  const read = (page) => {
    const found = new Map();
    for (const body of page.querySelectorAll("tbody")) {
      const head = body.rows[0].cells[0];
      const name = head.querySelector(".name").textContent;
      const counts = head.querySelector(".type").textContent === "counter";
      for (const row of [...body.rows].slice(1).filter((row) => row.cells.length === 3)) {
        found.set(name + "\n" + row.cells[0].textContent, { row, name, counts, exactly: parseFloat(row.cells[2].textContent) });
      }
    }
    return found;
  };
  const graphs = read(document);
  let requested = performance.now();
  for (const graph of graphs.values()) graph.points = graph.counts ? [] : [graph.exactly];

  // A counter is drawn as its increase per second, since its value alone says little.
  const step = (graph, other, seconds) => {
    const [, value, exactly] = graph.row.cells;
    if (!other) {
      value.lastChild.textContent = exactly.textContent = "–";
      graph.exactly = NaN;
    } else {
      value.lastChild.textContent = other.row.cells[1].textContent;
      exactly.textContent = other.row.cells[2].textContent;
    }
    const now = other ? other.exactly : NaN;
    graph.points.push(graph.counts ? (now - graph.exactly) / seconds : now);
    if (graph.points.length > MAX_POINTS) graph.points.shift();
    graph.exactly = now;
    draw(graph);
  };
  // A number with the unit of the metric's name; of a counter, its increase per second.
  const brief = ({ name, counts }, number) => {
    const unit = /_(seconds)(_total)?$/.exec(name)?.[1] ?? /_(bytes)(_|$)/.exec(name)?.[1];
    const units = { bytes: ["B", "KiB", "MiB", "GiB", "TiB"], seconds: ["s"] }[unit] ?? [""];
    let at = 0;
    for (; Math.abs(number) >= 1024 && at + 1 < units.length; at++) number /= 1024;
    const digits = { maximumSignificantDigits: counts ? 3 : 6 };
    return (number.toLocaleString("en", digits) + " " + units[at]).trim() + (counts ? "/s" : "");
  };
  const draw = (graph) => {
    const known = graph.points.filter(Number.isFinite);
    if (known.length < 2) return;
    const low = Math.min(...known), high = Math.max(...known);
    const points = graph.points.flatMap((point, at) => {
      const x = (at * 100) / (graph.points.length - 1);
      const y = high > low ? 19 - ((point - low) * 18) / (high - low) : 10;
      return Number.isFinite(point) ? [x.toFixed(1) + "," + y.toFixed(1)] : [];
    });
    if (!graph.line) {
      const svg = '<svg class="graph" viewBox="0 0 100 20" preserveAspectRatio="none"><title/><polyline/>';
      const made = new DOMParser().parseFromString(svg, "text/html").querySelector("svg");
      graph.title = made.querySelector("title");
      graph.line = made.querySelector("polyline");
      const span = (className) => Object.assign(document.createElement("span"), { className });
      const value = graph.row.cells[1], now = span("now");
      graph.rate = span("rate");
      now.append(...value.childNodes);
      value.append(made, graph.rate, now);
    }
    graph.line.setAttribute("points", points.join(" "));
    const now = graph.points.at(-1);
    if (graph.counts) graph.rate.textContent = Number.isFinite(now) ? brief(graph, now) : "";
    const [last, from, to] = [known.at(-1), low, high].map((number) => brief(graph, number));
    graph.title.textContent = "now " + last + ", from " + from + " to " + to;
  };

  // Only while the page is visible: each request causes a scrape.
  let timer = null;
  const update = async () => {
    const turn = timer;
    if (!document.hidden) {
      const started = performance.now();
      try {
        const response = await fetch(location.pathname, { cache: "no-store" });
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        if (!response.ok || !page.querySelector("table")) throw new Error(response.statusText);
        const found = read(page);
        for (const [key, graph] of graphs) step(graph, found.get(key), (started - requested) / 1000);
        requested = started;
        const [states, fresh] = [document, page].map((page) => page.querySelector(".states"));
        if (states && fresh) states.replaceWith(fresh);
        watch.classList.remove("failed");
      } catch {
        watch.classList.add("failed"); // the next request may succeed
      }
    }
    if (timer === turn) timer = setTimeout(update, INTERVAL); // unless the graphs were turned off in the meantime
  };
  const toggle = () => {
    clearTimeout(timer);
    timer = timer === null ? setTimeout(update, INTERVAL) : null;
    watch.setAttribute("aria-pressed", String(timer !== null));
    updateUrl();
  };
  watch.addEventListener("click", toggle);
  search.addEventListener("input", filter);
  try { search.value = decodeURIComponent(location.hash.slice(1)); } catch { search.value = ""; }
  if (location.search === "?live") toggle();
  if (search.value) filter();
}
