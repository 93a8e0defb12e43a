/* Search, folding, the map of a long prompt, sound, sorting, and pictures to take away. */
(() => {
const LITTLE = 0.05, FOLD_FROM = 8, MAPPED = 0.12;
const NAMESPACE = ["http:", "", "www.w3.org", "2000", "svg"].join("/");
const strength = element => Number(element.style.getPropertyValue("--strength"));

/* The strongest features one after the other, and those that hold a text. */
function search(root, page) {
  const tools = root.querySelector(".tools"), find = root.querySelector(".find");
  let at = -1;
  const step = by => {
    const found = find.value ? page.order.filter(entry => page.scores.names[entry].toLowerCase().includes(find.value.toLowerCase()))
      : page.order;
    if (!found.length) return;
    at = (at + by + found.length) % found.length;
    page.jump(found[at]);
  };
  tools.hidden = false;
  root.querySelector(".export").hidden = false;
  find.addEventListener("input", () => { at = -1; find.style.outlineColor = ""; });
  find.addEventListener("keydown", event => { if (event.key === "Enter") { event.preventDefault(); step(1); find.focus(); } });
  root.querySelector(".next").addEventListener("click", () => step(1));
  root.querySelector(".previous").addEventListener("click", () => step(-1));
  root.addEventListener("painted", () => { at = -1; });
  root.addEventListener("keydown", event => {
    if (event.target.matches("input")) return;
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
  });
}

/* Long runs of words that did little, behind a button each. */
function fold(root) {
  const box = root.querySelector("input.fold");
  const unfoldAll = () => {
    for (const button of root.querySelectorAll(".unfold")) button.remove();
    for (const hidden of root.querySelectorAll(".folded")) hidden.classList.remove("folded");
  };
  const close = run => {
    const words = run.filter(element => element.matches("mark")).length;
    if (words < FOLD_FROM) return;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "unfold" });
    button.textContent = `⋯ ${words}`;
    button.title = `${words} features that did little`;
    button.addEventListener("click", () => { run.forEach(element => element.classList.remove("folded")); button.remove(); });
    run[0].before(button);
    run.forEach(element => element.classList.add("folded"));
  };
  const update = () => {
    unfoldAll();
    if (box.checked) for (const turn of root.querySelectorAll(".turn")) {
      let run = [];
      for (const element of [...turn.children]) {
        const little = element.matches(".gap") || (element.matches("mark") && strength(element) < LITTLE);
        if (little) run.push(element);
        else { close(run); run = []; }
      }
      close(run);
    }
    root.dispatchEvent(new CustomEvent("folded"));
  };
  box.addEventListener("change", update);
  root.addEventListener("painted", () => { if (box.checked) update(); });
  root.addEventListener("unfold", event => {
    if (event.detail.classList.contains("folded")) { box.checked = false; update(); }
  });
}

/* Where in a long prompt the strong features are. Places are measured when the layout changes, not when colours do. */
function minimap(root) {
  const prompt = root.querySelector(".prompt"), marks = [...root.querySelectorAll(".prompt mark")];
  const map = document.createElement("div"), strip = map.appendChild(document.createElement("div"));
  let places = [];
  map.className = "minimap";
  map.setAttribute("aria-hidden", "true");
  prompt.append(map);
  const draw = () => {
    const strong = map.hidden ? [] : [...marks.keys()].filter(index => strength(marks[index]) > MAPPED);
    strip.replaceChildren(...strong.map(index => {
      const mark = marks[index], tick = document.createElement("a");
      tick.className = mark.classList.contains("against") ? "against" : "towards";
      tick.style.top = `${places[index]}%`;
      tick.style.setProperty("--strength", strength(mark));
      tick.addEventListener("click", () => root.page.jump(Number(mark.dataset.feature)));
      return tick;
    }));
  };
  const measure = () => {
    const whole = prompt.getBoundingClientRect();
    map.hidden = whole.height < 1.2 * window.innerHeight;
    places = marks.map(mark => 100 * (mark.getBoundingClientRect().top - whole.top) / whole.height);
    draw();
  };
  root.addEventListener("painted", draw);
  root.addEventListener("folded", measure);
  window.addEventListener("resize", measure);
  measure();
}

