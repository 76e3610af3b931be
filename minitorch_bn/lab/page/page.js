// Draws each figure of the data block with Plotly; buttons toggle its series and zoom, so that no mouse is needed.
"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement, shown = new Map();
  const palettes = {light: ["#0b62b0", "#c2410c", "#15803d", "#7e3fb5", "#a16207", "#0e7490", "#be185d", "#525866"],
                    dark: ["#6cb2ff", "#ff9d5c", "#6fd58e", "#c9a2ff", "#f0c75a", "#5fd3e6", "#ff8fc0", "#b7bdc8"]};
  const dashes = ["solid", "dash", "dot", "dashdot"], symbols = ["circle", "square", "diamond", "triangle-up", "x", "cross"];
  const borders = ["solid", "dashed", "dotted", "dashed"];
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const css = name => getComputedStyle(root).getPropertyValue(name).trim();
  const color = i => palettes[dark() ? "dark" : "light"][i % 8];
  const number = v => v === null ? "none" : Math.abs(v) >= 1e5 || (v && Math.abs(v) < 1e-3) ? v.toExponential(2)
    : String(+v.toPrecision(4));

  function traces(key) {
    const figure = figures[key], found = [], told = v => figure.percent ? (100 * v).toFixed(1) + " %" : number(v);
    figure.series.forEach((s, i) => {
      const visible = shown.get(key)[i];
      const text = s.y.map((y, k) => y === null ? "" : `${s.label}<br>${figure.x}: ${typeof s.x[k] === "number" ? number(s.x[k])
        : s.x[k]}<br>${told(y)} ± ${told(s.spread[k])}`);
      const logY = figure.log.includes("y"), drawn = s.y.map(y => logY && y <= 0 ? null : y);  // log 0 is no place
      const both = {x: s.x, y: drawn, name: s.label, visible, text, textposition: "none", hoverinfo: "text", meta: i};
      if (figure.kind === "bars") {
        found.push({...both, type: "bar", marker: {color: color(i)}, error_y: {array: s.spread, color: css("--soft"), thickness: 1}});
        return;
      }
      const at = s.x.map((_, k) => k).filter(k => drawn[k] !== null);
      const low = at.map(k => s.y[k] - s.spread[k]), high = at.map(k => s.y[k] + s.spread[k]);
      if (logY) at.forEach((k, j) => { low[j] = Math.max(low[j], s.y[k] / 4); });
      const x = at.map(k => s.x[k]);
      if (s.spread.some(v => v > 0)) found.push({x: [...x, ...x.slice().reverse()], y: [...high, ...low.reverse()], visible,
        meta: i, type: "scatter", mode: "lines", fill: "toself", fillcolor: color(i) + "26", line: {width: 0}, hoverinfo: "skip"});
      found.push({...both, type: "scatter", mode: s.x.length > 40 ? "lines" : "lines+markers",
        line: {color: color(i), width: 2, dash: dashes[i % 4]}, marker: {symbol: symbols[i % 6], size: 6, color: color(i)}});
    });
    return found;
  }

  function layout(key) {
    const figure = figures[key], narrow = innerWidth < 640;
    // A logarithmic axis has a tick at each of a few x values; else at each power of ten, where there are several.
    const ticks = (values, log) => {
      const found = log ? [...new Set(values)].filter(v => v > 0).sort((a, b) => a - b) : [];
      if (found.length === 0) return {};
      return found.length <= 9 ? {tickvals: found, ticktext: found.map(number)} : found[found.length - 1] > 30 * found[0]
        ? {dtick: 1} : {};
    };
    const axis = (title, log, values) => ({title: {text: title, font: {size: 12}, standoff: 8}, type: log ? "log" : undefined,
      gridcolor: css("--line"), zeroline: false, linecolor: css("--soft"), automargin: true, exponentformat: "power",
      ...ticks(values, log)});
    const y = axis(figure.y, figure.log.includes("y"), figure.series.flatMap(s => s.y));
    if (figure.percent) y.tickformat = ".0%";
    if (figure.percent && !figure.log.includes("y")) y.rangemode = "tozero";
    return {xaxis: axis(figure.x, figure.log.includes("x"), figure.series.flatMap(s => s.x)), yaxis: y, margin: {l: narrow ? 44 : 56, r: 12, t: 8, b: 44},
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {color: css("--ink"), size: 12,
      family: "system-ui, sans-serif"}, showlegend: false, hovermode: "closest", barmode: "group",
      hoverlabel: {bgcolor: css("--box"), bordercolor: css("--soft"), font: {color: css("--ink")}},
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", uirevision: key};
  }

  const chart = key => document.querySelector(`[id="${key}"] .chart`);
  const draw = key => {
    document.querySelectorAll(`[id="${key}"] .series`).forEach((button, i) => {
      const bars = figures[key].kind === "bars", swatch = button.firstChild;
      swatch.style.borderTop = `${bars ? 10 : 3}px ${bars ? "solid" : borders[i % 4]} ${color(i)}`;
    });
    return Plotly.react(chart(key), traces(key), layout(key), {responsive: true, displayModeBar: false, displaylogo: false});
  };

  function save(name, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "application/json"}));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function zoom(key, factor) {
    const div = chart(key), change = {};
    for (const name of ["xaxis", "yaxis"]) {
      const axis = div._fullLayout[name];
      if (axis.type === "category") continue;
      const [a, b] = axis.range, middle = (a + b) / 2, half = (b - a) / 2 * factor;
      change[name + ".range"] = [middle - half, middle + half];
    }
    Plotly.relayout(div, change);
  }

  document.addEventListener("click", event => {
    const button = event.target.closest("figure button");
    if (!button) return;
    const key = button.closest("figure").id, what = button.dataset.do;
    if (what === "json") return save(key + ".json", JSON.stringify(figures[key], null, 1));
    if (!window.Plotly) return;
    if (button.dataset.series !== undefined) {
      const i = +button.dataset.series, on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", on);
      shown.get(key)[i] = on;
      draw(key);
    } else if (what === "png") Plotly.downloadImage(chart(key), {format: "png", scale: 2, filename: key});
    else if (what === "reset") Plotly.relayout(chart(key), {"xaxis.autorange": true, "yaxis.autorange": true});
    else zoom(key, what === "in" ? 0.6 : 1 / 0.6);
  });

  const keys = Object.keys(figures);
  keys.forEach(key => shown.set(key, figures[key].series.map(() => true)));
  const redraw = () => window.Plotly && keys.forEach(key => chart(key).classList.contains("drawn") && draw(key));
  document.getElementById("theme").addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; redraw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  if (!window.Plotly) { document.querySelectorAll(".chart, .legend, .tools").forEach(part => part.remove()); return; }
  const waiting = keys.slice(), next = () => {  // one at a time: the page can be read meanwhile
    const key = waiting.shift();
    if (key === undefined) { root.dataset.ready = "true"; return; }
    draw(key).then(() => { chart(key).classList.add("drawn"); setTimeout(next); });
  };
  next();
})();
