"use strict";
/* What a page of scores does when somebody picks a part of the answer or of the prompt. */
(() => {
const QUANTILE = 1.96, SHOWN = 12, LONGEST = 3;

const unpacked = (text, Type) => text === null ? null
  : new Type(Uint8Array.from(atob(text), character => character.charCodeAt(0)).buffer);
const strongestOf = values => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const visible = text => text.trim().replaceAll("\n", "↵") || "␣";

/* Numbers with as many decimals as three digits of the largest one need, as the server side writes them. */
class NumberScale {
  constructor(bound) {
    this.bound = bound;
    this.decimals = bound > 0 && isFinite(bound) ? Math.max(0, 2 - Math.floor(Math.log10(bound))) : 0;
  }
  plain(value) {
    if (value === null || !isFinite(value)) return "?";
    if (this.decimals > 6) {
      return `${(value / this.bound).toFixed(2)} × ${this.bound.toExponential(2)}`.replaceAll("-", "−");
    }
    const text = value.toLocaleString("en", { minimumFractionDigits: this.decimals, maximumFractionDigits: this.decimals });
    return /[1-9]/.test(text) ? text.replace("-", "−") : text.replace("-", "");
  }
  /* A standard error, or what it is below where it would read as zero. */
  error(value) {
    const text = this.plain(value);
    return value > 0 && this.decimals <= 6 && !/[1-9]/.test(text) ? "<" + (10 ** -this.decimals).toFixed(this.decimals) : text;
  }
  signed(value) {
    const text = this.plain(value);
    return value > 0 && /[1-9]/.test(text) ? "+" + text : text;
  }
}

/* The scores of one target or span, entry by entry: features, then sums of features that overlap. */
class Row {
  constructor(label, scores, errors, empty, full, overlaps, atMost = false) {
    Object.assign(this, { label, errors, empty, full, atMost });
    this.features = scores;
    this.scores = [...scores, ...overlaps.map(cover => cover.reduce((sum, feature) => sum + scores[feature], 0))];
    this.bound = strongestOf(this.scores);
    this.certain = !errors || errors.every(error => error === 0);
  }
  error(entry) { return this.errors && entry < this.errors.length ? this.errors[entry] : 0; }
  open(entry) {
    return !this.certain && entry < this.features.length && !(Math.abs(this.scores[entry]) > QUANTILE * this.error(entry));
  }
  text(entry, scale) {
    const error = this.error(entry), shown = scale.error(error), most = this.atMost && !shown.startsWith("<") ? " ≤" : "";
    return scale.signed(this.scores[entry]) + (error === 0 ? "" : ` ±${most} ${shown}`);
  }
}

class Scores {
  constructor(data) {
    Object.assign(this, data);
    this.t = data.targets.length;
    this.table = unpacked(data.scores, Float64Array);
    this.deviations = unpacked(data.errors, Float32Array);
    this.rows = data.targets.map((label, target) => this.row(label, target));
    this.bound = Math.max(...this.rows.map(row => row.bound));
    this.known = new Map(data.spans.map(span => [`${span.start} ${span.end}`, this.span(span)]));
  }
  slice(table, target) { return table && table.subarray(target * this.n, (target + 1) * this.n); }
  row(label, target) {
    const [scores, errors] = [this.table, this.deviations].map(table => this.slice(table, target));
    return new Row(label, scores, errors, this.empty[target], this.full[target], this.overlaps);
  }
  span(found) {
    const label = this.targets.slice(found.start, found.end).join("");
    const errors = unpacked(found.errors, Float32Array);
    return new Row(label, unpacked(found.scores, Float64Array), errors, found.empty[0], found.full[0], this.overlaps);
  }
  /* Targets start to end, end excluded; undefined where their scores are not known. */
  of(start, end) {
    if (end - start === 1) return this.rows[start];
    const key = `${start} ${end}`;
    if (!this.known.has(key) && this.additive) this.known.set(key, this.sum(start, end));
    return this.known.get(key);
  }
  /* Standard errors of a sum are at most the sum of the standard errors. */
  sum(start, end) {
    const rows = this.rows.slice(start, end), total = of => rows.reduce((sum, row) => sum + of(row), 0);
    const scores = Float64Array.from({ length: this.n }, (_, feature) => total(row => row.features[feature]));
    const errors = this.deviations && Float32Array.from({ length: this.n }, (_, feature) => total(row => row.errors[feature]));
    const label = this.targets.slice(start, end).join("");
    return new Row(label, scores, errors, total(row => row.empty), total(row => row.full), this.overlaps, true);
  }
}

/* The scale of the bars of a list, which leaves no room for a sign that none of them has. */
class Track {
  constructor(bars) {
    const ends = [0, ...bars.flatMap(([share, half]) => [share - half, share + half])];
    [this.low, this.high] = [Math.max(Math.min(...ends), -LONGEST), Math.min(Math.max(...ends), LONGEST)];
    if (!(this.high > this.low)) this.high = 1;
  }
  get zero() { return (-this.low / (this.high - this.low)).toFixed(3); }
  width(share) { return share / (this.high - this.low); }
  place(share) { return (Math.min(Math.max(share, this.low), this.high) / (this.high - this.low)).toFixed(3); }
}

class Page {
  constructor(root) {
    this.root = root;
    this.scores = new Scores(JSON.parse(root.querySelector("script[type='application/json']").textContent));
    this.tokens = [...root.querySelectorAll(".target")];
    this.whole = root.querySelector(".whole");
    this.places = new Map();
    for (const place of root.querySelectorAll("[data-feature]")) {
      const entry = Number(place.dataset.feature);
      this.places.set(entry, [...(this.places.get(entry) ?? []), place]);
    }
    this.all = false;
    this.weigh();
    this.listen();
    this.select(0, this.whole ? this.scores.t : 1);
  }

  get running() { return this.scores.unit === "token"; }
  get isWhole() { return this.whole && this.start === 0 && this.end === this.scores.t; }

  /* How much the prompt does to each token, as the line under it. */
  weigh() {
    if (!this.running) return;
    const sums = this.scores.rows.map(row => row.features.reduce((sum, score) => sum + Math.abs(score), 0));
    const most = strongestOf(sums) || 1;
    this.tokens.forEach((token, target) => {
      token.style.setProperty("--weight", (sums[target] / most).toFixed(3));
      token.title = `Σ|φ| ${new NumberScale(most).plain(sums[target])}`;
    });
  }

  select(start, end) {
    let row = this.scores.of(start, end);
    const missing = row ? null : [start, end];
    if (!row) { [start, end] = [end - 1, end]; row = this.scores.of(start, end); }
    Object.assign(this, { start, end, row, picked: null });
    this.bound = end - start === 1 && this.running ? this.scores.bound : row.bound;
    this.scale = new NumberScale(this.bound);
    this.tokens.forEach((token, target) => token.setAttribute("aria-pressed", target >= start && target < end));
    this.root.querySelector(".targets").classList.toggle("partial", this.scores.t > 1 && !this.isWhole);
    this.whole?.setAttribute("aria-pressed", Boolean(this.isWhole));
    this.paint();
    this.report();
    if (missing) this.subject(`only “${visible(row.label)}”: the page has no scores of this span, span(${missing.join(", ")}) has`);
    this.list();
    this.root.dispatchEvent(new CustomEvent("painted"));
  }

  /* How the values of a list are written, and how long their bars are. */
  scaled(values) {
    const bound = strongestOf(values) || 1;
    return { bound, numbers: new NumberScale(bound), track: new Track(values.map(value => [value / bound, 0])) };
  }

  share(score) { return this.bound ? score / this.bound : 0; }

  dress(element, share, open) {
    element.classList.toggle("against", share < 0);
    element.classList.toggle("towards", share >= 0);
    element.classList.toggle("unsettled", open);
    const strength = Math.min(1, Math.abs(share)).toFixed(3);
    if (element.style.getPropertyValue("--strength") !== strength) element.style.setProperty("--strength", strength);
  }

  paint() {
    for (const [entry, places] of this.places) {
      const share = this.share(this.row.scores[entry]), open = this.row.open(entry);
      for (const place of places) {
        this.dress(place, share, open);
        place.classList.remove("picked");
      }
    }
    for (const token of this.tokens) { token.style.removeProperty("--strength"); token.classList.remove("against", "towards"); }
  }

  /* The score of what the pointer is on; written only then, since a prompt may have thousands of words. */
  name(place) {
    const entry = Number(place.dataset.feature), text = this.row.text(entry, this.scale), title = place.querySelector("title");
    if (title) title.textContent = `${this.scores.names[entry]}  ${text}`;
    else place.title = text;
  }

  /* The other way round: what one feature did to each target. */
  pick(entry) {
    if (this.picked === entry || this.scores.t === 1) return this.select(this.start, this.end);
    const column = this.scores.rows.map(row => row.scores[entry]);
    this.paint();
    this.picked = entry;
    this.places.get(entry)?.forEach(place => place.classList.add("picked"));
    this.root.querySelector(".targets").classList.remove("partial");
    const bound = this.scores.bound || 1;
    this.tokens.forEach((token, target) => this.dress(token, column[target] / bound, false));
    this.subject(`what “${visible(this.scores.names[entry])}” did to each ${this.running ? "token" : "target"} · Esc: back`);
  }

  subject(text) { this.root.querySelector(".subject").textContent = text; }

  report() {
    const { row } = this, ends = new NumberScale(Math.max(Math.abs(row.empty ?? 0), Math.abs(row.full ?? 0)));
    const [low, high] = this.root.querySelectorAll(".legend span");
    [low.textContent, high.textContent] = ["−" + this.scale.plain(this.bound), "+" + this.scale.plain(this.bound)];
    this.root.querySelector(".ends").textContent = `v(∅) ${ends.plain(row.empty)} → v(N) ${ends.plain(row.full)}`;
    this.root.querySelector(".sum").textContent = "Σ " + this.scale.signed(row.features.reduce((sum, score) => sum + score, 0));
    this.subject(this.scores.t === 1 || this.isWhole ? "" : `“${visible(row.label)}”`);
  }

  /* Half the width of an interval, as a share of the scale. */
  half(entry) { return this.bound && isFinite(this.row.error(entry)) ? QUANTILE * this.row.error(entry) / this.bound : 0; }

  get order() {
    const entries = [...this.row.features.keys()];
    return entries.sort((one, two) => Math.abs(this.row.scores[two]) - Math.abs(this.row.scores[one]));
  }

  list() {
    const shown = this.order.slice(0, this.all ? undefined : SHOWN), some = this.scores.n > SHOWN;
    this.track = new Track(shown.map(entry => [this.share(this.row.scores[entry]), this.half(entry)]));
    const bars = this.root.querySelector(".bars");
    bars.style.setProperty("--zero", this.track.zero);
    bars.replaceChildren(...shown.map(entry => this.bar(entry)));
    this.root.querySelector(".which").textContent = some && !this.all
      ? `${SHOWN} strongest of ${this.scores.n.toLocaleString("en")} features` : "Features by strength";
    const all = this.root.querySelector(".all");
    all.hidden = !some;
    all.textContent = this.all ? `show ${SHOWN}` : "show all";
  }

  bar(entry) {
    const line = document.createElement("li"), button = line.appendChild(document.createElement("button"));
    const add = (tag, kind, text = "", to = button) => {
      const element = to.appendChild(document.createElement(tag));
      element.className = kind;
      element.textContent = text;
      return element;
    };
    button.type = "button";
    button.dataset.jump = entry;
    const name = add("span", "name", visible(this.scores.names[entry])), [before, after] = this.context(entry);
    name.title = this.scores.names[entry];
    if (before) name.prepend(Object.assign(document.createElement("small"), { textContent: before + " " }));
    if (after) add("small", "", " " + after, name);
    add("span", "score", this.row.text(entry, this.scale));
    const track = add("span", "track"), share = this.share(this.row.scores[entry]), half = this.half(entry);
    this.dress(add("i", "", "", track), this.track.width(share), this.row.open(entry));
    if (half > 0) {
      const whisker = add("s", "", "", track);
      whisker.style.setProperty("--from", this.track.place(share - half));
      whisker.style.setProperty("--to", this.track.place(share + half));
    }
    return line;
  }

  /* The words around one that occurs several times. */
  context(entry) {
    this.twins ??= this.scores.names.reduce((count, name) => count.set(name.trim(), (count.get(name.trim()) ?? 0) + 1), new Map());
    if (!this.scores.text[entry] || this.twins.get(this.scores.names[entry].trim()) < 2) return ["", ""];
    const short = text => visible(text).length > 18 ? visible(text).slice(0, 17) + "…" : visible(text);
    const at = index => index >= 0 && index < this.scores.n && this.scores.text[index] ? short(this.scores.names[index]) : "";
    return [at(entry - 1), at(entry + 1)];
  }

  jump(entry) {
    const [place] = this.places.get(entry) ?? [];
    for (const found of this.root.querySelectorAll(".found")) found.classList.remove("found");
    if (!place) return;
    this.root.dispatchEvent(new CustomEvent("unfold", { detail: place }));
    place.classList.add("found");
    place.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    place.focus?.({ preventScroll: true });
  }

  listen() {
    const { root, tokens } = this, index = event => tokens.indexOf(event.target.closest?.(".target"));
    let anchor = null;
    const extend = to => this.select(Math.min(anchor, to), Math.max(anchor, to) + 1);
    root.querySelector(".targets").addEventListener("pointerdown", event => {
      if (index(event) < 0 || event.button) return;
      event.target.releasePointerCapture?.(event.pointerId);
      anchor = event.shiftKey && anchor !== null ? anchor : index(event);
      extend(index(event));
      this.dragging = this.running;
    });
    root.querySelector(".targets").addEventListener("pointerover", event => {
      if (this.dragging && index(event) >= 0) extend(index(event));
    });
    window.addEventListener("pointerup", () => { this.dragging = false; });
    root.querySelector(".targets").addEventListener("click", event => {
      if (event.detail === 0 && index(event) >= 0) { anchor = index(event); extend(anchor); }
    });
    this.whole?.addEventListener("click", () => this.select(0, this.scores.t));
    root.addEventListener("keydown", event => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], on = index(event);
      if (event.key === "Escape") this.picked === null ? this.whole && this.select(0, this.scores.t) : this.select(this.start, this.end);
      const mark = event.target.closest?.("mark");
      if (mark && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); this.pick(Number(mark.dataset.feature)); }
      if (!step || on < 0) return;
      event.preventDefault();
      const to = Math.max(0, Math.min(this.scores.t - 1, on + step));
      if (!event.shiftKey || anchor === null) anchor = event.shiftKey ? on : to;
      tokens[to].focus();
      extend(to);
    });
    root.querySelector(".prompt").addEventListener("click", event => {
      const place = event.target.closest("[data-feature]");
      if (place) this.pick(Number(place.dataset.feature));
    });
    root.querySelector(".prompt").addEventListener("pointerover", event => {
      const place = event.target.closest("[data-feature]");
      if (place) this.name(place);
    });
    root.querySelector(".bars").addEventListener("click", event => {
      const line = event.target.closest("[data-jump]");
      if (line) this.jump(Number(line.dataset.jump));
    });
    root.querySelector(".all").addEventListener("click", () => { this.all = !this.all; this.list(); });
  }
}

for (const root of document.querySelectorAll(".attribution:not([data-ready])")) {
  root.dataset.ready = "";
  root.classList.add("ready");
  root.page = new Page(root);
  root.dispatchEvent(new CustomEvent("ready"));
}
})();
