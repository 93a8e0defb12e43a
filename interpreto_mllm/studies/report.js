(() => {
  const root = document.currentScript.closest(".report");
  const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const all = (selector, within = root) => [...within.querySelectorAll(selector)];
  root.classList.add("ready");
  for (const tools of all(".tools[hidden]")) tools.hidden = false;

  // The leaderboard, sorted by the column that is clicked, its better end first.
  const board = root.querySelector(".board");
  const heads = board ? all("thead th[data-direction]", board) : [];
  heads.forEach((head, index) => head.querySelector("button").addEventListener("click", () => {
    const better = head.dataset.direction === "lower" ? 1 : -1;
    const turned = head.getAttribute("aria-sort") === (better === 1 ? "ascending" : "descending") ? -better : better;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", turned === 1 ? "ascending" : "descending");
    const value = row => row.cells[index + 1].dataset.value;
    const rows = all("tbody tr", board);
    rows.sort((one, two) => (value(one) === undefined) - (value(two) === undefined) || turned * (value(one) - value(two)));
    board.tBodies[0].append(...rows);
  }));

  root.querySelector(".details")?.addEventListener("change", event => root.classList.toggle("detailed", event.target.checked));

  // Charts: a key that is pressed fades the other lines.
  const keys = all(".keys button");
  for (const key of keys) key.addEventListener("click", () => {
    const pressed = key.getAttribute("aria-pressed") !== "true";
    for (const other of keys) other.setAttribute("aria-pressed", String(pressed && other === key));
    for (const line of all("g[data-series]")) line.classList.toggle("faded", pressed && line.dataset.series !== key.dataset.key);
  });

  // Samples: the metric that is picked, red where it is bad beside the others.
  const rows = all(".samples tbody tr");
  const decimals = bound => bound ? Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(bound)))) : 0;
  const fill = metric => {
    const columns = data.values[metric];
    if (!columns) return;
    const numbers = columns.flatMap(column => Object.values(column));
    const low = Math.min(...numbers), high = Math.max(...numbers);
    const places = decimals(Math.max(Math.abs(low), Math.abs(high)));
    for (const row of rows) columns.forEach((column, index) => {
      const cell = row.cells[index + 2], value = column[row.dataset.sample];
      if (cell.classList.contains("failed")) return;
      (cell.querySelector("a") ?? cell).textContent = value === undefined ? "–" : value.toFixed(places).replace("-", "−");
      const share = high > low && value !== undefined ? (value - low) / (high - low) : 0;
      const bad = { lower: share, higher: high > low && value !== undefined ? 1 - share : 0 }[data.directions[metric]] ?? 0;
      cell.style.setProperty("--strength", bad.toFixed(3));
    });
  };
  const pick = root.querySelector(".metric");
  pick?.addEventListener("change", () => fill(Number(pick.value)));
  fill(0);
  const find = root.querySelector(".samples") && root.querySelector(".tools .find");
  find?.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    for (const row of rows) row.classList.toggle("lost", wanted !== "" && !row.textContent.toLowerCase().includes(wanted));
    root.classList.toggle("everything", wanted !== "" || more?.hidden === true);
  });
  const more = root.querySelector(".more");
  more?.addEventListener("click", () => { root.classList.add("everything"); more.hidden = true; });
})();