function media(root) {
  for (const area of root.querySelectorAll("[data-start]")) area.addEventListener("click", () => {
    const sound = area.closest("figure").querySelector("audio"), end = Number(area.dataset.end);
    sound.currentTime = Number(area.dataset.start);
    sound.ontimeupdate = () => { if (sound.currentTime >= end) { sound.pause(); sound.ontimeupdate = null; } };
    sound.play();
  });
  for (const sound of root.querySelectorAll("figure.clip audio")) {
    const head = sound.closest("figure").querySelector(".playhead");
    const follow = () => {
      const x = head.dataset.width * sound.currentTime / sound.duration || 0;
      head.setAttribute("x1", x);
      head.setAttribute("x2", x);
      head.style.visibility = sound.paused && !sound.currentTime ? "hidden" : "visible";
      if (!sound.paused) requestAnimationFrame(follow);
    };
    for (const event of ["play", "seeked", "pause"]) sound.addEventListener(event, follow);
  }
  root.querySelector(".heat")?.addEventListener("input", event => root.style.setProperty("--heat", event.target.value));
  root.querySelector(".outlines")?.addEventListener("change", event => root.classList.toggle("outlined", event.target.checked));
  const markups = root.querySelector(".markups");
  markups.hidden = !root.querySelector(".markup.gap");
  markups.querySelector("input").addEventListener("change", event => root.classList.toggle("markups", event.target.checked));
}

/* Sums over sources, roles and modalities follow what is selected. Their errors are known of the first selection alone. */
function totals(root, page) {
  const lines = [...root.querySelectorAll(".totals li")], parts = [...root.querySelectorAll(".shares span")];
  if (!lines.length && !parts.length) return;
  const [start, end] = [page.start, page.end], first = new Map([...lines, ...parts].map(one => [one, one.innerHTML]));
  const weights = new Map(parts.map(part => [part, part.style.getPropertyValue("--share")]));
  const sum = (element, of) => element.dataset.members.split(" ").reduce((total, member) => total + of(page.row.features[member]), 0);
  const again = () => {
    for (const [element, html] of first) element.innerHTML = html;
    for (const [part, share] of weights) part.style.setProperty("--share", share);
    for (const [list, zero] of zeros) list.style.setProperty("--zero", zero);
  };
  const zeros = new Map([...root.querySelectorAll(".totals")].map(list => [list, list.style.getPropertyValue("--zero")]));
  const fill = list => {
    const sums = [...list.children].map(line => sum(line, score => score)), { bound, numbers, track } = page.scaled(sums);
    list.style.setProperty("--zero", track.zero);
    [...list.children].forEach((line, index) => {
      line.querySelector(".score").textContent = numbers.signed(sums[index]);
      line.querySelector("s")?.remove();
      page.dress(line.querySelector("i"), track.width(sums[index] / bound), false);
    });
  };
  root.addEventListener("painted", () => {
    if (page.start === start && page.end === end) return again();
    root.querySelectorAll(".totals").forEach(fill);
    const sums = parts.map(part => sum(part, Math.abs)), whole = sums.reduce((total, one) => total + one, 0) || 1;
    parts.forEach((part, index) => {
      part.style.setProperty("--share", (sums[index] / whole).toFixed(4));
      part.querySelector("strong").textContent = `${Math.round(100 * sums[index] / whole)} %`;
    });
  });
}

/* The table of answers: sorted by a column, and narrowed to coalitions that hold a text. */
function answers(root) {
  const body = root.querySelector(".answers tbody"), heads = root.querySelectorAll(".answers th button");
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.dataset.down !== "1", of = line => line.cells[column];
    const order = (a, b) => "by" in of(a).dataset ? of(b).dataset.by - of(a).dataset.by
      : of(a).textContent.localeCompare(of(b).textContent);
    head.dataset.down = down ? "1" : "0";
    body.append(...[...body.rows].sort((a, b) => down ? order(a, b) : order(b, a)));
  }));
  root.querySelector(".narrow")?.addEventListener("input", event => {
    const wanted = event.target.value.toLowerCase();
    for (const line of body.rows) line.hidden = !line.textContent.toLowerCase().includes(wanted);
  });
}

