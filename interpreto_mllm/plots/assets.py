"""The style and the script of the HTML pages; nothing is fetched from elsewhere."""

STYLE = """
.attribution { --towards: 214 62 50; --against: 47 111 196; --ink: #1c1e22; --soft: #6b7280; --faint: #a3a9b3; --paper: #fff;
  --card: #f7f7f8; --line: #e3e5e9; color: var(--ink); background: var(--paper); text-align: left;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; max-width: 62rem; padding: 1rem; }
@media (prefers-color-scheme: dark) { .attribution { --towards: 224 84 70; --against: 72 138 226; --ink: #e8eaed;
  --soft: #9aa1ac; --faint: #6f7682; --paper: #15171b; --card: #1d2026; --line: #2e323a; } }
.attribution * { box-sizing: border-box; }
.attribution .facts { color: var(--soft); font-size: .85rem; display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; }
.attribution .facts b { color: var(--ink); font-weight: 600; }
.attribution h2 { font-size: .72rem; letter-spacing: .09em; text-transform: uppercase; color: var(--soft); font-weight: 600;
  margin: 1.4rem 0 .45rem; border: 0; padding: 0; }
.attribution .targets { display: flex; flex-wrap: wrap; gap: .3rem; max-height: 11rem; overflow: auto; }
.attribution .targets button { font: inherit; font-size: .9rem; color: inherit; background: var(--card); cursor: pointer;
  border: 1px solid var(--line); border-radius: .4rem; padding: .1rem .55rem; white-space: pre-wrap; text-align: left; }
.attribution .targets button:hover { border-color: var(--soft); }
.attribution .targets button[aria-pressed=true] { background: var(--ink); color: var(--paper); border-color: var(--ink); }
.attribution .prompt { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1.1rem;
  font-size: 1.05rem; line-height: 1.95; white-space: pre-wrap; overflow-wrap: anywhere; }
.attribution .gap { color: var(--faint); }
.attribution .heading { display: block; font-size: .72rem; font-weight: 600; letter-spacing: .05em; color: var(--soft);
  line-height: 1.4; margin-top: .35rem; }
.attribution mark { color: inherit; border-radius: .2rem; padding: .16em 0;
  background: rgb(var(--hue) / calc(var(--strength) * .78));
  -webkit-box-decoration-break: clone; box-decoration-break: clone; cursor: default; }
.attribution mark:hover { outline: 2px solid var(--soft); }
.attribution mark.loose { display: inline-block; line-height: 1.4; padding: .1rem .5rem; margin: .12rem .3rem .12rem 0;
  border: 1px solid var(--line); border-radius: .4rem; }
.attribution .media { display: flex; flex-wrap: wrap; align-items: flex-start; gap: .8rem 1.4rem; margin: .5rem 0;
  white-space: normal; line-height: 0; }
.attribution .media > .heading, .attribution figure.clip { flex: 0 0 100%; }
.attribution .media figure { margin: 0; }
.attribution figcaption { flex: 0 0 100%; font-size: .75rem; line-height: 1.2; color: var(--soft); }
.attribution figure.picture { display: flex; flex-wrap: wrap; align-items: flex-start; gap: .35rem .5rem; max-width: 100%;
  width: calc(2 * min(22rem, 17rem * var(--ratio)) + .5rem); min-width: 3rem; }
.attribution figure.picture > :not(figcaption) { display: block; width: calc(50% - .25rem);
  height: auto; aspect-ratio: var(--ratio); }
.attribution .crisp { image-rendering: pixelated; }
.attribution svg { overflow: visible; }
.attribution .picture svg { background: #fff; }
.attribution svg image { filter: grayscale(1); opacity: .53; }
.attribution .area { fill: rgb(var(--hue)); fill-opacity: calc(var(--strength) * .78); fill-rule: evenodd; }
.attribution .area:hover { stroke: var(--ink); stroke-width: 3; vector-effect: non-scaling-stroke; }
.attribution .border, .attribution .halo { fill: none; stroke: #33373d; stroke-width: 1; vector-effect: non-scaling-stroke;
  pointer-events: none; }
.attribution .halo { stroke: rgb(255 255 255 / .7); stroke-width: 2.5; }
.attribution figure.clip { overflow-x: auto; }
.attribution figure.clip svg { display: block; width: 100%; min-width: 34rem; height: auto; }
.attribution .wave { fill: var(--ink); fill-opacity: .6; stroke: var(--ink); stroke-width: .3; pointer-events: none; }
.attribution .clip .border { stroke: var(--soft); }
.attribution .clip .area { cursor: pointer; }
.attribution svg text { font-size: 14px; fill: var(--ink); text-anchor: middle; }
.attribution svg text.time { font-size: 11px; fill: var(--soft); }
.attribution audio { width: 100%; height: 2.2rem; margin-top: .4rem; }
.attribution .for { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1.2rem; margin: .7rem 0 0;
  font-size: .85rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.attribution .settings { margin-top: 1.2rem; font-size: .85rem; color: var(--soft); }
.attribution .settings summary { cursor: pointer; }
.attribution .settings th, .attribution .settings td { text-align: left; vertical-align: top; font-weight: 400;
  padding: .1rem .8rem .1rem 0; overflow-wrap: anywhere; }
.attribution .legend { display: inline-flex; align-items: center; gap: .5rem; }
.attribution .legend i { width: 9rem; height: .7rem; border-radius: .2rem; background: linear-gradient(90deg,
  rgb(var(--against) / .78), rgb(var(--against) / 0) 50%, rgb(var(--towards) / 0) 50%, rgb(var(--towards) / .78)); }
.attribution .bars { display: grid; grid-template-columns: minmax(4rem, max-content) max-content 1fr; gap: .22rem 1rem;
  align-items: center; font-size: .9rem; }
.attribution .bars span { overflow-wrap: anywhere; max-width: 22rem; }
.attribution .bars span + span { font-variant-numeric: tabular-nums; text-align: right; color: var(--soft); }
.attribution .track { position: relative; height: .8rem;
  background: linear-gradient(var(--line), var(--line)) 50% / 1px 100% no-repeat; }
.attribution .track i { position: absolute; top: 0; bottom: 0; border-radius: .15rem; background: rgb(var(--hue) / .85);
  width: calc(var(--strength) * 50%); }
.attribution .towards { --hue: var(--towards); } .attribution .against { --hue: var(--against); }
.attribution .track .towards { left: 50%; } .attribution .track .against { right: 50%; }
.attribution .answers { border-collapse: collapse; font-size: .85rem; margin-top: .5rem; width: 100%; }
.attribution .answers td { border-top: 1px solid var(--line); padding: .3rem .6rem; vertical-align: top; text-align: left;
  overflow-wrap: anywhere; color: inherit; }
.attribution .answers [data-by] { font-variant-numeric: tabular-nums; text-align: right; white-space: nowrap; }
.attribution .answers th { padding: 0 .6rem; text-align: left; }
.attribution .answers th button { font: inherit; font-weight: 600; color: var(--soft); background: none; border: 0; padding: 0;
  cursor: pointer; text-align: left; }
.attribution summary { cursor: pointer; color: var(--soft); font-size: .85rem; margin-top: 1rem; }
.attribution .note { color: var(--soft); font-style: italic; margin: .6rem 0 0; }
.attribution [hidden] { display: none; }
"""

