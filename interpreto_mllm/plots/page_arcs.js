"use strict";
/* Arcs over the prompt between features that act together, one for each line of the list of pairs. */
(() => {
const SVG = "http://www.w3.org/2000/svg", HIGHEST = 56, NEAR = 4;

class Arcs {
  constructor(root) {
    this.prompt = root.querySelector(".prompt");
    this.pairs = [...root.querySelectorAll(".pairs [data-pair]")];
    this.sheet = document.createElementNS(SVG, "svg");
    this.sheet.classList.add("arcs");
    this.sheet.setAttribute("aria-hidden", "true");
    this.prompt.append(this.sheet);
    const box = root.querySelector(".link");
    box.closest("label").hidden = false;
    box.addEventListener("change", () => this.sheet.classList.toggle("off", !box.checked));
    for (const pair of this.pairs) {
      for (const [event, on] of [["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false]]) {
        pair.addEventListener(event, () => this.light(pair, on));
      }
      pair.addEventListener("click", () => this.place(pair.dataset.first)?.scrollIntoView({ block: "center" }));
    }
    new ResizeObserver(() => this.draw()).observe(this.prompt);
    this.prompt.addEventListener("toggle", () => this.draw(), true);
    this.prompt.addEventListener("scroll", () => this.draw(), true);
    this.draw();
  }

  /* Where a feature is shown; none while it is folded away. */
  place(feature) {
    return [...this.prompt.querySelectorAll(`[data-feature="${feature}"]`)].find(one => one.getClientRects().length);
  }

  end(feature) {
    const place = this.place(feature);
    if (!place) return null;
    const around = this.prompt.getBoundingClientRect(), box = place.getClientRects()[0], word = place.tagName === "MARK";
    const figure = place.closest("figure")?.getBoundingClientRect(), middle = box.x + box.width / 2;
    if (figure && (middle < figure.left || middle > figure.right)) return null;  // scrolled out of sight
    return { x: box.x + box.width / 2 - around.x, y: box.y + (word ? 2 : box.height / 2) - around.y, word };
  }

  draw() {
    this.sheet.style.width = this.sheet.style.height = "0";  // its own size is no part of what it has to cover
    const { scrollWidth, scrollHeight } = this.prompt;
    this.sheet.setAttribute("viewBox", `0 0 ${scrollWidth} ${scrollHeight}`);
    this.sheet.style.width = `${scrollWidth}px`;
    this.sheet.style.height = `${scrollHeight}px`;
    this.sheet.replaceChildren(...this.pairs.flatMap(pair => this.arc(pair)));
  }

  arc(pair) {
    const [from, to] = [this.end(pair.dataset.first), this.end(pair.dataset.second)];
    if (!from || !to) return [];
    const path = document.createElementNS(SVG, "path"), title = document.createElementNS(SVG, "title");
    const level = from.word === to.word && Math.abs(from.y - to.y) < NEAR;
    const rise = level ? Math.min(HIGHEST, 10 + 0.22 * Math.abs(to.x - from.x)) : 0, aside = level ? 0 : 26;
    path.setAttribute("d", `M ${from.x} ${from.y} C ${from.x + aside} ${from.y - rise}, ${to.x + aside} ${to.y - rise}, ${to.x} ${to.y}`);
    path.setAttribute("class", pair.dataset.sign);
    path.style.setProperty("--strength", pair.dataset.strength);
    path.dataset.of = pair.dataset.pair;
    title.textContent = pair.textContent.trim();
    path.append(title);
    return [path];
  }

  light(pair, on) {
    this.sheet.classList.toggle("one", on);
    this.sheet.querySelector(`[data-of="${pair.dataset.pair}"]`)?.classList.toggle("lit", on);
  }
}

for (const root of document.querySelectorAll(".attribution:not(.linked)")) {
  if (!root.querySelector(".pairs [data-pair]")) continue;
  root.classList.add("linked");
  new Arcs(root);
}
})();
