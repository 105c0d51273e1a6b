// The comparison of two pictures: a divider, zoom and pan, by mouse, touch and keyboard. Listeners are on
// `element`, which stays when another result is shown.
const STEP = 1.5;
const MOST = 32;
const REACH = 24; // pixels beside the divider within which a drag moves it
const pointers = new Map();
let drag = null;

const viewOf = (target) => target.closest?.(".compare")?.querySelector(".view");
const number = (view, name) => parseFloat(view.parentElement.style.getPropertyValue(name));

function setSplit(view, percent) {
  const range = view.parentElement.querySelector("input");
  range.value = Math.min(Math.max(percent, 0), 100);
  view.parentElement.style.setProperty("--split", `${range.value}%`);
}

/** Zoom and place, so that the picture always covers the view. */
function place(view, zoom, x, y) {
  const least = (length) => length * (1 - zoom);
  const style = view.parentElement.style;
  style.setProperty("--zoom", zoom);
  style.setProperty("--x", `${Math.min(0, Math.max(least(view.clientWidth), x))}px`);
  style.setProperty("--y", `${Math.min(0, Math.max(least(view.clientHeight), y))}px`);
  view.classList.toggle("zoomed", zoom > 1);
}

/** Zoom by a factor, so that the pixel at (x, y) of the view stays where it is. */
function zoomBy(view, factor, x = view.clientWidth / 2, y = view.clientHeight / 2) {
  const before = number(view, "--zoom");
  const zoom = Math.min(Math.max(before * factor, 1), MOST);
  const scale = zoom / before;
  place(view, zoom, x - (x - number(view, "--x")) * scale, y - (y - number(view, "--y")) * scale);
}

/** The zoom at which a pixel of the picture is one of the screen. */
function fullSize(view) {
  const picture = view.querySelector("img");
  const fitted = Math.min(view.clientWidth / picture.naturalWidth, view.clientHeight / picture.naturalHeight);
  return Math.max(1, 1 / (fitted * window.devicePixelRatio));
}

const WAYS = {
  in: (view) => zoomBy(view, STEP),
  out: (view) => zoomBy(view, 1 / STEP),
  fit: (view) => place(view, 1, 0, 0),
  full: (view) => zoomBy(view, fullSize(view) / number(view, "--zoom")),
};
const KEYS = { "+": "in", "=": "in", "-": "out", 0: "fit", 1: "full" };
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

element.addEventListener("input", (event) => {
  const view = viewOf(event.target);
  if (view) setSplit(view, Number(event.target.value));
});

element.addEventListener("click", (event) => {
  const way = event.target.dataset?.way;
  if (way) WAYS[way](viewOf(event.target));
});

element.addEventListener("keydown", (event) => {
  const view = event.target;
  if (!view.classList?.contains("view") || event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  if (KEYS[event.key]) WAYS[KEYS[event.key]](view);
  else if (!arrow) return;
  else if (number(view, "--zoom") > 1) {
    const [right, down] = arrow;
    const step = 0.1 * view.clientWidth;
    place(view, number(view, "--zoom"), number(view, "--x") + right * step, number(view, "--y") + down * step);
  } else setSplit(view, number(view, "--split") - 2 * arrow[0]);
  event.preventDefault();
});

element.addEventListener(
  "wheel",
  (event) => {
    const view = viewOf(event.target);
    if (!view?.contains(event.target) || !(event.ctrlKey || event.metaKey)) return; // else the page scrolls
    event.preventDefault();
    const box = view.getBoundingClientRect();
    zoomBy(view, Math.exp(-event.deltaY / 200), event.clientX - box.left, event.clientY - box.top);
  },
  { passive: false },
);

const spread = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y);

element.addEventListener("pointerdown", (event) => {
  const view = viewOf(event.target);
  if (!view?.contains(event.target) || event.button) return;
  const box = view.getBoundingClientRect();
  const x = event.clientX - box.left;
  pointers.set(event.pointerId, { x, y: event.clientY - box.top });
  const isDivider = Math.abs(x - (number(view, "--split") / 100) * box.width) < REACH;
  drag = { view, box, moves: number(view, "--zoom") === 1 || isDivider };
  view.setPointerCapture(event.pointerId);
});

element.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (!last || !drag) return;
  const { view, box } = drag;
  const now = { x: event.clientX - box.left, y: event.clientY - box.top };
  const before = [...pointers.values()];
  pointers.set(event.pointerId, now);
  const after = [...pointers.values()];
  if (after.length === 2) {
    const middle = (axis) => (after[0][axis] + after[1][axis]) / 2;
    zoomBy(view, spread(after) / Math.max(spread(before), 1), middle("x"), middle("y"));
  } else if (drag.moves) setSplit(view, (100 * now.x) / box.width);
  else place(view, number(view, "--zoom"), number(view, "--x") + now.x - last.x, number(view, "--y") + now.y - last.y);
});

for (const ending of ["pointerup", "pointercancel"]) {
  element.addEventListener(ending, (event) => {
    pointers.delete(event.pointerId);
    if (!pointers.size) drag = null;
  });
}
