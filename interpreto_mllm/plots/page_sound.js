"use strict";
/* The spectrogram of a clip on request, from the recording on the page. */
(() => {
const WINDOW = 512, COLUMNS = 600, QUIETEST = -80, INK = [[13, 16, 33], [92, 34, 119], [208, 66, 86], [253, 231, 164]];

/* The samples of a mono recording of 16 bits, from 0 on behind its header. */
const samplesOf = source => {
  const bytes = Uint8Array.from(atob(source.split(",")[1]), character => character.charCodeAt(0));
  return { rate: new DataView(bytes.buffer).getUint32(24, true), samples: new Int16Array(bytes.buffer.slice(44)) };
};

/* Powers of the frequencies of one window (Cooley & Tukey 1965), in place. */
const powers = window => {
  const n = window.length, real = Float64Array.from(window), imaginary = new Float64Array(n);
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j]] = [real[j], real[i]];
  }
  for (let size = 2; size <= n; size <<= 1) {
    for (let start = 0; start < n; start += size) {
      for (let k = 0; k < size / 2; k++) {
        const angle = -2 * Math.PI * k / size, [cos, sin] = [Math.cos(angle), Math.sin(angle)];
        const a = start + k, b = a + size / 2;
        const x = real[b] * cos - imaginary[b] * sin, y = real[b] * sin + imaginary[b] * cos;
        [real[b], imaginary[b], real[a], imaginary[a]] = [real[a] - x, imaginary[a] - y, real[a] + x, imaginary[a] + y];
      }
    }
  }
  return real.subarray(0, n / 2).map((value, i) => value * value + imaginary[i] * imaginary[i]);
};

const colour = share => {
  const at = Math.max(0, Math.min(1, share)) * (INK.length - 1), low = Math.min(Math.floor(at), INK.length - 2);
  return INK[low].map((value, i) => value + (at - low) * (INK[low + 1][i] - value));
};

const spectrogram = (samples, canvas) => {
  const columns = Math.max(1, Math.min(COLUMNS, samples.length)), rows = WINDOW / 2;
  const taper = Float64Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos(2 * Math.PI * i / (WINDOW - 1)));
  const found = Array.from({ length: columns }, (_, column) => {
    const middle = Math.round((column + 0.5) * samples.length / columns);
    return powers(taper.map((weight, i) => weight * (samples[middle - WINDOW / 2 + i] ?? 0)));
  });
  const loudest = Math.max(...found.map(column => column.reduce((most, power) => Math.max(most, power), 1e-12)));
  Object.assign(canvas, { width: columns, height: rows });
  const pen = canvas.getContext("2d"), picture = pen.createImageData(columns, rows);
  found.forEach((column, x) => column.forEach((power, row) => {
    const place = 4 * ((rows - 1 - row) * columns + x);
    picture.data.set([...colour(1 - 10 * Math.log10(power / loudest + 1e-12) / QUIETEST), 255], place);
  }));
  pen.putImageData(picture, 0, 0);
};

for (const figure of document.querySelectorAll(".attribution figure.clip:not(.heard)")) {
  const sound = figure.querySelector("audio"), drawing = figure.querySelector("svg");
  if (!sound) continue;
  figure.classList.add("heard");
  const button = document.createElement("button"), canvas = document.createElement("canvas");
  Object.assign(button, { type: "button", className: "spectrum", textContent: "spectrogram" });
  button.setAttribute("aria-pressed", "false");
  canvas.hidden = true;
  drawing.after(canvas);
  sound.after(button);
  button.addEventListener("click", () => {
    if (!canvas.hasAttribute("aria-label")) {
      const { rate, samples } = samplesOf(sound.src);
      spectrogram(samples, canvas);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `spectrogram, 0 to ${(rate / 2000).toLocaleString("en")} kHz`);
      canvas.title = canvas.getAttribute("aria-label");
    }
    canvas.hidden = !canvas.hidden;
    button.setAttribute("aria-pressed", String(!canvas.hidden));
  });
}
})();