SCRIPT = """
for (const root of document.querySelectorAll(".attribution:not([data-ready])")) {
  root.dataset.ready = "";
  const rows = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const buttons = root.querySelectorAll(".targets button"), panels = root.querySelectorAll(".row");
  const select = chosen => {
    buttons.forEach((button, index) => button.setAttribute("aria-pressed", index === chosen));
    panels.forEach((panel, index) => panel.hidden = index !== chosen);
    for (const mark of root.querySelectorAll("[data-feature]")) {
      const [share, text] = rows[chosen][mark.dataset.feature], title = mark.querySelector("title");
      mark.classList.toggle("against", share < 0);
      mark.classList.toggle("towards", share >= 0);
      mark.style.setProperty("--strength", Math.abs(share));
      if (title) title.textContent = title.textContent.replace(/  [^ ]+( ± [^ ]+)?$/, "  " + text);
      else mark.title = text;
    }
  };
  for (const area of root.querySelectorAll("[data-start]")) area.addEventListener("click", () => {
    const sound = area.closest("figure").querySelector("audio"), end = Number(area.dataset.end);
    sound.currentTime = Number(area.dataset.start);
    sound.ontimeupdate = () => { if (sound.currentTime >= end) { sound.pause(); sound.ontimeupdate = null; } };
    sound.play();
  });
  buttons.forEach((button, index) => button.addEventListener("click", () => select(index)));
  const heads = root.querySelectorAll(".answers th button"), body = root.querySelector(".answers tbody");
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.dataset.down !== "1", of = line => line.cells[column];
    const order = (a, b) => "by" in of(a).dataset ? of(b).dataset.by - of(a).dataset.by
      : of(a).textContent.localeCompare(of(b).textContent);
    head.dataset.down = down ? "1" : "0";
    body.append(...[...body.rows].sort((a, b) => down ? order(a, b) : order(b, a)));
  }));
}
"""
