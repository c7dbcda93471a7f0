// Draws the state of the demo every second, and starts and stops drills.
const INTERVAL = 1000; // milliseconds
const SVG = "http://www.w3.org/2000/svg";

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const link = (href, text) => element("a", { href, textContent: text });
const find = (id) => document.getElementById(id);

const brief = (number) => {
  const digits = Math.abs(number) >= 100 ? 0 : Math.abs(number) >= 10 ? 1 : 2;
  return number.toLocaleString("en", { maximumFractionDigits: digits });
};

// A counter is drawn as its increase per second, averaged over five seconds.
const rates = (points, window = 5) =>
  points.slice(window).map((now, at) => (now === null || points[at] === null || now < points[at] ? null : (now - points[at]) / window));

const graph = ({ name, counter, points }) => {
  const drawn = counter ? rates(points) : points;
  const known = drawn.filter((point) => point !== null);
  const now = drawn.length ? drawn[drawn.length - 1] : null;
  const high = Math.max(...known, 0) || 1;
  const line = document.createElementNS(SVG, "polyline");
  const place = (point, at) => (point === null ? [] : [(at * 120) / Math.max(drawn.length - 1, 1) + "," + (39 - (38 * point) / high)]);
  line.setAttribute("points", drawn.flatMap(place).join(" "));
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 120 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.append(line);
  const value = element("b", { textContent: now === null ? "–" : brief(now) });
  return element("div", { className: "graph" }, element("span", { textContent: name + (counter ? " per second" : "") }), value, svg);
};

const card = (part) => {
  const head = element("h3", { textContent: part.name }, element("span", { className: "state", textContent: part.state }));
  const usage = part.cpu === null ? "–" : brief(part.cpu) + " % CPU, " + brief(part.memory / 1e6) + " MB";
  const links = part.links.map((url) => link(url, new URL(url).pathname === "/" ? "Page" : new URL(url).pathname));
  if (part.metrics && !part.links.includes(part.metrics)) links.push(link(part.metrics, "Metrics"));
  const className = part.state === "running" ? "card" : "card broken";
  return element("article", { className }, head, element("nav", {}, ...links), element("p", { textContent: usage }), ...part.graphs.map(graph));
};

const alertRow = ({ name, state, summary }) =>
  element(
    "tr",
    {},
    element("td", { className: state, textContent: state }),
    element("td", { textContent: name }),
    element("td", { textContent: summary }),
  );

// The buttons stay the same elements, so that they keep the focus.
const buttons = new Map();
const drillRow = ({ name, fault, alert }) => {
  const button = element("button", { type: "button", onclick: () => order(name, button) });
  buttons.set(name, button);
  return element("li", {}, element("span", { textContent: fault }, element("small", { textContent: "Fires " + alert + "." })), button);
};
const order = async (name, button) => {
  const action = button.getAttribute("aria-pressed") === "true" ? "stop" : "start";
  button.disabled = true;
  try {
    await fetch("drills/" + name + "/" + action, { method: "POST", headers: { "x-demo": "1" } });
    button.textContent = "…"; // until the next update
  } finally {
    button.disabled = false;
  }
};

const show = ({ parts, drills, alerts, prometheus }) => {
  const isExporter = (part) => part.name.endsWith("-exporter");
  find("exporters").replaceChildren(...parts.filter(isExporter).map(card));
  find("others").replaceChildren(...parts.filter((part) => !isExporter(part)).map(card));
  find("alerts").tBodies[0].replaceChildren(...alerts.map(alertRow));
  find("alerts").hidden = alerts.length === 0;
  find("no-alerts").hidden = alerts.length > 0;
  if (buttons.size === 0) find("drills").append(...drills.map(drillRow));
  for (const { name, running } of drills) {
    const button = buttons.get(name);
    button.textContent = running ? "Stop" : "Start";
    button.setAttribute("aria-pressed", String(running));
  }
  const about = prometheus
    ? ["Prometheus evaluates the alerts: ", link(prometheus, prometheus)]
    : ["Prometheus is not installed. Alerts are shown only for exporters that do not respond or fail."];
  if (!find("prometheus").hasChildNodes()) find("prometheus").append(...about);
  // The window's width, and how far the page is wider, in pixels; for tests.
  const { scrollWidth, clientWidth, dataset } = document.documentElement;
  Object.assign(dataset, { width: innerWidth, overflow: scrollWidth - clientWidth });
};

const update = async () => {
  try {
    const response = await fetch("state", { cache: "no-store" });
    const state = await response.json();
    if (state) show(state);
    find("stale").hidden = true;
  } catch {
    find("stale").hidden = false;
  }
};
const loop = async () => {
  if (!document.hidden) await update();
  setTimeout(loop, INTERVAL);
};
loop();