/* The prompt as drawn, as an SVG of coloured boxes and text. */
function drawing(root) {
  const prompt = root.querySelector(".prompt"), frame = prompt.getBoundingClientRect(), style = getComputedStyle(prompt);
  const make = (tag, attributes, text = "") => {
    const element = document.createElementNS(NAMESPACE, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return element;
  };
  const svg = make("svg", { xmlns: NAMESPACE, width: frame.width, height: frame.height, viewBox: `0 0 ${frame.width} ${frame.height}` });
  svg.append(make("rect", { width: "100%", height: "100%", fill: getComputedStyle(root).backgroundColor }));
  for (const mark of root.querySelectorAll(".prompt mark:not(.folded)")) {
    const rgb = getComputedStyle(mark).getPropertyValue("--hue").trim().split(/\s+/).join(",");
    const opacity = strength(mark) * (mark.classList.contains("unsettled") ? .35 : .78);
    for (const box of mark.getClientRects()) svg.append(make("rect", { x: box.left - frame.left, y: box.top - frame.top,
      width: box.width, height: box.height, rx: 3, fill: `rgb(${rgb})`, "fill-opacity": opacity.toFixed(3) }));
  }
  const walker = document.createTreeWalker(prompt, NodeFilter.SHOW_TEXT), range = document.createRange();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.parentElement.closest("svg, audio, .minimap, .spectrum")) continue;
    const look = getComputedStyle(node.parentElement);
    for (const found of node.textContent.matchAll(/\S+/g)) {
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      const box = range.getBoundingClientRect();
      if (box.width) svg.append(make("text", { x: box.left - frame.left, y: box.bottom - frame.top - box.height * .22,
        "font-size": look.fontSize, "font-family": style.fontFamily, "font-weight": look.fontWeight, fill: look.color }, found[0]));
    }
  }
  for (const graphic of root.querySelectorAll(".prompt figure svg, .prompt > .arcs:not(.off)")) {
    const box = graphic.getBoundingClientRect(), copy = graphic.cloneNode(true);
    const from = [...graphic.querySelectorAll("*")];
    [...copy.querySelectorAll("*")].forEach((element, index) => {
      const look = getComputedStyle(from[index]);
      for (const name of ["fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-dasharray", "opacity", "filter", "font-size", "text-anchor"])
        element.setAttribute(name, look.getPropertyValue(name));
      element.removeAttribute("style");
    });
    for (const [name, value] of Object.entries({ x: box.left - frame.left, y: box.top - frame.top, width: box.width,
      height: box.height })) copy.setAttribute(name, value);
    svg.append(copy);
  }
  return svg;
}

function save(name, content, type) {
  const link = document.createElement("a");
  link.href = content instanceof Blob ? URL.createObjectURL(content) : URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function asPng(root) {
  const svg = drawing(root), image = new Image(), scale = 2;
  image.onload = () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: svg.getAttribute("width") * scale,
      height: svg.getAttribute("height") * scale });
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    context.drawImage(image, 0, 0);
    canvas.toBlob(blob => save("attribution.png", blob));
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(svg));
}

function asJson(page) {
  const { row, scores } = page, shown = { targets: scores.targets.slice(page.start, page.end), empty: row.empty, full: row.full };
  const features = row.features.reduce((list, score, entry) => [...list, { text: scores.names[entry], score,
    standard_error: row.errors ? row.error(entry) : null, at_most: row.atMost || undefined }], []);
  return JSON.stringify({ ...shown, features }, null, 1);
}

function asLatex(root) {
  const escaped = text => text.replace(/[\\{}$&#^_%~]/g, character => ({ "\\": "\\textbackslash{}", "^": "\\textasciicircum{}",
    "~": "\\textasciitilde{}" })[character] ?? "\\" + character).replaceAll("↵", "");
  const lines = [...root.querySelectorAll(".prompt mark, .prompt .gap:not(.markup)")].map(element => {
    if (!element.matches("mark")) return escaped(element.textContent);
    const share = Math.round(78 * strength(element)), side = element.classList.contains("against") ? "against" : "towards";
    return `\\colorbox{${side}!${share}}{\\strut ${escaped(element.textContent)}}`;
  });
  return "% \\usepackage{xcolor}\n\\definecolor{towards}{RGB}{206,58,46}\\definecolor{against}{RGB}{38,103,190}\n"
    + "{\\setlength{\\fboxsep}{0pt}\\raggedright\n" + lines.join("\\allowbreak ") + "\n}\n";
}

function exports(root, page) {
  const kinds = {
    png: () => asPng(root),
    svg: () => save("attribution.svg", new XMLSerializer().serializeToString(drawing(root)), "image/svg+xml"),
    json: () => save("attribution.json", asJson(page), "application/json"),
    tex: () => save("attribution.tex", asLatex(root), "text/x-tex"),
  };
  for (const button of root.querySelectorAll("[data-export]")) button.addEventListener("click", kinds[button.dataset.export]);
}

for (const root of document.querySelectorAll(".attribution.ready:not([data-tools])")) {
  root.dataset.tools = "";
  const head = () => root.style.setProperty("--below", `${root.querySelector(".answer").offsetHeight + 8}px`);
  search(root, root.page);
  fold(root);
  media(root);
  answers(root);
  totals(root, root.page);
  exports(root, root.page);
  minimap(root);
  head();
  window.addEventListener("resize", head);
}
})();
